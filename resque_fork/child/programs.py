"""Has what a job starts be under other limits than the job itself.

The kernel hands limits down to every process and program. So a limit of the job's alone is
lifted while one is started, in all ways that the standard library has for it.
"""

from __future__ import annotations

import _posixsubprocess  # noqa: F401
import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

# Modules and names; subprocess takes the second from the first, and may be loaded later.
WAYS = (
    ("_posixsubprocess", "fork_exec"),
    ("subprocess", "_fork_exec"),
    ("os", "posix_spawn"),
    ("os", "posix_spawnp"),
    ("os", "system"),
)


class LiftedAtStart:
    """While open, `lift` is called before something is started, and `lower` after it.

    Several threads may do so at once: lowered again is after the last of them.
    """

    def __init__(self, lift: Callable[[], object], lower: Callable[[], object]) -> None:
        self._lift = lift
        self._lower = lower
        self._lock = threading.Lock()
        self._starting = 0
        self._open = True
        self._originals: dict[Any, Any] = {}
        self._replace(self._wrapped)
        os.register_at_fork(after_in_child=self._in_fork)

    def close(self) -> None:
        self._open = False
        self._replace(lambda function: self._originals.get(function, function))

    def _replace(self, by: Callable[[Any], Any]) -> None:
        for module, name in WAYS:
            if module in sys.modules and hasattr(sys.modules[module], name):
                setattr(sys.modules[module], name, by(getattr(sys.modules[module], name)))

    def _wrapped(self, function: Any) -> Any:
        @functools.wraps(function)
        def start(*args: Any, **options: Any) -> Any:
            with self:
                return function(*args, **options)

        self._originals[start] = function
        return start

    def __enter__(self) -> None:
        with self._lock:
            self._starting += 1
            if self._open and self._starting == 1:
                self._lift()

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._starting -= 1
            if self._open and self._starting == 0:
                self._lower()

    def _in_fork(self) -> None:
        """A process that the job has forked: not the job's any more."""
        if self._open:
            self._open = False
            self._lock = threading.Lock()  # another thread may have held it
            self._lift()
