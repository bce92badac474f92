"""What is to be done about a job that has ended; the worker's next step carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..failure import Failure


@dataclass(frozen=True, slots=True)
class Action:
    """One verb of the step, and the failure that it writes.

    ``done`` counts the job as performed. ``back`` puts it in front of its queue, and counts
    nothing. ``failed`` writes its failed entry. ``lost`` puts it in front of its queue, or
    writes its failed entry if it has been lost too often, which only the step knows.
    """

    verb: str
    failure: Failure | None = None

    DONE: ClassVar[Action]
    PUT_BACK: ClassVar[Action]


Action.DONE = Action("done")
Action.PUT_BACK = Action("back")
