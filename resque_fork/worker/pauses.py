"""What is paused as of the last look: all workers, or queues of this one."""

from __future__ import annotations

from collections.abc import Sequence

from ..logs import lifecycle
from ..store.worker_store import Step


class Pauses:
    """Says once that something is paused, and once that it no longer is.

    `queues` are those of the worker that are paused; `everything` says whether it takes no job,
    `any` whether all workers or one of its queues are paused.
    """

    def __init__(self) -> None:
        self.queues: list[str] = []
        self.everything = self.any = False
        self._fleet = False

    def note(self, step: Step, queues: Sequence[str]) -> None:
        """What a look at these queues has found."""
        fleet = step.found == "paused"
        if fleet and not self._fleet:
            lifecycle.info("All workers are paused: this one takes no job until they are resumed")
        elif self._fleet and not fleet:
            lifecycle.info("All workers are resumed")
        all_paused = set(step.paused)
        paused = [queue for queue in queues if queue in all_paused] if all_paused else []
        for queue in paused:
            if queue not in self.queues:
                lifecycle.info("The queue %s is paused: its jobs wait until it is resumed", queue)
        for queue in self.queues:
            if queue not in all_paused:
                lifecycle.info("The queue %s is resumed", queue)
        self.queues, self._fleet = paused, fleet
        self.any = fleet or bool(paused)
        self.everything = fleet or (bool(queues) and len(paused) == len(queues))
