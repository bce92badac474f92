"""Looks at what a child uses, as often as the limits of its job need it."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..job.limits import Limits
from ..system import proc
from ..system.loop import Loop, Timer

SHORTEST_CHECK = 0.01  # seconds between two looks at the CPU clock of a child
MEMORY_CHECK = 0.1  # seconds between two at its memory, which it may fill at 2 GB a second


class LimitWatch:
    """Calls `exceeded` with words once the child is over its limit of time or CPU.

    It calls `over_memory` once it finds too much memory, and then looks at that no more. A child
    that has `grown` in jobs before is measured from what it has now.
    """

    def __init__(
        self,
        loop: Loop,
        pid: int,
        limits: Limits,
        exceeded: Callable[[str], None],
        over_memory: Callable[[], None],
        *,
        grown: bool,
    ) -> None:
        self._loop = loop
        self._pid = pid
        self._exceeded = exceeded
        self._over_memory = over_memory
        self._timers: dict[str, Timer] = {}
        if limits.timeout is not None:
            self._later("timeout", limits.timeout, lambda: exceeded(limits.out_of_time()))
        if limits.cpu is not None:
            used = proc.cpu_seconds(pid) or 0.0
            self._check_cpu(used + limits.cpu, limits.out_of_cpu())
        if limits.memory is not None:
            # A new child's baseline is our own size: it may already have allocated.
            before = proc.own_memory_kib(pid if grown else "self")
            if before is not None:
                self._check_memory_later(before + limits.memory // 1024)

    def stop(self) -> None:
        """Look no more."""
        for timer in self._timers.values():
            timer.cancel()

    def after_memory(self, seconds: float, action: Callable[[], None]) -> None:
        """In place of the next look at its memory, unless the watch is stopped before."""
        self._later("memory", seconds, action)

    def _later(self, limit: str, seconds: float, action: Callable[[], None]) -> None:
        self._timers[limit] = self._loop.after(seconds, action)

    def _check_cpu(self, most: float, words: str) -> None:
        """See whether the CPU time is used up, and if not, when that can be at the earliest."""
        used = proc.cpu_seconds(self._pid)
        if used is None:
            return
        if used >= most:
            self._exceeded(words)
            return
        earliest = max(SHORTEST_CHECK, (most - used) / (os.cpu_count() or 1))
        self._later("cpu", earliest, lambda: self._check_cpu(most, words))

    def _check_memory_later(self, most: int) -> None:
        self._later("memory", MEMORY_CHECK, lambda: self._check_memory(most))

    def _check_memory(self, most: int) -> None:
        """See whether there are more than so many KiB; there can be at any moment."""
        used = proc.own_memory_kib(self._pid)
        if used is None or used <= most:  # None: it is dead, or there is no descriptor to look
            self._check_memory_later(most)
        else:
            self._over_memory()
