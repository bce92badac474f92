"""What the application of a worker declares for the whole fleet: retries and schedules."""

from __future__ import annotations

import logging

from ..clock.renewal import Renewal
from ..errors import WrongKeyType
from ..job.registry import registry
from ..store.schedules import StoredSchedules
from ..store.worker_store import WorkerStore
from ..system.loop import Loop

log = logging.getLogger("resque_fork")


class Declarations:
    """Schedules are declared again each so many `seconds`."""

    def __init__(
        self, loop: Loop, store: WorkerStore, schedules: StoredSchedules, seconds: float
    ) -> None:
        self._loop = loop
        self._store = store
        self._schedules = schedules
        self._seconds = seconds
        self._renewal: Renewal | None = None

    def declare(self) -> None:
        """Declare all, of a worker that starts.

        Raises SettingsError for a schedule that is not valid, or whose ticks cannot be told here.
        """
        self._declare_retries()
        self._declare_schedules()

    def _declare_retries(self) -> None:
        """For those that rescue jobs of ours: they may not have loaded the application."""
        declared = registry.retries().items()
        try:
            self._store.declare_retries(
                {name: retry.to_json() if retry else None for name, retry in declared}
            )
        except WrongKeyType as problem:
            log.error("%s", problem)

    def _declare_schedules(self) -> None:
        schedules = registry.schedules()
        for schedule in schedules:
            schedule.check()
        if self._renewal is None and schedules:
            self._renewal = Renewal(self._loop, self._schedules, schedules, self._seconds)
            self._loop.tasks.append(self._renewal)
        if self._renewal is not None:
            self._renewal.declare()
