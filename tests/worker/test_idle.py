"""How long an idle worker sleeps: Resque's intervals, and pauses after races that were lost."""

from typing import Any

import pytest

from resque_fork.settings import Settings
from resque_fork.worker.idle import IdleBackoff


def pauses(interval: float, *events: str, **settings: Any) -> list[float]:
    """The pauses of a worker that finds nothing (``.``) or a job (``j``)."""
    pace = IdleBackoff(interval, Settings(**settings))
    found = []
    for event in "".join(events):
        if event == "j":
            pace.after_job()
        else:
            found.append(round(pace.next(), 3))
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [5, 5, 5, 5]),  # constant
        ({"max_interval": 5.15}, [5.1, 5.15, 5.1, 5.15]),  # and never a pause right after a job
        ({"min_interval": 1, "backoff_interval": 3}, [5, 5, 4, 5]),  # a job makes it fast
        ({"max_interval": 2}, [2, 2, 2, 2]),  # everything is at most that
        ({"min_interval": 9}, [5, 5, 5, 5]),
        ({"min_interval": 9, "max_interval": 12, "backoff_interval": 1}, [10, 11, 10, 11]),
        ({"min_interval": 0, "max_interval": 1, "backoff_interval": 9}, [1, 1, 1, 1]),
        ({"min_interval": 0.5, "backoff_interval": 0}, [5, 5, 0.5, 0.5]),
    ],
)
def test_pause_grows_and_falls_back(settings: dict[str, float], expected: list[float]) -> None:
    """The pause grows with each look that finds nothing, and falls to its least after a job."""
    assert pauses(5, "..j..", **settings) == expected


def test_races_that_were_lost() -> None:
    """After each lost race a worker is deaf for longer at most, in a large fleet above all."""
    longest: list[float] = []

    def choose(low: float, high: float) -> float:
        assert low == 0
        longest.append(high)
        return high

    pace = IdleBackoff(5, Settings(), choose)
    for _ in range(20):
        pace.after_lost_race(1)
    assert longest[:2] == [0.01, 0.01]  # one that is alone need not be deaf
    for _ in range(20):
        pace.after_lost_race(100_000)
    assert longest[-1] == 5  # never for longer than it would sleep anyway
    for _ in range(20):
        pace.after_job()
    assert [pace.after_lost_race(100_000) for _ in range(3)] == [0.02, 0.08, 0.32]
    pace.after_job()
    assert pace.after_lost_race(100_000) == 0.64  # two races won make up for one lost


def test_who_listens() -> None:
    """Everybody, until a whole interval has passed; then, in a large fleet, some by chance."""
    chances = iter([19.9, 20.0, 499.0])

    def choose(low: float, high: float) -> float:
        assert (low, high) == (0, 500)
        return next(chances)

    pace = IdleBackoff(5, Settings(), choose)
    assert pace.listens(500)
    pace.next()
    assert [pace.listens(500) for _ in range(2)] == [True, False]
    pace.after_job()
    assert pace.listens(500)
    pace.next()
    assert not pace.listens(500)
    assert IdleBackoff(5, Settings()).listens(500)


def test_a_small_fleet_always_listens() -> None:
    """However quiet it is, and whatever chance says."""
    pace = IdleBackoff(5, Settings())
    pace.next()
    assert all(pace.listens(fleet) for fleet in range(1, 20) for _ in range(50))


def test_who_lost_a_race_listens_by_chance() -> None:
    """As after a whole interval: of those who wake for each job, few should be left."""
    pace = IdleBackoff(5, Settings(), lambda low, high: high)
    assert pace.listens(500)
    pace.after_lost_race(500)
    assert not pace.listens(500)
    assert pace.listens(19)
    pace.after_job()
    assert pace.listens(500)
