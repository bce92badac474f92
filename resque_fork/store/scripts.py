"""The Lua scripts, by name: ``lua/<name>.lua`` behind the shared ``lua/prelude.lua``.

Scripts that change entries of a long list also have ``lua/places.lua`` before them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple, Protocol, runtime_checkable

from redis.exceptions import NoScriptError, ResponseError

from .packing import Packed
from .refusals import first_key


class Commands(Protocol):
    """Whatever carries a command to Redis and returns its reply."""

    def execute_command(self, *command: Any) -> Any: ...


@runtime_checkable
class Packs(Protocol):
    """Commands that also take words which were packed before, to be sent again and again."""

    def pack(self, words: Sequence[str]) -> Packed: ...


class NamingKeys:
    """Commands whose errors say in ``key`` which key they are about; scripts say it in words."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis

    def execute_command(self, *command: Any) -> Any:
        try:
            return self._redis.execute_command(*command)
        except ResponseError as error:
            key = first_key(command)
            if key is not None:
                error.key = key  # type: ignore[attr-defined]
            raise


def replies(pipe: Any, *keys: str) -> list[Any]:
    """Run a pipeline; raises the first error, which says in ``key`` whose it is of the keys."""
    found = list(pipe.execute(raise_on_error=False))
    for key, reply in zip(keys, found, strict=True):
        if isinstance(reply, Exception):
            reply.key = key  # type: ignore[attr-defined]
            raise reply
    return found


class Script(NamedTuple):
    sha: str
    source: str


@functools.cache
def script(name: str) -> Script:
    folder = resources.files(__package__) / "lua"
    parts = ["prelude", *(["places"] if name.endswith("_entries") else []), name]
    source = "".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), source)


def run(redis: Commands, name: str, keys: Sequence[str] | Packed, args: Sequence[Any]) -> Any:
    """Run one script. A server that does not know it yet (or any more) is sent its text."""
    sha, source = script(name)
    words = [keys.number, keys, *args] if isinstance(keys, Packed) else [len(keys), *keys, *args]
    try:
        return redis.execute_command("EVALSHA", sha, *words)
    except NoScriptError:
        return redis.execute_command("EVAL", source, *words)
