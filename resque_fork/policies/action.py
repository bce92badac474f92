"""What is to be done about a job that has ended; the worker's next step carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..failure import Failure
from ..text import LONGEST_DELAY

DECIDED_IN_CHILD = ("done", "back", "later")


@dataclass(frozen=True, slots=True)
class Action:
    """What is done about a job that has ended: one verb of the step, and the failure it writes.

    A policy of the application returns ``Action.DONE`` or ``Action.PUT_BACK``.

    ``done`` counts the job as performed. ``back`` puts it in front of its queue, and counts
    nothing. ``failed`` writes its failed entry. ``lost`` puts it in front of its queue, or
    writes its failed entry if it has been lost too often, which only the step knows. ``killed``
    counts it as processed, and writes that it was killed if it is tracked. ``later``
    has it performed again after `seconds`. If it `counts`, that is one of its retries, and the
    step writes its failed entry instead if none is left.
    """

    verb: str
    failure: Failure | None = None
    seconds: float = 0.0
    counts: bool = True

    DONE: ClassVar[Action]
    PUT_BACK: ClassVar[Action]

    @classmethod
    def reported(cls, verb: str, seconds: float, counts: bool) -> Action:
        """What a child says that a policy has decided. Raises ValueError."""
        if verb not in DECIDED_IN_CHILD or not 0 <= seconds <= LONGEST_DELAY:
            raise ValueError("not what a policy may decide in a child")
        return cls(verb, seconds=seconds, counts=counts)


Action.DONE = Action("done")
Action.PUT_BACK = Action("back")
