"""The first policy that answers decides what becomes of a job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from resque_fork import Action, DirtyExit, Policy, Settings, SettingsError, add_policy, job
from resque_fork.failure import Failure
from resque_fork.job.registry import registry
from resque_fork.job.reservation import Reservation
from resque_fork.policies import Outcome, Policies, policies
from resque_fork.policies.policies import decided
from resque_fork.wire.job import Payload

pytestmark = pytest.mark.usefixtures("own_jobs")

MAIL = Reservation("mail", Payload.of("Mail", []))
FAILURE = Failure("ValueError", "why")
DEATH = DirtyExit("it is gone")
LOST = Outcome.of("lost", DEATH)
STOPPED = Outcome("stopped", FAILURE)
BY_TERM = Outcome("failed", FAILURE, by_term=True)


@pytest.fixture
def added() -> Iterator[None]:
    """Policies that a test adds are gone after it."""
    before, options = list(policies._added), dict(registry._options)
    yield
    policies._added[:] = before
    registry._options.clear()
    registry._options.update(options)


@pytest.mark.parametrize(
    ("outcome", "settings", "action"),
    [
        (Outcome("done"), {}, Action.DONE),
        (Outcome("failed", FAILURE), {}, Action("failed", FAILURE)),
        (Outcome("not started", error=OSError()), {}, Action.PUT_BACK),
        (Outcome("failed", FAILURE, action=Action.PUT_BACK), {}, Action.PUT_BACK),
        (Outcome("failed", FAILURE, action=Action.DONE), {}, Action.DONE),
        (STOPPED, {"on_term": "requeue"}, Action("failed", FAILURE)),
        (Outcome("stopped", FAILURE, worker_stops=True), {}, Action("failed", FAILURE)),
        (Outcome("stopped", FAILURE, worker_stops=True), {"on_term": "requeue"}, Action.PUT_BACK),
        (BY_TERM, {"on_term": "requeue"}, Action("failed", FAILURE)),
        (replace(BY_TERM, worker_stops=True), {"on_term": "requeue"}, Action.PUT_BACK),
        (LOST, {}, Action("failed", Failure.of(DEATH))),
        (Outcome("killed", FAILURE), {"on_lost": "requeue"}, Action("killed", FAILURE)),
        (
            Outcome("killed", FAILURE, worker_stops=True),
            {"on_term": "requeue"},
            Action("killed", FAILURE),
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_outcomes_and_actions(outcome: Outcome, settings: Any, action: Action) -> None:
    """Each outcome has one action, by the settings on_term and on_lost."""
    assert Policies.of(Settings(**settings)).of_end(MAIL, outcome) == action


def test_lost_job_goes_back_until_it_is_poison() -> None:
    """With on_lost=requeue; the failure that is written in the end tells how often, and of what."""
    told = Policies.of(Settings(on_lost="requeue", max_attempts=3))
    action = told.of_end(MAIL, LOST.explained({"signal": "SIGKILL"}))
    assert action.verb == "lost"
    assert action.failure is not None
    assert action.failure.exception == "ResqueFork::PoisonPill"
    assert "3" in action.failure.error
    assert action.failure.forensics == {"signal": "SIGKILL"}


class Busy(Exception):
    """Somebody else holds the lock."""


def _exceptions(value: Any) -> Any:
    if not (isinstance(value, type) and issubclass(value, Exception)):
        raise ValueError("must be a class of exceptions")
    return value


class HoldBack(Policy):
    options: ClassVar[Any] = {"hold_back": _exceptions}

    def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
        kind = job.option("hold_back")
        return Action.PUT_BACK if kind and isinstance(error, kind) else None


def reserved(name: str) -> Reservation:
    return Reservation("mail", Payload.of(name, []))


@pytest.mark.usefixtures("added")
def test_policy_of_the_application() -> None:
    """It knows its job, and the options that the job declares for it."""
    add_policy(HoldBack())

    @job(queue="mail", options={"hold_back": Busy})
    def locked() -> None: ...

    @job(queue="mail")
    def free() -> None: ...

    busy, other = Busy(), OSError()
    assert decided(reserved("locked"), busy) == (Action.PUT_BACK, busy)
    assert decided(reserved("locked"), other) == (None, other)
    assert decided(reserved("free"), busy) == (None, busy)


@pytest.mark.usefixtures("added")
def test_policies_are_asked_in_their_order() -> None:
    """The one that was added first answers first."""

    class Done(Policy):
        def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
            return Action.DONE

    class Back(Policy):
        def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
            return Action.PUT_BACK

    add_policy(Done())
    add_policy(Back())
    assert decided(MAIL, OSError())[0] == Action.DONE


@pytest.mark.usefixtures("added")
def test_policy_that_raises_fails_the_job_with_both_errors() -> None:
    """Its own error and that of the job."""

    class Broken(Policy):
        def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
            raise LookupError("no such lock")

    add_policy(Broken())
    action, error = decided(MAIL, OSError("gone"))
    assert action is None
    assert str(error) == (
        "Additional error (LookupError: no such lock) occurred in deciding by policies "
        "for job Mail\nOriginal error that caused job failure was OSError: gone"
    )


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("answer", [True, Action("lost"), Action("failed", FAILURE)])
def test_policy_that_answers_something_else(answer: Any) -> None:
    """It is told what it may return, and the job fails."""

    class Wrong(Policy):
        def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
            return answer  # type: ignore[no-any-return]

    add_policy(Wrong())
    action, error = decided(MAIL, OSError("gone"))
    assert action is None
    assert "Wrong.of_exception returned" in str(error)
    assert "and not Action.DONE, Action.PUT_BACK or None" in str(error)


@pytest.mark.usefixtures("added")
def test_options_are_checked() -> None:
    """An option that no policy has, one that it does not take, and two of one name."""
    with pytest.raises(SettingsError) as unknown:
        job(queue="mail", options={"hold": Busy})(print)
    assert str(unknown.value) == (
        "print: no policy has the option 'hold' (there are: none). "
        "Add the policy before the job is declared."
    )
    add_policy(HoldBack())
    with pytest.raises(SettingsError) as wrong:
        job(queue="mail", options={"hold_back": 5})(print)
    assert str(wrong.value) == "print: hold_back must be a class of exceptions, not 5."
    with pytest.raises(SettingsError) as twice:
        add_policy(HoldBack())
    assert str(twice.value) == "Two policies have an option 'hold_back': rename one of them."
