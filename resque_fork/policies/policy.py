"""The base of policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ..job.reservation import Reservation
from .action import Action
from .outcome import Outcome


class Policy:
    """Decides what becomes of a job; None leaves that to the policies after it.

    `options` are options of ``@job(...)`` by name, each with a function that checks what is
    given and returns what `Reservation.option` is to return. It raises ValueError, which
    says what is expected.
    """

    options: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
        """In the child, with what the job raised: ``Action.DONE``, ``Action.PUT_BACK`` or None.

        With an action the job has no failed entry, and neither on_failure hooks nor failure
        backends run. What is raised here fails the job, together with its own exception.
        """
        return None

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        """In the parent, of any outcome. Only the built-in policies are asked."""
        return None
