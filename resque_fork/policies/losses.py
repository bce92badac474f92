"""Jobs whose process or worker died."""

from __future__ import annotations

from ..errors import PoisonPill
from ..failure import Failure
from ..job.reservation import Reservation
from .action import Action
from .outcome import LOST, Outcome
from .policy import Policy


class OnLost(Policy):
    """``--on-lost=requeue``: back to its queue, until it has been lost `max_attempts` times."""

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        if outcome.kind != LOST:
            return None
        poison = Failure.of(PoisonPill.of(self._max_attempts, outcome.error))
        if outcome.failure is not None:
            poison = poison.explained(outcome.failure.forensics)
        return Action("lost", poison)
