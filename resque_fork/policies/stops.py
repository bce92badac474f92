"""Jobs that were stopped, or never started, go back to their queue; killed ones do not."""

from __future__ import annotations

from ..job.reservation import Reservation
from .action import Action
from .outcome import KILLED, NOT_STARTED, STOPPED, Outcome
from .policy import Policy


class Killed(Policy):
    """A job that somebody has killed has not failed, and does not come back."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        return Action("killed", outcome.failure) if outcome.kind == KILLED else None


class NotStarted(Policy):
    """A job for which no process could be had is not at fault."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        return Action.PUT_BACK if outcome.kind == NOT_STARTED else None


class OnTerm(Policy):
    """``--on-term=requeue``: a job that was stopped because its worker stops.

    Some platforms send TERM to all processes, and the child may get it before its worker does.
    """

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        stopped = outcome.kind == STOPPED or outcome.by_term
        return Action.PUT_BACK if stopped and outcome.worker_stops else None
