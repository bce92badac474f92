"""The supervisor's pauses, told from a history of workers that died."""

from __future__ import annotations

import logging
import re

import pytest

from resque_fork.pool import LONGEST_PAUSE, MIN_UPTIME, Pool
from resque_fork.settings import Settings
from resque_fork.worker.worker import Worker


def never() -> Worker:
    raise AssertionError("no worker is started in this process")


def pauses(caplog: pytest.LogCaptureFixture, *lived: float) -> list[float]:
    """The pauses before each replacement, of workers that lived for so many seconds."""
    pool = Pool(never, Settings(count=2))
    with caplog.at_level(logging.WARNING, "resque_fork"):
        for pid, seconds in enumerate(lived, 100):
            pool._replace(pid, seconds)
    said = "\n".join(caplog.messages)
    return [float(pause) for pause in re.findall(r"starting another in (\S+) seconds", said)]


def test_one_that_had_been_running_well_is_replaced_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However often that happens."""
    assert pauses(caplog, MIN_UPTIME, 100.0, 1e6) == [0.0, 0.0, 0.0]


def test_the_pause_grows_for_those_that_die_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The first one at once, then in growing pauses, up to the longest."""
    grown = pauses(caplog, *[0.1] * 10)
    assert grown == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert grown[-1] == LONGEST_PAUSE


def test_one_good_life_ends_the_pauses(caplog: pytest.LogCaptureFixture) -> None:
    """What was wrong has passed."""
    assert pauses(caplog, 0.1, 0.1, 0.1, MIN_UPTIME, 0.1, 0.1) == [0.0, 0.5, 1.0, 0.0, 0.0, 0.5]
