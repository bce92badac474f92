"""What a job has started is ended with it, unless it was there before or may stay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from . import process
from .loop import Loop

log = logging.getLogger("resque_fork")

SWEEP_SECONDS = 1.0  # for killed processes to go


class Sweeper:
    """`ours` names the children that the worker itself has at the moment."""

    def __init__(self, loop: Loop, ours: Callable[[], Collection[int]]) -> None:
        self._loop = loop
        self._ours = ours
        self._spared: set[int] = set()

    def spare_present(self) -> None:
        """Whatever is there now is not to be swept: it is the application's, or may stay."""
        self._spared = process.children().difference(self._ours())

    def sweep(self) -> None:
        """Kill what is left of jobs, and wait, though not for long, until it is gone."""
        late = self._loop.clock() + SWEEP_SECONDS
        while (left := self._left()) and self._loop.clock() < late:
            for pid in left:
                if not process.kill_group(pid):
                    log.warning("Process %d, left by a job, is another user's, and stays", pid)
                    self._spared.add(pid)
            process.reap_strangers(self._spared.union(self._ours()))
            if self._left():
                self._loop.wait(late)

    def _left(self) -> set[int]:
        return process.children().difference(self._spared, self._ours())
