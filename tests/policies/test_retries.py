"""Jobs with ``retry=``: what becomes of each end of theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from resque_fork import (
    Action,
    DirtyExit,
    GiveUp,
    JobTimeout,
    PoisonPill,
    PruneDeadWorkerDirtyExit,
    Retry,
    RetryLater,
    Settings,
    UnknownJob,
    UnreadablePayload,
    job,
)
from resque_fork.failure import Failure
from resque_fork.job.reservation import Reservation
from resque_fork.policies import Outcome, Policies
from resque_fork.policies.policies import decided
from resque_fork.policies.retries import decide
from resque_fork.wire.job import Payload

pytestmark = pytest.mark.usefixtures("own_jobs")

FAILURE = Failure("TermException", "SIGTERM")
HOOK = Reservation("hooks", Payload.of("hook", []), declared=Retry(3, delay=10))
NOW = 1_000_000.0


def actions(outcome: Outcome, job: Reservation = HOOK, **settings: Any) -> str:
    return Policies.of(Settings(**settings)).of_end(job, outcome).verb


# --- what a job raises


def test_exception_is_retried() -> None:
    """While there are attempts left, with the delay of the next."""
    for failures in (0, 1, 2):
        action = decide(Retry(3), replace(HOOK, failures=failures), OSError(), NOW)
        assert action == Action("later", seconds=15 + (failures + 1) ** 4)
    assert decide(Retry(3), replace(HOOK, failures=3), OSError(), NOW) is None


def test_exception_that_is_not_meant() -> None:
    """Fails the job at its first attempt."""
    assert decide(Retry(3, on=OSError), HOOK, KeyError(), NOW) is None
    assert decide(Retry(3, never=OSError), HOOK, FileNotFoundError(), NOW) is None


def test_retry_later() -> None:
    """Has the job come back when it says, whatever errors are retried, as one of its attempts."""
    retry = Retry(1, on=OSError)
    assert decide(retry, HOOK, RetryLater(30), NOW) == Action("later", seconds=30)
    assert decide(retry, replace(HOOK, failures=1), RetryLater(30), NOW) is None
    free = Action("later", seconds=30, counts=False)
    assert decide(retry, replace(HOOK, failures=9), RetryLater(30, counts=False), NOW) == free


def test_retry_later_that_says_no_time() -> None:
    """A subclass may have forgotten to call ours, or say anything: then it is like other errors."""

    class Forgetful(RetryLater):
        def __init__(self) -> None: ...

    strange = RetryLater(30)
    for seconds in ("soon", -1, 1e300, None):
        vars(strange)["seconds"] = seconds
        for error in (strange, Forgetful()):
            assert decide(Retry(2, delay=7), HOOK, error, NOW) == Action("later", seconds=7)
            assert decide(Retry(2, on=OSError), HOOK, error, NOW) is None


def test_give_up() -> None:
    """Fails the job however many attempts it has left."""
    assert decide(Retry(3), HOOK, GiveUp("bad address"), NOW) is None


def test_within() -> None:
    """The time since the first failure ends it, too."""
    late = replace(HOOK, failures=1, first_failed=NOW - 100)
    retry = Retry(9, delay=10, within=105)
    assert decide(retry, late, OSError(), NOW) is None
    assert decide(retry, replace(late, first_failed=NOW - 95), OSError(), NOW) is not None
    assert decide(retry, HOOK, OSError(), NOW) is not None


def test_decision_in_the_child() -> None:
    """By the declaration; RetryLater of a job without one says why the job has failed."""

    @job(queue="hooks", retry=[7])
    def declares() -> None: ...

    @job(queue="hooks")
    def declares_nothing() -> None: ...

    error: BaseException = OSError()
    reserved = Reservation("hooks", Payload.of("declares", []))
    assert decided(reserved, error) == (Action("later", seconds=7), error)
    error = RetryLater("10m")
    without = Reservation("hooks", Payload.of("declares_nothing", []))
    assert decided(without, error) == (None, error)
    told = "again in 600 seconds\nThe job has failed: declares_nothing declares no retry=."
    assert Failure.of(error).error == told


# --- what becomes of it in the worker


def test_what_the_child_decided() -> None:
    """The worker carries it out, with the failure that the child reported."""
    outcome = Outcome("failed", FAILURE, action=Action("later", seconds=5))
    action = Policies.of(Settings()).of_end(HOOK, outcome)
    assert action == Action("later", FAILURE, seconds=5)


@pytest.mark.parametrize(
    "error", [DirtyExit("died"), PruneDeadWorkerDirtyExit("gone"), JobTimeout(), MemoryError()]
)
def test_deaths_are_retried(error: BaseException) -> None:
    """Of its process, of its worker, and of its limits: they are classes like others."""
    outcome = Outcome.of("lost" if isinstance(error, DirtyExit) else "failed", error)
    action = Policies.of(Settings(on_lost="requeue")).of_end(HOOK, outcome)
    assert action == Action("later", Failure.of(error), seconds=10)
    others = replace(HOOK, declared=Retry(3, on=OSError))
    assert actions(outcome, others) == "failed"


def test_deaths_that_are_not_meant() -> None:
    """Of those ``--on-lost`` decides."""
    outcome = Outcome.of("lost", DirtyExit("died"))
    others = replace(HOOK, declared=Retry(3, on=OSError))
    assert actions(outcome, others, on_lost="requeue") == "lost"


def test_last_death() -> None:
    """A job that has used up its attempts has failed, whatever ``--on-lost`` says."""
    outcome = Outcome.of("lost", DirtyExit("died"))
    assert actions(outcome, replace(HOOK, failures=3), on_lost="requeue") == "failed"


@pytest.mark.parametrize("error", [UnreadablePayload(), UnknownJob(), PoisonPill()])
def test_what_is_no_job_here(error: BaseException) -> None:
    """Is not tried again."""
    assert actions(Outcome.of("failed", error)) == "failed"


@pytest.mark.parametrize("on_term", ["fail", "requeue"])
@pytest.mark.parametrize("failures", [0, 3])
@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("stopped", FAILURE),
        Outcome.of("lost", DirtyExit("killed with its worker")),
        Outcome("failed", FAILURE, by_term=True),
    ],
    ids=lambda outcome: outcome.kind,
)
def test_stopped_with_its_worker(outcome: Outcome, failures: int, on_term: str) -> None:
    """It goes to the front of its queue at once, also in its last attempt: a deploy costs none."""
    job = replace(HOOK, failures=failures)
    assert actions(replace(outcome, worker_stops=True), job, on_term=on_term) == "back"


def test_stopped_alone() -> None:
    """A person has stopped this job: it fails."""
    assert actions(Outcome("stopped", FAILURE, JobTimeout())) == "failed"


def test_term_from_somebody_else() -> None:
    """Is an exception like others."""
    outcome = Outcome("failed", FAILURE, SystemExit(), by_term=True)
    assert actions(outcome) == "later"


def test_own_error_while_the_worker_stops() -> None:
    """Is no stop: the attempt counts."""
    outcome = Outcome("failed", FAILURE, action=Action("later", seconds=1), worker_stops=True)
    assert actions(outcome) == "later"


def test_job_of_no_queue() -> None:
    """What cannot be read enough to know its queue cannot come back to it."""
    assert actions(Outcome.of("failed", DirtyExit()), replace(HOOK, queue="")) == "failed"
