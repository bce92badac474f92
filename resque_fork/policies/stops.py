"""Jobs that were stopped, or never started, go back to their queue."""

from __future__ import annotations

from ..job.reservation import Reservation
from .action import Action
from .outcome import NOT_STARTED, STOPPED, Outcome
from .policy import Policy


class NotStarted(Policy):
    """A job for which no process could be had is not at fault."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        return Action.PUT_BACK if outcome.kind == NOT_STARTED else None


class OnTerm(Policy):
    """``--on-term=requeue``: a job that was stopped because its worker stops."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        by_worker = outcome.kind == STOPPED and outcome.worker_stops
        return Action.PUT_BACK if by_worker else None
