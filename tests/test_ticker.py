"""The ticker: which ticks a clock makes, makes up for, and leaves."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from resque_fork import Resque
from resque_fork.clock import known
from resque_fork.clock.ticker import LATE_SECONDS, LOAD_SECONDS, Ticker
from resque_fork.job import cron
from resque_fork.job.schedule import Schedule
from resque_fork.store.schedules import (
    KEPT_SECONDS,
    RENEWED_SECONDS,
    Declared,
    StoredSchedules,
)
from resque_fork.wire.keys import Keys

KEYS = Keys()
DAY = 86400


def every(seconds: int, name: str = "n", queue: str = "q", **how: Any) -> Schedule:
    return Schedule(name, "J", queue, every=seconds, **how)


@dataclass
class Parts:
    """A ticker, and the time of the server when the test began."""

    redis: Any

    def __post_init__(self) -> None:
        self.schedules = StoredSchedules(self.redis, KEYS)
        self.ticker = Ticker(self.schedules)
        self.now = int(self.redis.redis.time()[0])

    def declare(self, *schedules: Schedule, last: int | None = None) -> None:
        """As a worker does that has started; the last tick was so many seconds ago, if any."""
        self.schedules.declare(
            [Declared(one.name, one.timing, one.to_json()) for one in schedules], anew=True
        )
        for one in schedules:
            if last is not None:
                self.last(one, last)

    def last(self, schedule: Schedule, ago: int) -> None:
        self.redis.redis.hset(KEYS.ticks, schedule.name, f"{self.now - ago} {schedule.timing}")

    def last_tick(self, name: str = "n") -> int:
        """In seconds before the test began."""
        return self.now - int(self.redis.redis.hget(KEYS.ticks, name).split()[0])

    def tick(self, seconds: int = 0, *, ruby: bool = False) -> int:
        """At so many seconds after the test began."""
        return self.ticker.tick(self.now + seconds, ruby=ruby)

    def jobs(self, queue: str = "q") -> int:
        return int(self.redis.redis.llen(KEYS.queue(queue)))


@pytest.fixture
def parts(redis_url: str) -> Iterator[Parts]:
    resque = Resque(redis_url)
    yield Parts(resque.client)
    resque.close()


def test_a_new_schedule(parts: Parts) -> None:
    """Its first tick is the next, never now; then one each period."""
    parts.declare(every(10))
    [start] = [stored.tick.second for stored in parts.schedules.load().schedules if stored.tick]
    made = [parts.ticker.tick(start + second, ruby=False) for second in range(31)]
    assert [second for second, count in enumerate(made) if count] == [10, 20, 30]
    assert parts.jobs() == 3


def test_cron(parts: Parts) -> None:
    """Each at its second, whatever else there is."""
    parts.declare(Schedule("n", "J", "q", cron="*/5 * * * * *"), every(7, "m", queue="low"), last=0)
    first = 5 - parts.now % 5
    for second in range(first, first + 20):
        parts.tick(second)
    assert parts.jobs() == 4
    assert parts.redis.redis.llen(KEYS.queue("low")) >= 2


def test_after_a_pause(parts: Parts) -> None:
    """Of all that was missed, the newest is made up for, and ticks go on in their rhythm."""
    parts.declare(every(600), last=1900)
    assert parts.tick() == 1
    assert parts.last_tick() == 100
    assert parts.tick(499) == 0
    assert parts.tick(500) == 1


@pytest.mark.parametrize(
    ("catch_up", "age", "made"),
    [
        (3600, 3600, 1),
        (3600, 3601, 0),
        ("none", LATE_SECONDS, 1),
        ("none", LATE_SECONDS + 1, 0),
        ("2d", 90_000, 1),
    ],
)
def test_how_old_a_tick_may_be(
    parts: Parts, caplog: pytest.LogCaptureFixture, catch_up: Any, age: int, made: int
) -> None:
    """An older one is named as missed, once, and the next is waited for."""
    parts.declare(every(10 * DAY, catch_up=catch_up), last=10 * DAY + age)
    assert [parts.tick(), parts.tick(), parts.tick(LOAD_SECONDS)] == [made, 0, 0]
    missed = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(missed) == 1 - made
    assert all("The tick of 'n' at " in record.getMessage() for record in missed)
    assert parts.tick(10 * DAY - age) == 1


def test_restarts_change_nothing(parts: Parts) -> None:
    """`every` counts from the last tick, not from the start of a process."""
    parts.declare(every(100), last=60)
    for second in (0, 10, 20, 39):
        parts.declare(every(100))
        assert Ticker(parts.schedules).tick(parts.now + second, ruby=False) == 0
    assert Ticker(parts.schedules).tick(parts.now + 40, ruby=False) == 1


def test_another_timing(parts: Parts) -> None:
    """It is counted from its declaration, as that of a new one."""
    parts.declare(every(100), last=99)
    parts.declare(every(50))
    assert parts.tick(1) == 0
    assert parts.tick(49) == 0
    assert parts.tick(52) == 1


def test_another_job(parts: Parts) -> None:
    """What does not concern the timing changes no tick, and counts from the next one on."""
    parts.declare(every(100), last=99)
    assert parts.tick() == 0
    parts.declare(every(100, args=[1]))
    assert parts.tick(1) == 0  # of what is no longer so, nothing is queued
    assert parts.tick(2) == 1
    assert parts.redis.redis.lrange(KEYS.queue("q"), 0, -1) == [b'{"class":"J","args":[1]}']


def test_two_clocks(parts: Parts) -> None:
    """Each makes what the other has not."""
    other = Ticker(parts.schedules)
    parts.declare(every(10), last=0)
    made = [
        (parts.tick(second), other.tick(parts.now + second, ruby=False)) for second in range(41)
    ]
    assert [sum(pair) for pair in made if any(pair)] == [1, 1, 1, 1]
    assert parts.jobs() == 4


def test_paused(parts: Parts) -> None:
    """Within a second, and for as long as it lasts; then the newest is made up for."""
    parts.declare(every(10), last=0)
    assert parts.tick(10) == 1
    parts.schedules.pause("n")
    assert [parts.tick(second) for second in (20, 30, 31, 45)] == [0, 0, 0, 0]
    parts.schedules.resume("n")
    assert parts.tick(55) == 1
    assert parts.last_tick() == -50


def test_not_enabled(parts: Parts) -> None:
    """Its declaration says so."""
    parts.declare(every(10, enabled=False), last=10)
    assert parts.tick(10) == 0
    assert parts.jobs() == 0


def test_nobody_declares_it(parts: Parts) -> None:
    """It ends after ten minutes; its last tick is kept for a week, and comes back with it."""
    parts.declare(every(10), last=10)
    redis = parts.redis.redis
    redis.zadd(KEYS.renewals, {"n": parts.now - RENEWED_SECONDS - 1})
    assert parts.tick() == 0
    redis.zadd(KEYS.renewals, {"n": parts.now - KEPT_SECONDS + 60})
    assert parts.tick(LOAD_SECONDS) == 0
    assert redis.hexists(KEYS.ticks, "n")
    parts.last(every(10), KEPT_SECONDS + 60)
    redis.zadd(KEYS.renewals, {"n": parts.now - KEPT_SECONDS - 60})
    assert parts.tick(2 * LOAD_SECONDS) == 0
    assert redis.keys("resque:*") == []


def test_what_ruby_has_removed(parts: Parts) -> None:
    """What is left of it goes after a week."""
    schedule = every(10)
    parts.schedules.set("n", schedule.timing, schedule.to_ruby(), b"{}")
    parts.redis.redis.delete(KEYS.schedules, KEYS.schedules_changed)
    assert parts.tick() == 0
    assert parts.redis.redis.exists(KEYS.ticks, KEYS.own_schedules) == 2
    parts.last(schedule, KEPT_SECONDS + 60)
    assert parts.tick(LOAD_SECONDS) == 0
    assert parts.redis.redis.keys("resque:*") == []


def test_rubys_schedules(parts: Parts) -> None:
    """One that Ruby has written is counted from when it was first seen. While Ruby's scheduler
    runs it is left alone, and what workers declare is not."""
    raw = b'{"every":["10s",{"first_in":"1s"}],"class":"J","queue":"low","args":7}'
    parts.redis.redis.hset(KEYS.schedules, "r", raw)
    parts.declare(every(10), last=0)
    assert parts.tick() == 0
    assert parts.tick(10, ruby=True) == 1
    assert parts.jobs("low") == 0
    assert parts.tick(12) == 1
    assert parts.redis.redis.lrange(KEYS.queue("low"), 0, -1) == [b'{"class":"J","args":[7]}']


def test_ticks_of_rubys_scheduler(parts: Parts) -> None:
    """What it has made before it went is not made again; what it has not is made up for."""
    schedule = every(600)
    parts.schedules.set("n", schedule.timing, schedule.to_ruby(), b"{}")
    parts.last(schedule, DAY)
    redis = parts.redis.redis
    assert parts.tick(ruby=True) == 0

    def ruby_ticked(seconds: int) -> None:
        """In the zone of its host."""
        there = datetime.timezone(datetime.timedelta(hours=-5))
        when = datetime.datetime.fromtimestamp(parts.now + seconds, there)
        redis.hset(KEYS.last_enqueued, "n", f"{when:%Y-%m-%d %H:%M:%S %z}")

    ruby_ticked(1)
    assert parts.tick(2) == 0
    assert parts.jobs() == 0
    assert parts.tick(3, ruby=True) == 0
    ruby_ticked(3)
    assert parts.tick(4) == 0
    assert parts.tick(602) == 0
    assert parts.tick(603) == 1
    assert parts.tick(604, ruby=True) == 0  # it is there, and makes no tick
    assert parts.tick(604 + 600) == 1


def test_ruby_comes_in_between(parts: Parts) -> None:
    """It has its lock just now: nothing is queued, and at its end it goes on."""
    schedule = every(10)
    parts.schedules.set("n", schedule.timing, schedule.to_ruby(), b"{}")
    parts.last(schedule, 10)
    parts.redis.redis.set(KEYS.scheduler_lock(), "host:1")
    assert parts.tick() == 0
    parts.redis.redis.delete(KEYS.scheduler_lock())
    assert parts.tick(1) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{",
        b"\xff",
        b"[" * 100000,
        b'{"cron":"* * * * *","class":"J"}',
        b'{"cron":"61 * * * *","class":"J","queue":"q"}',
        b'{"every":"0","class":"J","queue":"q"}',
    ],
    ids=lambda value: repr(value)[:20],
)
def test_one_that_is_not_valid(parts: Parts, caplog: pytest.LogCaptureFixture, raw: bytes) -> None:
    """It is named once, and all others go on."""
    parts.redis.redis.hset(KEYS.schedules, "bad", raw)
    parts.declare(every(10), last=0)
    assert [parts.tick(second) for second in (10, 20, 30)] == [1, 1, 1]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("The schedule 'bad'")
    assert parts.ticker.whole


def test_a_queue_that_is_none(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """The tick stays due, the key is named once, and all others go on."""
    parts.redis.redis.set(KEYS.queue("wrong"), "text")
    parts.declare(every(10, "bad", queue="wrong"), every(10), last=0)
    assert [parts.tick(second) for second in (10, 11, 20)] == [1, 0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "The schedule 'bad' cannot be kept: The Redis key 'resque:queue:wrong' does not hold what "
        "Resque keeps there; rename or delete it."
    ]
    parts.redis.redis.delete(KEYS.queue("wrong"))
    assert parts.tick(21) == 1
    assert parts.last_tick("bad") == -20


@pytest.mark.parametrize("kind", ["ticks", "own_schedules", "schedules", "renewals"])
def test_keys_of_the_wrong_type(parts: Parts, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """Named once; nothing is raised, and once the key is gone, ticks go on."""
    key = getattr(KEYS, kind)
    parts.redis.redis.set(key, "text")
    for second in range(3):
        assert parts.tick(second) == 0
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) <= 2
    assert all(f"'{key}' does not hold" in text for text in told)
    parts.redis.redis.delete(key)
    parts.declare(every(10), last=0)
    assert parts.tick(10) == 1


def test_a_clock_that_was_wrong(parts: Parts) -> None:
    """A tick of a time that is yet to come does not keep a schedule from its ticks for a year."""
    parts.declare(every(10), last=-365 * DAY)
    assert parts.tick() == 0
    assert parts.tick(1) == 0
    assert parts.tick(12) == 1


def test_the_clock_jumps_back(parts: Parts) -> None:
    """A tick that was made is not made again."""
    parts.declare(every(10), last=0)
    assert parts.tick(30) == 1
    assert [parts.tick(second) for second in (0, 10, 20, 30)] == [0, 0, 0, 0]
    assert parts.tick(40) == 1


def test_what_this_host_cannot_tell(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, keeps what it can, and another clock may have the lease."""
    parts.declare(Schedule("n", "J", "q", cron="* * * * * *"), every(10, "m"), last=0)
    monkeypatch.setattr(cron, "CronSim", None)
    assert parts.tick(10) == 1
    assert parts.last_tick("m") == -10
    assert not parts.ticker.whole
    assert [record.getMessage() for record in caplog.records] == [
        "The schedule 'n': cronsim is not installed: pip install 'resque-fork[schedule]'."
    ]


