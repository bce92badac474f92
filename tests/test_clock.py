"""The clock: each second it moves what is due, if it holds the lease."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from clock import Clock as FakeClock

from resque_fork import Resque
from resque_fork.clock.clock import LOOK_SECONDS, MARGIN, REFUSED_SECONDS, Clock
from resque_fork.clock.mover import Mover
from resque_fork.clock.ticker import Ticker
from resque_fork.failure import Backends, FailedEntries
from resque_fork.job.schedule import Schedule
from resque_fork.store.delayed import DelayedSet
from resque_fork.store.schedules import Declared, StoredSchedules
from resque_fork.system.loop import Loop
from resque_fork.wire.keys import Keys
from resque_fork.wire.unreadable import unwrapped

KEYS = Keys()
NOW = int(time.time())
TIMES = "resque:delayed_queue_schedule"


def here(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
    return work()


@dataclass
class Parts:
    """A clock with a time of its own; `pushes` is how often it has said that jobs have gone to
    their queues, `marks` how often it has marked queues."""

    redis: Any
    time: FakeClock
    pushes: int = 0
    marks: int = 0

    def __post_init__(self) -> None:
        self.loop = Loop(self.time)
        self.clock = self.made("one")

    def made(self, name: str, run_in_subprocess: Any = here) -> Clock:
        delayed = DelayedSet(self.redis, KEYS, name)
        entries = FailedEntries(Backends(), KEYS)
        mover = Mover(self.loop, delayed, entries, run_in_subprocess)
        self.ticker = Ticker(StoredSchedules(self.redis, KEYS))
        return Clock(self.loop, mover, self.ticker, self.note_push, self.note_mark)

    def note_push(self) -> None:
        self.pushes += 1

    def note_mark(self) -> None:
        self.marks += 1

    def delay(self, *items: bytes, moment: int = NOW - 9) -> None:
        self.redis.redis.zadd(TIMES, {str(moment): moment})
        self.redis.redis.rpush(KEYS.delayed(moment), *items)

    def queue(self, name: str = "q") -> list[bytes]:
        found: list[bytes] = self.redis.redis.lrange(KEYS.queue(name), 0, -1)
        return found

    def failed(self) -> list[dict[str, Any]]:
        return [json.loads(raw) for raw in self.redis.redis.lrange(KEYS.failed, 0, -1)]


@pytest.fixture
def parts(redis_url: str) -> Iterator[Parts]:
    resque = Resque(redis_url)
    time = FakeClock()
    yield Parts(resque.client, time)
    resque.close()


ITEM, PAYLOAD = b'{"class":"A","args":[1.0],"queue":"q"}', b'{"class":"A","args":[1.0]}'


def test_it_moves_what_is_due(parts: Parts) -> None:
    """And is due again just after the next second has turned on the server."""
    parts.delay(ITEM)
    assert parts.clock.due == parts.time.now
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]
    assert parts.pushes == 1
    assert parts.clock.holds
    assert 0 < parts.clock.due - parts.time.now <= 1 + MARGIN


def test_it_goes_on_at_once(parts: Parts) -> None:
    """While more is due than one run moves: signals and heartbeats come in between."""
    parts.delay(*[ITEM] * 501)
    parts.clock.run()
    assert (len(parts.queue()), parts.clock.due) == (500, parts.time.now)
    assert parts.marks == 0
    parts.clock.run()
    assert (len(parts.queue()), parts.marks) == (501, 1)
    assert parts.clock.due > parts.time.now


def test_it_waits_for_the_lease(parts: Parts) -> None:
    """Some clock looks every few seconds, however large the fleet; all together cost little."""
    parts.redis.redis.set(KEYS.clock, "two", ex=15)
    parts.delay(ITEM)
    parts.clock.run()
    assert not parts.clock.holds
    assert parts.queue() == []
    assert 0.75 * LOOK_SECONDS <= parts.clock.due - parts.time.now <= 1.25 * LOOK_SECONDS
    parts.redis.redis.sadd(KEYS.own_workers, *range(500))
    parts.clock.run()
    assert 250 <= parts.clock.due - parts.time.now <= 417
    parts.redis.redis.delete(KEYS.clock)
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]


@pytest.mark.parametrize(("holder", "marks"), [("one", 1), ("two", 0)])
def test_it_marks_queues(parts: Parts, holder: str, marks: int) -> None:
    """Only who holds the lease does, also while Ruby's scheduler moves delayed jobs."""
    parts.redis.redis.set(KEYS.clock, holder, ex=15)
    parts.redis.redis.set(KEYS.scheduler_lock(), "ruby")
    parts.clock.run()
    assert parts.marks == marks


