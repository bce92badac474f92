"""What a worker does beside its jobs: it says that it lives, and looks for the dead, when due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..errors import WrongKeyType
from ..logs import Once
from ..settings import Settings
from ..store.worker_store import WorkerStore
from ..system.loop import Loop
from ..system.shield import Shield
from .pruning import Pruner

log = logging.getLogger("resque_fork")


class Maintenance:
    """A task of the loop. The `queues` of the worker tell which of Ruby's workers it prunes.

    `pushed` is called when a rescued job has gone to a queue.
    """

    def __init__(
        self,
        loop: Loop,
        store: WorkerStore,
        pruner: Pruner,
        settings: Settings,
        queues: Sequence[str],
        pushed: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._store = store
        self._pruner = pruner
        self._settings = settings
        self._queues = queues
        self._pushed = pushed
        self._shield = Shield()
        self.due = self._beat_due = self._look_due = loop.clock()
        self._errors = Once(logging.ERROR)

    def run(self) -> None:
        """Do what is due. If a key of another type is in the way, say so once and go on."""
        try:
            with self._shield("heartbeats and looking for dead workers"):
                self._run_due()
        except WrongKeyType as problem:
            self._errors.log("%s", problem)

    def heartbeat(self) -> None:
        """Say that the worker lives, and register it where it is not (any more)."""
        self._beat_due = self._loop.clock() + self._settings.heartbeat_interval
        self.due = min(self._beat_due, self._look_due)
        if self._store.heartbeat():
            log.debug("Registered worker %s", self._store.worker_id)

    def prune_here(self) -> None:
        """Rescue what dead workers of this host have left."""
        self._look_due = self._loop.clock() + self._pruner.pause()
        self.due = min(self._beat_due, self._look_due)
        ids, ours = self._store.look(), self._store.worker_id
        self._note(self._pruner.prune_here(self._queues, ids, but=ours))

    def prune_fleet(self) -> None:
        """Rescue what others have left, unless another worker looks for them these days."""
        self._note(self._pruner.prune_under_lock(self._store.worker_id))

    def replace(self) -> None:
        """Rescue what a predecessor has left that had our id: a container that was restarted."""
        self._pruner.remove(self._store.worker_id)

    def _note(self, rescued: Sequence[tuple[str, str]]) -> None:
        if any(became in ("requeued", "later") for _, became in rescued):
            self._pushed()

    def _run_due(self) -> None:
        now = self._loop.clock()
        if now >= self._beat_due:
            self.heartbeat()
            self.prune_fleet()
        if now >= self._look_due:
            self.prune_here()
