"""A worker says again and again which schedules it declares. A task of the loop."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import RedisRefused
from ..job.schedule import Schedule
from ..logs import Once
from ..store.schedules import Declared, StoredSchedules
from ..system.loop import Loop
from ..system.shield import Shield


class Renewal:
    """Declares `schedules`, first with `declare`, then every so many `seconds`."""

    def __init__(
        self, loop: Loop, store: StoredSchedules, schedules: Sequence[Schedule], seconds: float
    ) -> None:
        self.due = loop.clock()
        self._loop = loop
        self._store = store
        self._seconds = seconds
        self._declared = [Declared(one.name, one.timing, one.to_json()) for one in schedules]
        self._shield = Shield()
        self._errors = Once(logging.ERROR)

    def declare(self) -> None:
        """Of a worker that has just started: what it declares counts from now on."""
        self._declare(anew=True)

    def run(self) -> None:
        """Say that the schedules go on."""
        with self._shield("declaring schedules"):
            self._declare(anew=False)

    def _declare(self, *, anew: bool) -> None:
        self.due = self._loop.clock() + self._seconds
        try:
            self._store.declare(self._declared, anew=anew)
        except RedisRefused as problem:
            self._errors.log("Schedules cannot be declared: %s", problem)
