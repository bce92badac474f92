"""How a job declares its retries, and when each of them is due."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from resque_fork import DirtyExit, GiveUp, Retry, RetryLater, SettingsError, job
from resque_fork.errors import PruneDeadWorkerDirtyExit
from resque_fork.job.registry import registry
from resque_fork.text import LONGEST_DELAY

pytestmark = pytest.mark.usefixtures("own_jobs")


def least(low: float, high: float) -> float:
    return low


def most(low: float, high: float) -> float:
    return high


@pytest.mark.parametrize("nothing", [None, False, 0])
def test_no_retries(nothing: Any) -> None:
    """None, False and 0 say that a job is not retried."""
    assert Retry.declared(nothing) is None


def test_ways_to_declare() -> None:
    """A number of attempts, a list of delays, or all of it."""
    assert Retry.declared(5) == Retry(5)
    assert Retry.declared([0, "1m", datetime.timedelta(hours=1)]) == Retry(3, (0, 60, 3600))
    assert Retry.declared(Retry(2, queue="low")) == Retry(2, queue="low")


def test_jobs_declare_it() -> None:
    """Functions and classes alike; the declaration keeps it."""

    @job(queue="hooks", retry=5)
    def hook() -> None: ...

    assert hook.declaration.retry == Retry(5)
    assert registry.retries()["hook"] == Retry(5)


@pytest.mark.parametrize(
    ("retry", "problem"),
    [
        (True, "retry=True is not valid: expected a number of attempts, a list of delays, or a "),
        ("often", "retry='often' is not valid: "),
        (1.5, "retry=1.5 is not valid: "),
        ([], r"retry=\[\] is not valid: "),
        (-1, "Retry: attempts=-1 is not valid: expected 1 or more."),
        (["soon"], "Retry: delays='soon' is not valid: expected a time such as 30, 10m, 6h or 2d."),
        ([-1], "Retry: delays=-1 is not valid: expected a time such as "),
        ([float("nan")], "Retry: delays=nan is not valid: "),
        (["9999d"], "Retry: delays='9999d' is not valid: expected at most ten years."),
    ],
)
def test_what_is_no_retry(retry: Any, problem: str) -> None:
    """Is refused where the job is declared, with what is expected."""
    with pytest.raises(SettingsError, match=f"^{problem}"):
        Retry.declared(retry)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"attempts": "3"}, "attempts='3' is not valid: expected a whole number."),
        ({"attempts": True}, "attempts=True is not valid: expected a whole number."),
        ({"delays": 5}, "delays=5 is not valid: expected a list of times."),
        ({"delay": "x"}, "delay='x' is not valid: expected a time such as 30, 10m, 6h or 2d."),
        ({"growth": 0.5}, "growth=0.5 is not valid: expected a number, 1 or more."),
        ({"jitter": -1}, "jitter=-1 is not valid: expected a number, 0 or more."),
        ({"jitter": float("nan")}, "jitter=nan is not valid: expected a number, 0 or more."),
        ({"on": OSError()}, r"on=OSError\(\) is not valid: expected classes of exceptions."),
        ({"never": (int,)}, "never=.* is not valid: expected classes of exceptions."),
        ({"queue": ""}, "queue='' is not valid: expected the name of a queue."),
    ],
)
def test_what_a_retry_cannot_be(options: dict[str, Any], problem: str) -> None:
    """Each part is looked at."""
    with pytest.raises(SettingsError, match=f"^Retry: {problem}"):
        Retry(**{"attempts": 3, **options})


def test_delays_unless_told() -> None:
    """15 seconds and the fourth power of the number, as Sidekiq's."""
    retry = Retry(25)
    assert [retry.seconds_before(n) for n in (1, 2, 3, 10, 25)] == [16, 31, 96, 10_015, 390_640]


def test_listed_delays() -> None:
    """As they are listed; the last holds for further attempts."""
    retry = Retry(4, [0, 60])
    assert [retry.seconds_before(n) for n in (1, 2, 3, 4)] == [0, 60, 60, 60]


def test_growing_delays() -> None:
    """Each is the one before multiplied, up to the longest."""
    retry = Retry(6, delay=15, growth=3, longest="6m")
    assert [retry.seconds_before(n) for n in (1, 2, 3, 4, 5)] == [15, 45, 135, 360, 360]
    assert Retry(9, delay=60, growth=1e300).seconds_before(9) == LONGEST_DELAY


def test_jitter_only_lengthens() -> None:
    """By up to its share of the delay: no retry comes sooner than it was declared."""
    retry = Retry(3, delay=100, jitter=0.2)
    assert retry.seconds_before(1, least) == 100
    assert retry.seconds_before(1, most) == 120
    assert all(100 <= retry.seconds_before(1) <= 120 for _ in range(100))


def test_which_errors() -> None:
    """All unless told; those in `on` with their subclasses; never those in `never`."""
    assert Retry(1).applies_to(KeyError())
    some = Retry(1, on=(OSError, DirtyExit), never=ConnectionError)
    assert some.applies_to(FileNotFoundError())
    assert some.applies_to(PruneDeadWorkerDirtyExit())
    assert not some.applies_to(KeyError())
    assert not some.applies_to(ConnectionResetError())


def test_as_others_read_it() -> None:
    """Whoever has not loaded the application decides alike, by the names of errors."""
    retry = Retry(4, delay=15, growth=2, longest="1h", within="2d", on=(OSError, DirtyExit))
    read = Retry.from_json(retry.to_json())
    assert read is not None
    assert [read.seconds_before(n) for n in (1, 2)] == [15, 30]
    for error in (PruneDeadWorkerDirtyExit(), DirtyExit(), FileNotFoundError(), KeyError()):
        assert read.applies_to(error) == retry.applies_to(error)
    assert Retry.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"\xff", b"{}", b'{"attempts":0}', b'{"attempts":1,"new":1}']
)
def test_what_is_no_declaration(text: bytes) -> None:
    """Anything may stand in Redis; what cannot be read declares nothing."""
    assert Retry.from_json(text) is None
    assert Retry.from_json(b"[" * 100_000) is None


@pytest.mark.parametrize(("passed", "in_time"), [(0, True), (90, True), (91, False)])
def test_within(passed: float, in_time: bool) -> None:
    """A retry that would begin too long after the first failure is not made."""
    assert Retry(5, within=100).is_in_time(1000 + passed, 1000, 10) == in_time
    assert Retry(5).is_in_time(1e9, 1000, 10)


def test_retry_later_takes_times() -> None:
    """Seconds, or text with a unit; its text tells a person."""
    assert RetryLater("10m").seconds == 600
    assert not RetryLater(30, counts=False).counts
    assert str(RetryLater(datetime.timedelta(minutes=1))) == "again in 60 seconds"
    assert issubclass(GiveUp, Exception)
    problem = r"RetryLater\('soon'\) is not valid: expected a time such as 30, 10m, 6h or 2d\."
    with pytest.raises(ValueError, match=f"^{problem}$"):
        RetryLater("soon")
    assert RetryLater(LONGEST_DELAY).seconds == LONGEST_DELAY
    problem = r"RetryLater\('600w'\) is not valid: expected at most ten years\."
    with pytest.raises(ValueError, match=f"^{problem}$"):
        RetryLater("600w")
