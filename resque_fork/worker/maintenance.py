"""What a worker does beside its jobs: it says that it lives, and looks for the dead, when due.

What it rescues is told to the application's hooks later, when no job of its own is running.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..errors import JobLost, WrongKeyType
from ..failure import Backends
from ..job.reservation import Reservation
from ..settings import Settings
from ..store.books import Books
from ..store.workers import Workers
from ..system.loop import Loop
from ..wire.keys import Keys
from .pruning import Pruner

log = logging.getLogger("resque_fork")


class Upkeep:
    """`queues` are those of the worker, as they were given; they tell which of Ruby's it prunes.

    `look_around` is called along with each look at this host.
    """

    def __init__(
        self,
        loop: Loop,
        books: Books,
        workers: Workers,
        keys: Keys,
        settings: Settings,
        backends: Backends,
        queues: Sequence[str],
        look_around: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._books = books
        self._settings = settings
        self._queues = queues
        self._look_around = look_around
        self._pruner = Pruner(workers, keys, settings, backends, self._note, self._sleep)
        self._beat_due = self._look_due = loop.clock()
        self._rescued: list[tuple[Reservation, JobLost]] = []
        self._in_the_way = ""  # the last key of the wrong type that was complained of

    @property
    def due(self) -> float:
        """When there is something to do, by the loop's clock."""
        return min(self._beat_due, self._look_due)

    @property
    def fleet(self) -> int:
        """The number of workers, of all hosts, at the last look."""
        return self._pruner.fleet

    def attend(self) -> None:
        """Do what is due, if anything is. If a key is in the way, say so once and go on."""
        now = self._loop.clock()
        try:
            if now >= self._beat_due:
                self.heartbeat()
                self.prune_fleet()
            if now >= self._look_due:
                self.prune_here()
        except WrongKeyType as problem:
            if self._in_the_way != str(problem):
                log.error("%s", problem)
            self._in_the_way = str(problem)

    def heartbeat(self) -> None:
        """Say that the worker lives, and register it where it is not (any more)."""
        self._beat_due = self._loop.clock() + self._settings.heartbeat_interval
        if self._books.heartbeat():
            log.debug("Registered worker %s", self._books.worker_id)

    def prune_here(self) -> None:
        """Rescue what dead workers of this host have left."""
        self._look_due = self._loop.clock() + self._pruner.pause()
        self._look_around()
        self._pruner.prune_here(self._queues, but=self._books.worker_id)

    def prune_fleet(self) -> None:
        """Rescue what others have left, unless another worker looks for them these days."""
        self._pruner.prune_under_lock(self._books.worker_id)

    def replace(self) -> None:
        """Rescue what a predecessor has left that had our id: a container that was restarted."""
        self._pruner.remove(self._books.worker_id)

    def mourn(self, settle: Callable[[Reservation, JobLost], object]) -> None:
        """Have `settle` run the hooks for every job that was rescued since the last time."""
        while self._rescued:
            settle(*self._rescued.pop(0))

    @property
    def mourns(self) -> bool:
        """Whether there is a rescued job whose hooks have not run."""
        return bool(self._rescued)

    def _sleep(self, seconds: float) -> None:
        until = self._loop.clock() + seconds
        while self._loop.clock() < until:
            self._loop.wait(until)

    def _note(self, reservation: Reservation, error: JobLost) -> None:
        self._rescued.append((reservation, error))
