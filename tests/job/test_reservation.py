"""A job that was taken from its queue: what it is, how logs show it, and how it is performed."""

from typing import Any

import pytest

from resque_fork import Resque, job
from resque_fork.errors import UnknownJob
from resque_fork.job.reservation import Reservation
from resque_fork.wire.job import Payload

pytestmark = pytest.mark.usefixtures("own_jobs")


def taken(name: str, *args: Any, queue: str = "email") -> Reservation:
    return Reservation(queue, Payload.of(name, args))


def test_equality_is_queue_class_args() -> None:
    """Two jobs are equal when queue, class and arguments are, and else are not."""
    assert taken("A", 1, [2]) == taken("A", 1, [2])
    for other in (taken("B", 1, [2]), taken("A", 1, [3]), taken("A", 1, [2], queue="low")):
        assert taken("A", 1, [2]) != other


def test_shows_queue_class_args() -> None:
    """A job's text is what Resque logs: queue, class and arguments."""
    assert str(taken("Mail", 7, "x", {"a": None})) == "(Job{email} | Mail | [7, 'x', {'a': None}])"


def test_long_arguments_are_shortened() -> None:
    """Arguments of megabytes do not fill the log."""
    shown = str(taken("A", "x" * 10_000))
    assert shown.startswith("(Job{email} | A | ['xxx")
    assert shown.endswith("xxx...)")
    assert len(shown) < 2100


def test_sensitive_arguments_are_not_shown() -> None:
    """The arguments of a job that is declared sensitive stand in no log."""

    @job(sensitive=True)
    def login(password: str) -> None: ...

    assert str(taken("login", "hunter2")) == "(Job{email} | login | [not shown])"


def test_redacted_arguments_are_not_shown() -> None:
    """Nor do the arguments that a job has redacted; the others do."""

    @job(redact=["password"])
    def login(user: str, password: str) -> None: ...

    shown = "(Job{email} | login | ['ada', '[redacted by resque-fork]'])"
    assert str(taken("login", "ada", "hunter2")) == shown


def test_reserve_returns_job_with_class_and_args(resque: Resque) -> None:
    """What is reserved has queue, class and arguments in order, and is off the queue."""
    resque.enqueue_to("email", "A", 1, "x")
    reservation = resque.reserve("email")
    assert reservation is not None
    assert (reservation.queue, reservation.class_name, reservation.args) == ("email", "A", [1, "x"])
    assert resque.reserve("email") is None


def test_performs() -> None:
    """Performed in place, a job says whether it was, and raises what the job raises."""
    done: list[int] = []

    @job
    def work(number: int) -> None:
        done.append(1 // number)

    assert taken("work", 1).perform() is True
    assert done == [1]
    with pytest.raises(ZeroDivisionError):
        taken("work", 0).perform()


def test_unknown_job_cannot_be_performed() -> None:
    """A job that is not declared here is an error, and runs no hooks."""
    with pytest.raises(UnknownJob, match="No job is registered as 'never declared'"):
        taken("never declared").perform()


def test_performing_with_wrong_arguments_is_a_failure() -> None:
    """A job that gets arguments it does not take fails as itself."""

    @job
    def work(number: int) -> None: ...

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        taken("work", 1, 2).perform()
