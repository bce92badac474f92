"""The Lua scripts, by name: ``lua/<name>.lua`` behind the shared ``lua/prelude.lua``.

Some have more in front of them: see `SHARED`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..errors import RedisRefused
from .packing import Packed

# What else stands in front of a script, by the script's name.
SHARED = {
    "add_up": ("counting",),
    "count_ticks": ("ticks",),
    "declare_schedules": ("ticks",),
    "delay": ("waiting", "status", "tracking"),
    "end_waits": ("status",),
    "enqueue_tracked": ("status", "tracking"),
    "mark_queues": ("marks",),
    "move_delayed": ("waiting", "status"),
    "note_status": ("status",),
    "remove_entries": ("places",),
    "remove_schedule": ("ticks",),
    "requeue_entries": ("places",),
    "rescue": ("counting", "waiting", "retry", "status"),
    "set_schedule": ("ticks",),
    "step": ("counting", "marks", "waiting", "retry", "status"),
    "take_delayed": ("waiting", "retry", "status"),
    "tick": ("ticks",),
}


class Commands(Protocol):
    """Whatever carries a command to Redis and returns its reply. Raises our errors."""

    def execute_command(self, *command: Any) -> Any: ...


@runtime_checkable
class Packs(Protocol):
    """Commands that also take words which were packed before, to be sent again and again."""

    def pack(self, words: Sequence[str]) -> Packed: ...


class Script(NamedTuple):
    sha: str
    source: str


@functools.cache
def script(name: str) -> Script:
    folder = resources.files(__package__) / "lua"
    parts = ["prelude", *SHARED.get(name, ()), name]
    source = "".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), source)


def run(redis: Commands, name: str, keys: Sequence[str] | Packed, args: Sequence[Any]) -> Any:
    """Run one script. A server that does not know it yet (or any more) is sent its text."""
    sha, source = script(name)
    words = [keys.number, keys, *args] if isinstance(keys, Packed) else [len(keys), *keys, *args]
    try:
        return redis.execute_command("EVALSHA", sha, *words)
    except RedisRefused as error:
        if error.code != "NOSCRIPT":
            raise
    return redis.execute_command("EVAL", source, *words)