def test_no_permission(parts: Parts, redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that may not read schedules says so once, and leaves them to others."""
    rights = ["reset", "on", ">pw", "~*", "+@all", "-hscan"]
    parts.redis.redis.execute_command("ACL", "SETUSER", "less", *rights)
    parts.declare(every(10), last=0)
    less = Resque(redis_url.replace("unix://", "unix://less:pw@"))
    ticker = Ticker(StoredSchedules(less.client, KEYS))
    made = [ticker.tick(parts.now + second, ruby=False) for second in (10, 10 + LOAD_SECONDS)]
    less.close()
    assert (made, ticker.whole) == ([0, 0], False)
    assert len(caplog.records) == 1
    assert "Schedules cannot be kept by this clock: " in caplog.text
    assert "hscan" in caplog.text


def test_what_is_known(parts: Parts) -> None:
    """The states that people see."""
    parts.declare(
        every(10, "on"),
        every(10, "off", enabled=False),
        every(10, "paused"),
        every(10, "ended"),
        last=0,
    )
    parts.schedules.pause("paused")
    parts.redis.redis.zadd(KEYS.renewals, {"ended": parts.now - RENEWED_SECONDS - 1})
    parts.redis.redis.hset(KEYS.schedules, "invalid", "{}")
    found = known.all_known(parts.schedules.load().schedules, parts.now)
    assert [(one.stored.name, one.state) for one in found] == [
        (name, name) for name in ("ended", "invalid", "off", "on", "paused")
    ]
    assert [one.due for one in found if one.due is not None] == [parts.now + 10]