def test_it_gives_the_lease_back(parts: Parts) -> None:
    """Its own, and not that of another."""
    parts.clock.run()
    parts.clock.close()
    assert not parts.redis.redis.exists(KEYS.clock)
    other = parts.made("two")
    other.run()
    parts.clock.close()
    assert parts.redis.redis.get(KEYS.clock) == b"two"


def test_not_while_it_stops(parts: Parts) -> None:
    """Who was told to stop begins nothing more."""
    parts.clock.stop()
    assert parts.clock.due == math.inf


def test_the_lease_while_a_last_job_runs(parts: Parts) -> None:
    """Who was told to stop gives it back at once, and not when its job has ended."""
    parts.clock.run()
    parts.delay(ITEM)
    parts.clock.stop()
    assert parts.clock.due == parts.time.now
    parts.clock.run()
    assert not parts.redis.redis.exists(KEYS.clock)
    assert parts.clock.due == math.inf
    assert parts.queue() == []


def test_rubys_scheduler(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """While it runs, this clock moves nothing; it goes on within a second of its end."""
    parts.redis.redis.set(KEYS.scheduler_lock(), "host:1")
    parts.delay(ITEM)
    with caplog.at_level(logging.DEBUG, "resque_fork"):
        parts.clock.run()
        parts.clock.run()
    assert [record.getMessage() for record in caplog.records] == [
        "Ruby's scheduler moves delayed jobs, so this clock does not"
    ]
    assert parts.queue() == []
    assert parts.clock.due - parts.time.now <= 1 + MARGIN
    parts.redis.redis.delete(KEYS.scheduler_lock())
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]


@pytest.mark.parametrize("raw", [b"oops", b"[]", b'{"class":"A"}', b"\xff\0", b"[" * 100_000])
def test_what_is_no_job(parts: Parts, raw: bytes) -> None:
    """Goes to the failed list with all its bytes, and holds up nothing."""
    parts.delay(raw, ITEM)
    parts.clock.run()
    parts.clock.run()
    [entry] = parts.failed()
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert entry["error"].startswith("The delayed job ")
    assert (entry["worker"], entry["queue"]) == ("one", "")
    assert unwrapped(json.dumps(entry["payload"]).encode()) == raw
    assert parts.queue() == [PAYLOAD]
    assert not parts.redis.redis.exists(TIMES)


