"""The policies in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..job.registry import registry
from ..job.reservation import Reservation, with_second_error
from ..settings import Settings
from .action import Action
from .failures import InFailedList
from .losses import OnLost
from .outcome import DONE, FAILED, Outcome
from .policy import Policy
from .retries import Retries
from .stops import Killed, NotStarted, OnTerm

_added: list[Policy] = []


def add_policy(policy: Policy) -> Policy:
    """Have a policy of the application decide about exceptions, after those added before it.

    Jobs that use its options are to be declared after this. Raises SettingsError if another
    policy has an option of the same name.
    """
    registry.add_options(policy.options)
    _added.append(policy)
    return policy


class Policies:
    """`built_in` decide about every end, the first that answers; the last always does."""

    def __init__(self, built_in: Sequence[Policy]) -> None:
        self._built_in = [*built_in, InFailedList()]

    @classmethod
    def of(cls, settings: Settings) -> Policies:
        """Those that these settings ask for."""
        found: list[Policy] = [AsDecided(), Killed(), NotStarted(), Retries()]
        if settings.on_term == "requeue":
            found.append(OnTerm())
        if settings.on_lost == "requeue":
            found.append(OnLost(settings.max_attempts))
        return cls(found)

    def of_end(self, job: Reservation, outcome: Outcome) -> Action:
        """What is to be done about a job that has ended; one that is done needs no policy."""
        if outcome.kind == DONE:
            return Action.DONE
        answers = (policy.of_end(job, outcome) for policy in self._built_in)
        return next(answer for answer in answers if answer is not None)


class AsDecided(Policy):
    """What a policy has decided in the child, with the live exception."""

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        if outcome.kind != FAILED or outcome.action is None:
            return None
        if outcome.action.verb != "later":
            return outcome.action
        return replace(outcome.action, failure=outcome.failure)


def decided(job: Reservation, error: BaseException) -> tuple[Action | None, BaseException]:
    """What a policy decides about what a job raised, and what the job has failed of.

    If a policy raises, that is one error that tells of both.
    """
    try:
        for policy in _added:
            action = policy.of_exception(job, error)
            if action in (Action.DONE, Action.PUT_BACK):
                return action, error
            if action is not None:
                raise TypeError(
                    f"{type(policy).__name__}.of_exception returned {action!r}, and not "
                    "Action.DONE, Action.PUT_BACK or None"
                )
    except Exception as second:
        return None, with_second_error(error, second, "deciding by policies", job.class_name)
    return Retries().of_exception(job, error), error
