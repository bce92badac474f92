"""What one job may use, as it is declared and as it is told of."""

from typing import Any

import pytest

from resque_fork.errors import SettingsError
from resque_fork.job.limits import NO_LIMITS, Limits


def test_declared() -> None:
    """Limits are seconds, and sizes as people write them; what is not said is no limit."""
    assert Limits.declared(30, "512M", "1.5") == Limits(30.0, 512 * 1024**2, 1.5)
    assert Limits.declared(memory=1000) == Limits(None, 1000, None)
    assert Limits.declared() == NO_LIMITS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout": 0}, "timeout=: 0 is not valid: expected a time of more than 0 seconds."),
        ({"cpu": "x"}, "cpu=: 'x' is not valid: expected a time such as 30"),
        ({"timeout": True}, "timeout=: True is not valid"),
        ({"timeout": float("nan")}, "timeout=: nan is not valid"),
        ({"memory": "much"}, "memory=: 'much' is not valid: expected a size such as 512K, 8M or"),
        ({"memory": 0}, "memory=: 0 is not valid"),
    ],
)
def test_limit_that_makes_no_sense(given: dict[str, Any], message: str) -> None:
    """A limit that makes no sense is refused by name, when the job is declared."""
    with pytest.raises(SettingsError) as caught:
        Limits.declared(**given)
    assert str(caught.value).startswith(message)


def test_or_else() -> None:
    """What a job does not say is as the worker says."""
    mine, theirs = Limits(timeout=1.0), Limits(timeout=2.0, memory=3, cpu=4.0)
    assert mine.or_else(theirs) == Limits(1.0, 3, 4.0)
    assert NO_LIMITS.or_else(theirs) == theirs
    assert theirs.or_else(NO_LIMITS) == theirs


def test_told() -> None:
    """A job that is over a limit is told of it in the numbers of its declaration."""
    limits = Limits.declared(90, "512M", 0.5)
    assert limits.out_of_time() == "The job ran longer than its limit of 90 seconds"
    assert limits.out_of_cpu() == "The job used more CPU than its limit of 0.5 seconds"
    assert limits.out_of_memory() == "The job needed more memory than its limit of 512M"


def test_close_to_the_limit_of_memory() -> None:
    """A fourth of it away, or less; without a limit nothing is close."""
    limits = Limits.declared(memory="64M")
    words = "close to its limit of memory of 64M"
    assert limits.near_memory(48 * 1024**2) == words
    assert limits.near_memory(64 * 1024**2) == words
    assert limits.near_memory(48 * 1024**2 - 1) == ""
    assert NO_LIMITS.near_memory(1024**4) == ""