def test_queue_that_is_no_list(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """Its jobs fail, and say why: so they are found, and hold up no others."""
    parts.redis.redis.set(KEYS.queue("q"), "in the way")
    parts.delay(*[ITEM] * 600, ITEM.replace(b'"q"', b'"other"'))
    parts.clock.run()
    parts.clock.run()
    assert parts.queue("other") == [PAYLOAD]
    entries = parts.failed()
    assert len(entries) == 600
    assert (entries[0]["exception"], entries[0]["queue"]) == ("WrongKeyType", "q")
    assert "'resque:queue:q' does not hold what Resque keeps there" in entries[0]["error"]
    assert caplog.text.count("ERROR") >= 1


def test_failed_list_in_the_way(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """Then even what is no job stays where it is; the key is named once, and others go on."""
    parts.redis.redis.set(KEYS.failed, "in the way")
    parts.delay(b"oops", ITEM)
    for _ in range(3):
        parts.clock.run()
    assert parts.queue() == [PAYLOAD]
    assert parts.redis.redis.lrange(KEYS.delayed(NOW - 9), 0, -1) == [b"oops"]
    named = "The Redis key 'resque:failed' does not hold what Resque keeps there"
    assert sum(named in record.getMessage() for record in caplog.records) == 1
    assert parts.clock.due > parts.time.now


def test_odd_things_are_named_once(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """A time that is none, and a key that is no list."""
    parts.redis.redis.zadd(TIMES, {"1000.5": 1000.5, "1001": 1001})
    parts.redis.redis.set(KEYS.delayed(1001), "x")
    parts.delay(ITEM)
    for _ in range(3):
        parts.clock.run()
    assert parts.queue() == [PAYLOAD]
    assert [record.getMessage() for record in caplog.records] == [
        "'1000.5' in 'delayed_queue_schedule' is not a second at which jobs may be due",
        "The Redis key 'resque:delayed:1001' does not hold what Resque keeps there; "
        "rename or delete it.",
    ]


def test_set_of_another_type(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """Is named once; the clock looks again, and goes on when it is gone."""
    parts.redis.redis.set(TIMES, "in the way")
    parts.clock.run()
    parts.clock.run()
    assert [record.getMessage() for record in caplog.records] == [
        f"The Redis key {TIMES!r} does not hold what Resque keeps there; rename or delete it."
    ]
    assert parts.clock.due - parts.time.now == LOOK_SECONDS
    parts.redis.redis.delete(TIMES)
    parts.delay(ITEM)
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]


def test_what_redis_refuses(parts: Parts, redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A user without the rights says so once, and leaves the lease to others."""
    rights = ["reset", "on", ">pw", "~*", "+@all", "-zrangebyscore"]
    parts.redis.redis.execute_command("ACL", "SETUSER", "less", *rights)
    parts.delay(ITEM)
    less = Resque(redis_url.replace("unix://", "unix://less:pw@"))
    others, parts.redis = parts.redis, less.client
    clock = parts.made("one")
    parts.redis = others
    clock.run()
    clock.run()
    assert clock.due - parts.time.now == REFUSED_SECONDS
    assert len(caplog.records) == 1
    assert "Delayed jobs cannot be moved by this clock: " in caplog.text
    assert "zrangebyscore" in caplog.text
    less.close()
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]


def test_the_lease_of_one_that_cannot_tell_all_ticks(parts: Parts) -> None:
    """It works while nobody else can do better, and another takes the lease from it."""
    redis = parts.redis.redis
    parts.clock.run()
    parts.ticker.whole = False
    parts.delay(ITEM)
    parts.clock.run()
    assert redis.get(KEYS.clock) == b"?one"
    assert parts.queue() == [PAYLOAD]
    other = parts.made("two")
    other.run()
    assert (redis.get(KEYS.clock), other.holds) == (b"two", True)
    parts.clock.run()
    assert not parts.clock.holds
    other.close()
    parts.clock.run()
    parts.clock.close()
    assert not redis.exists(KEYS.clock)


def test_it_keeps_schedules(parts: Parts) -> None:
    """Their jobs are queued with those that are due, and an idle worker hears of it."""
    schedules = StoredSchedules(parts.redis, KEYS)
    schedule = Schedule("n", "J", "q", every=100)
    schedules.declare([Declared("n", schedule.timing, schedule.to_json())], anew=True)
    parts.redis.redis.hset(KEYS.ticks, "n", f"{NOW - 150} every 100")
    parts.clock.run()
    assert parts.queue() == [b'{"class":"J","args":[]}']
    assert parts.pushes == 1
    parts.clock.run()
    assert parts.pushes == 1


def test_no_descriptor_is_left(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A script that cannot be read costs the worker nothing: it says so, and looks again."""

    def cannot(*args: object, **how: object) -> None:
        raise OSError(24, "Too many open files")

    parts.delay(ITEM)
    with monkeypatch.context() as patched:
        patched.setattr(DelayedSet, "look", cannot)
        parts.clock.run()
        parts.clock.run()
    assert len(caplog.records) == 1
    assert "There was an error in moving delayed jobs: OSError" in caplog.text
    assert parts.clock.due - parts.time.now == LOOK_SECONDS
    parts.clock.run()
    assert parts.queue() == [PAYLOAD]


def test_large_item_without_its_end(parts: Parts) -> None:
    """A worker does not decode it: another process does. One that ends with its queue needs
    no decoding."""
    asked = []

    def elsewhere(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        asked.append(work)
        return work()

    clock = parts.made("one", elsewhere)
    middle = b'{"class":"A","queue":"q","args":["%b"]}' % (b"x" * 70_000)
    end = b'{"class":"A","args":["%b"],"queue":"q"}' % (b"x" * 70_000)
    broken = b"x" * 70_000
    parts.delay(middle, end, broken)
    for _ in range(3):
        clock.run()
    assert parts.queue() == [middle, end.replace(b',"queue":"q"', b"")]
    assert len(asked) == 2
    assert len(parts.failed()) == 1
