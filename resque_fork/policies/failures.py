"""What is left when no other policy has answered: a job is done, or it has failed."""

from __future__ import annotations

from ..failure import Failure
from ..job.reservation import Reservation
from .action import Action
from .outcome import DONE, Outcome
from .policy import Policy


class DoneOrFailed(Policy):
    """Always answers."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action:
        if outcome.kind == DONE:
            return Action.DONE
        return Action("failed", outcome.failure or Failure("", ""))
