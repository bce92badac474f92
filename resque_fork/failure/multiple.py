"""The backends that a worker was told to use, one or several."""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Sequence
from typing import Any

from ..errors import SettingsError
from ..store.worker_store import FailedEntry
from ..wire.keys import Keys
from .base import Backend, ListBackend, payload_object
from .log import LogBackend
from .redis import RedisBackend
from .redis_multi_queue import RedisMultiQueueBackend

log = logging.getLogger("resque_fork")

BY_NAME: dict[str, Any] = {
    "redis": RedisBackend,
    "redis_multi_queue": RedisMultiQueueBackend,
    "log": LogBackend,
}


class Backends:
    """`lists` are data for the worker's step; `savers` are classes to be made for each failure."""

    def __init__(self, kinds: Sequence[Any] = (RedisBackend,)) -> None:
        self.lists = [kind() for kind in kinds if issubclass(kind, ListBackend)]
        self.savers = [kind for kind in kinds if not issubclass(kind, ListBackend)]

    @classmethod
    def named(cls, names: Sequence[str]) -> Backends:
        """By a name in `BY_NAME` or as ``MODULE:CLASS``. Raises SettingsError."""
        if not names:
            raise SettingsError("There must be a failure backend, such as redis.")
        return cls([BY_NAME.get(name) or _load(name) for name in names])

    def entries(self, entry: bytes, keys: Keys, queue: str, saved: bool) -> list[FailedEntry]:
        """What the worker's step writes; if no other backend takes it, the list ``failed`` does."""
        found, missing = [], not (self.lists or saved)
        for backend in self.lists:
            try:
                found.append(backend.entry(entry, keys, queue))
            except Exception as problem:  # a user's class may raise anything
                missing = True
                log.error("The failure backend %s raised %r", type(backend).__name__, problem)
        return [*found, RedisBackend().entry(entry, keys, queue)] if missing else found

    def save(
        self, error: BaseException, worker: str, queue: str, raw: bytes, attempt: int = 1
    ) -> bool:
        """Hand a failure to the savers; False if one of them raised, which is logged."""
        saved = True
        for kind in self.savers:
            try:
                backend = kind(error, worker, queue, payload_object(raw))
                if isinstance(backend, Backend):
                    backend.attempt = attempt
                backend.save()
            except Exception as problem:  # a user's class may raise anything
                saved = False
                log.error("The failure backend %s raised %r", kind.__name__, problem)
        return saved


def _load(name: str) -> Any:
    module_name, colon, class_name = name.partition(":")
    if not colon:
        known = ", ".join(BY_NAME)
        raise SettingsError(f"No failure backend is called {name!r}: use {known} or MODULE:CLASS.")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # a user's module may raise anything
        problem = f"The failure backend {name!r} cannot be loaded: {_told(error)}."
        raise SettingsError(problem) from error
    saves = isinstance(kind, type) and callable(getattr(kind, "save", None))
    if saves or (isinstance(kind, type) and issubclass(kind, ListBackend)):
        return kind
    raise SettingsError(f"The failure backend {name!r} is not a class with a save method.")


def _told(error: Exception) -> str:
    """What went wrong, and where in the module if it was there."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename == __file__ or last.filename.startswith("<frozen"):
        return str(error)
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
