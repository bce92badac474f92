"""Schedules that an application sets at run time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from resque_fork import ArgumentsError, NoQueueError, Resque, SettingsError, WrongKeyType, job
from resque_fork.job import cron
from resque_fork.job.schedule import Schedule
from resque_fork.store.schedules import Declared
from resque_fork.wire.keys import Keys

pytestmark = pytest.mark.usefixtures("own_jobs")

KEYS = Keys()


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    resque = Resque(redis_url)
    yield resque
    resque.close()


def test_set(resque: Resque, redis: Redis) -> None:
    """In the bytes of resque-scheduler, which is told that something has changed."""

    @job(queue="pings")
    def ping(url: str, timeout: int = 5) -> None: ...

    resque.set_schedule("acme", ping, "https://acme.example", every="5m", description="d")
    assert redis.hgetall(KEYS.schedules) == {
        b"acme": b'{"every":"300s","class":"ping","queue":"pings",'
        b'"args":["https://acme.example"],"description":"d"}'
    }
    assert redis.smembers(KEYS.schedules_changed) == {b"acme"}
    resque.set_schedule(
        "acme", "Other::Ping", cron="0 7 * * *", queue="low", catch_up="none", every=None
    )
    assert redis.hgetall(KEYS.schedules) == {
        b"acme": b'{"cron":"0 7 * * * UTC","class":"Other::Ping","queue":"low","args":[]}'
    }
    assert redis.hget(KEYS.own_schedules, "acme") == b'{"catch_up":"none"}'


@pytest.mark.parametrize("how", [{"cron": "0 7 * * *"}, {"cron": "@daily"}, {"every": "5m"}])
def test_counted_from_then(resque: Resque, how: dict[str, Any]) -> None:
    """Clocks read the timing that it has been counted by: its next tick counts, however soon."""
    resque.set_schedule("acme", "Ping", queue="q", **how)
    [stored] = resque.schedules.load().schedules
    assert stored.tick is not None
    assert stored.tick.timing == Schedule.from_json("acme", stored.raw).timing


def test_remove(resque: Resque, redis: Redis) -> None:
    """True once."""
    resque.set_schedule("acme", "Ping", every=5, queue="q")
    assert resque.remove_schedule("acme") is True
    assert resque.remove_schedule("acme") is False
    assert redis.keys("*") == [KEYS.schedules_changed.encode()]


def test_declared_by_workers(resque: Resque) -> None:
    """They would declare it again."""
    schedule = Schedule("acme", "J", "q", every=5)
    declared = Declared("acme", schedule.timing, schedule.to_json())
    resque.schedules.declare([declared], anew=True)
    told = "Workers declare a schedule 'acme': give this one another name."
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        resque.set_schedule("acme", "Ping", every=5, queue="q")
    told = "Workers declare the schedule 'acme': take it out of the application, or pause it."
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        resque.remove_schedule("acme")


@pytest.mark.parametrize(
    ("how", "error", "problem"),
    [
        ({"every": 5}, NoQueueError, 'Ping has no queue: name one with queue="...".'),
        ({"queue": "q"}, SettingsError, "The schedule 'acme' needs cron or every, and not both."),
        (
            {"queue": "q", "cron": "* * * * * Nowhere/City"},
            SettingsError,
            "The schedule 'acme': cron='* * * * * Nowhere/City' is not valid: there is no time "
            "zone 'Nowhere/City'.",
        ),
        (
            {"queue": "q", "cron": "0 0 * * 5L"},
            SettingsError,
            "The schedule 'acme': cron='0 0 * * 5L' is not valid: resque-scheduler cannot read it.",
        ),
    ],
    ids=str,
)
def test_refused(
    resque: Resque, redis: Redis, how: dict[str, Any], error: type[Exception], problem: str
) -> None:
    """Nothing is written: what its parser cannot read keeps every Ruby scheduler from running."""
    with pytest.raises(error, match=f"^{re.escape(problem)}$"):
        resque.set_schedule("acme", "Ping", **how)
    assert redis.keys("*") == []


def test_refused_arguments(resque: Resque, redis: Redis) -> None:
    """Those that no other language can read."""
    with pytest.raises(ArgumentsError, match=r"with these arguments cannot be put on a schedule"):
        resque.set_schedule("acme", "Ping", 10**400, every=5, queue="q")
    assert redis.keys("*") == []


def test_without_cronsim(resque: Resque, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets an expression has to be able to check it; `every` needs nothing."""
    monkeypatch.setattr(cron, "CronSim", None)
    told = "The schedule 'acme': cronsim is not installed: pip install 'resque-fork[schedule]'."
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        resque.set_schedule("acme", "Ping", cron="* * * * *", queue="q")
    resque.set_schedule("acme", "Ping", every=5, queue="q")


@pytest.mark.parametrize("key", [KEYS.schedules, KEYS.schedules_changed, KEYS.ticks])
def test_wrong_type(resque: Resque, redis: Redis, key: str) -> None:
    """Nothing is changed half way."""
    redis.set(key, "text")
    with pytest.raises(WrongKeyType, match=f"'{key}'"):
        resque.set_schedule("acme", "Ping", every=5, queue="q")
    with pytest.raises(WrongKeyType, match=f"'{key}'"):
        resque.remove_schedule("acme")
    assert redis.keys("*") == [key.encode()]
