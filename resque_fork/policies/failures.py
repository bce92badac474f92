"""What is left when no other policy has answered: a job has failed."""

from __future__ import annotations

from ..failure import Failure
from ..job.reservation import Reservation
from .action import Action
from .outcome import Outcome
from .policy import Policy


class InFailedList(Policy):
    """Always answers."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action:
        return Action("failed", outcome.failure or Failure("", ""))
