"""Schedules in Redis: which declaration counts, and that each tick queues one job."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import RedisRefused, WrongKeyType
from resque_fork.job.schedule import Schedule
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.schedules import (
    RENEWED_SECONDS,
    Declared,
    FoundSchedules,
    Stored,
    StoredSchedules,
    Tick,
)

from .conftest import KEYS, BothWays, fill

LOCK = KEYS.scheduler_lock()
FIVE = Schedule("n", "J", "q", every=5)
SIX = Schedule("n", "J", "q", every=6)
NOW = int(time.time())


@pytest.fixture
def schedules(client: Any) -> StoredSchedules:
    return StoredSchedules(client, KEYS)


def declared(*schedules: Schedule) -> list[Declared]:
    return [Declared(one.name, one.timing, one.to_json()) for one in schedules]


def only(found: FoundSchedules) -> Stored:
    [stored] = found.schedules
    return stored


def server_now(client: Any) -> int:
    return int(client.time()[0])


# --- declaring


def test_nothing_is_there(schedules: StoredSchedules, client: Any) -> None:
    """The time of the server is told all the same."""
    found = schedules.load()
    assert (found.schedules, found.wrong) == ([], [])
    assert abs(found.now - server_now(client)) <= 1


def test_declared(schedules: StoredSchedules, client: Any) -> None:
    """What a worker declares, when it did so, and that ticks are counted from then."""
    schedules.declare(declared(FIVE), anew=True)
    stored = only(schedules.load())
    now = server_now(client)
    assert stored.raw == FIVE.to_json()
    assert not stored.shared
    assert not stored.paused
    assert not stored.left
    assert stored.renewed is not None
    assert abs(stored.renewed - now) <= 1
    assert stored.tick is not None
    assert abs(stored.tick.second - now) <= 1
    assert (stored.tick.real, stored.tick.timing) == (False, "every 5")


def test_the_newest_worker_is_right(schedules: StoredSchedules) -> None:
    """An older one that says again what it declares changes nothing, as long as a newer lives."""
    schedules.declare(declared(FIVE), anew=True)
    schedules.declare(declared(SIX), anew=True)
    schedules.declare(declared(FIVE), anew=False)
    assert only(schedules.load()).raw == SIX.to_json()


def test_the_old_one_is_right_again(schedules: StoredSchedules, client: Any) -> None:
    """Once nobody has declared the newer one for a while, or Redis has forgotten it."""
    schedules.declare(declared(SIX), anew=True)
    client.zadd(KEYS.renewals, {"n": server_now(client) - RENEWED_SECONDS - 1})
    schedules.declare(declared(FIVE), anew=False)
    assert only(schedules.load()).raw == FIVE.to_json()
    client.delete(KEYS.own_schedules, KEYS.renewals, KEYS.ticks)
    schedules.declare(declared(SIX), anew=False)
    assert only(schedules.load()).raw == SIX.to_json()


def test_an_older_worker_does_not_renew_the_newer(schedules: StoredSchedules, client: Any) -> None:
    """Each speaks for its own declaration."""
    schedules.declare(declared(SIX), anew=True)
    before = server_now(client) - 100
    client.zadd(KEYS.renewals, {"n": before})
    schedules.declare(declared(FIVE), anew=False)
    assert client.zscore(KEYS.renewals, "n") == before
    schedules.declare(declared(SIX), anew=False)
    assert client.zscore(KEYS.renewals, "n") > before


@pytest.mark.parametrize(
    ("entry", "ago", "kept"),
    [
        ("%d every 5", 3, True),
        ("-%d every 5", 3, True),
        ("%d every 6", 3, False),  # another timing
        ("%d every 5", -864_000, False),  # a clock was wrong
        ("day %d every 5", 3, False),
        ("%d", 3, False),
    ],
)
def test_ticks_go_on(
    schedules: StoredSchedules, client: Any, entry: str, ago: int, kept: bool
) -> None:
    """A deploy that changes nothing of the timing does not begin to count anew."""
    before = (entry % (NOW - ago)).encode()
    client.hset(KEYS.ticks, "n", before)
    schedules.declare(declared(FIVE), anew=True)
    assert (client.hget(KEYS.ticks, "n") == before) is kept
    client.hset(KEYS.ticks, "n", before)
    schedules.count({"n": "every 5"})
    assert (client.hget(KEYS.ticks, "n") == before) is kept


# --- set for all


def test_set(schedules: StoredSchedules, client: Any) -> None:
    """As resque-scheduler has it, with what that does not know elsewhere."""
    assert schedules.set("n", FIVE.timing, FIVE.to_ruby(), b'{"catch_up":60.0}')
    assert client.hgetall(KEYS.schedules) == {b"n": FIVE.to_ruby()}
    assert client.smembers(KEYS.schedules_changed) == {b"n"}
    stored = only(schedules.load())
    assert (stored.shared, stored.raw, stored.own) == (True, FIVE.to_ruby(), b'{"catch_up":60.0}')
    assert stored.tick is not None
    assert not stored.tick.real


def test_a_declared_one_is_not_set(schedules: StoredSchedules, client: Any) -> None:
    """Nor removed, while workers declare it; what they no longer declare is."""
    schedules.declare(declared(FIVE), anew=True)
    assert not schedules.set("n", SIX.timing, SIX.to_ruby(), b"{}")
    assert schedules.remove("n") is None
    assert only(schedules.load()).raw == FIVE.to_json()
    client.zadd(KEYS.renewals, {"n": server_now(client) - RENEWED_SECONDS - 1})
    assert schedules.set("n", SIX.timing, SIX.to_ruby(), b"{}")
    assert only(schedules.load()).raw == SIX.to_ruby()


def test_remove(schedules: StoredSchedules, client: Any) -> None:
    """Nothing stays, and Ruby's scheduler is told."""
    schedules.set("n", FIVE.timing, FIVE.to_ruby(), b"{}")
    schedules.pause("n")
    client.delete(KEYS.schedules_changed)
    assert schedules.remove("n") is True
    assert schedules.remove("n") is False
    assert client.keys("resque:*") == [KEYS.schedules_changed.encode()]
    assert client.smembers(KEYS.schedules_changed) == {b"n"}


def test_what_ruby_has_removed(schedules: StoredSchedules, client: Any) -> None:
    """Ruby does not know what we keep beside it."""
    schedules.set("n", FIVE.timing, FIVE.to_ruby(), b"{}")
    client.hdel(KEYS.schedules, "n")
    assert only(schedules.load()).left


def test_pause(schedules: StoredSchedules) -> None:
    """By name, whoever declares it."""
    schedules.declare(declared(FIVE), anew=True)
    assert not schedules.resume("n")
    schedules.pause("n")
    assert only(schedules.load()).paused
    assert schedules.resume("n")
    assert not only(schedules.load()).paused


# --- ticks


def ready(schedules: StoredSchedules, client: Any, schedule: Schedule = FIVE) -> Stored:
    """A schedule that had its last tick ten seconds ago."""
    schedules.declare(declared(schedule), anew=True)
    client.hset(KEYS.ticks, schedule.name, f"{NOW - 10} {schedule.timing}")
    return only(schedules.load())


def test_a_tick(schedules: StoredSchedules, client: Any) -> None:
    """The job is queued, the tick is known, and Ruby's pages see when it was."""
    stored = ready(schedules, client)
    assert schedules.tick(stored, FIVE, NOW - 5) == "done"
    assert client.lrange(KEYS.queue("q"), 0, -1) == [b'{"class":"J","args":[]}']
    assert client.smembers(KEYS.queues) == {b"q"}
    assert client.hget(KEYS.ticks, "n") == b"%d every 5" % (NOW - 5)
    text = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(NOW - 5))
    assert client.hget(KEYS.last_enqueued, "n") == text.encode()
    assert only(schedules.load()).last == text
    for second in (NOW - 5, NOW - 10):
        assert schedules.tick(stored, FIVE, second) == "known"
    assert client.llen(KEYS.queue("q")) == 1


def test_many_clocks(redis_url: str, schedules: StoredSchedules, client: Any) -> None:
    """Twenty tell each of fifty ticks: fifty jobs."""
    stored = ready(schedules, client)

    def tell() -> None:
        with BothWays(RedisURL(redis_url)) as own:
            for number in range(50):
                StoredSchedules(own, KEYS).tick(stored, FIVE, NOW + number)

    threads = [threading.Thread(target=tell) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.llen(KEYS.queue("q")) == 50


def test_refused_ticks(schedules: StoredSchedules, client: Any) -> None:
    """What has become of the schedule meanwhile counts."""
    stored = ready(schedules, client)
    schedules.pause("n")
    assert schedules.tick(stored, FIVE, NOW) == "paused"
    schedules.resume("n")
    schedules.declare(declared(SIX), anew=True)
    assert schedules.tick(stored, FIVE, NOW) == "changed"
    client.delete(KEYS.own_schedules)
    assert schedules.tick(stored, FIVE, NOW) == "changed"
    schedules.declare(declared(FIVE), anew=True)
    client.delete(KEYS.ticks)
    assert schedules.tick(stored, FIVE, NOW) == "changed"
    assert not client.exists(KEYS.queue("q"))


def test_rubys_scheduler(schedules: StoredSchedules, client: Any) -> None:
    """What was set for all is its business while it runs; what workers declare is ours."""
    client.set(LOCK, "host:1")
    own = ready(schedules, client)
    schedules.set("m", SIX.timing, SIX.to_ruby(), b"{}")
    [shared] = [stored for stored in schedules.load().schedules if stored.shared]
    later = server_now(client) + 60
    assert schedules.tick(shared, SIX, later) == "ruby"
    assert schedules.tick(own, FIVE, NOW) == "done"
    client.delete(LOCK)
    assert schedules.tick(shared, SIX, later) == "done"
    assert client.llen(KEYS.queue("q")) == 2


@pytest.mark.parametrize(
    "key", [KEYS.queue("q"), KEYS.ticks, KEYS.own_schedules, KEYS.paused_schedules]
)
def test_wrong_type(schedules: StoredSchedules, client: Any, key: str) -> None:
    """The key is named, nothing is changed, and the tick stays due."""
    stored = ready(schedules, client)
    before = client.hgetall(KEYS.ticks)
    client.delete(key)
    client.set(key, "text")
    with pytest.raises(WrongKeyType, match=f"'{key}'"):
        schedules.tick(stored, FIVE, NOW)
    client.delete(key)
    if key != KEYS.queue("q"):
        ready(schedules, client)
    assert client.hgetall(KEYS.ticks) == before
    assert not client.exists(KEYS.queue("q"), KEYS.queues)


@pytest.mark.parametrize("key", [KEYS.queues, KEYS.last_enqueued])
def test_wrong_type_beside(schedules: StoredSchedules, client: Any, key: str) -> None:
    """Without these the job still gets to its queue."""
    stored = ready(schedules, client)
    client.set(key, "text")
    assert schedules.tick(stored, FIVE, NOW) == "done"
    assert client.llen(KEYS.queue("q")) == 1


class Watched:
    """A connection that remembers the sizes of scripts' arguments and replies."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.sent: list[int] = []
        self.read: list[int] = []

    def execute_command(self, *command: Any) -> Any:
        reply = self.client.execute_command(*command)
        self.sent.append(len(command))
        if isinstance(reply, list):
            self.read.append(max(len(part) for _, part in reply[2:]))
        return reply


def test_ten_thousand_schedules(client: Any) -> None:
    """No script holds Redis for long: all are declared, counted and read, in parts."""
    names = [f"schedule {number:04}" for number in range(10_000)]
    watched = Watched(client)
    schedules = StoredSchedules(watched, KEYS)
    schedules.declare([Declared(name, FIVE.timing, FIVE.to_json()) for name in names], anew=True)
    schedules.count(dict.fromkeys(names, FIVE.timing))
    for name in names[:3000]:
        client.hset(KEYS.schedules, f"of Ruby {name}", SIX.to_ruby())
        client.sadd(KEYS.paused_schedules, name)
    found = schedules.load().schedules
    assert [stored.name for stored in found if not stored.shared] == names
    assert all(stored.tick and stored.renewed for stored in found if not stored.shared)
    assert sum(stored.shared for stored in found) == sum(stored.paused for stored in found) == 3000
    assert max(watched.sent) < 1000
    assert max(watched.read) < 2000


def test_few_schedules_are_read_at_once(client: Any) -> None:
    """A clock does so every few seconds."""
    StoredSchedules(client, KEYS).declare(declared(FIVE), anew=True)
    watched = Watched(client)
    assert only(StoredSchedules(watched, KEYS).load()).name == "n"
    assert len(watched.sent) == 1


@pytest.mark.parametrize(
    "kind", ["own_schedules", "schedules", "ticks", "last_enqueued", "renewals"]
)
def test_loading_with_a_wrong_type(schedules: StoredSchedules, client: Any, kind: str) -> None:
    """The key is told, and everything else is read."""
    schedules.declare(declared(FIVE), anew=True)
    schedules.set("m", SIX.timing, SIX.to_ruby(), b"{}")
    key = getattr(KEYS, kind)
    client.delete(key)
    client.set(key, "text")
    found = schedules.load()
    assert found.wrong == [key]
    names = {"own_schedules": "m n", "schedules": "m n"}.get(kind, "m n")
    assert [stored.name for stored in found.schedules] == names.split()


def test_declaring_with_a_wrong_type(schedules: StoredSchedules, client: Any) -> None:
    """Nothing is changed half way."""
    for key in (KEYS.own_schedules, KEYS.renewals, KEYS.ticks):
        client.flushdb()
        client.set(key, "text")
        with pytest.raises(WrongKeyType, match=f"'{key}'"):
            schedules.declare(declared(FIVE), anew=True)
        assert client.keys("*") == [key.encode()]


def test_full_server() -> None:
    """A server that takes nothing keeps the tick due; with room again it is made."""
    with embedded.Server() as server, BothWays(RedisURL(server.url)) as client:
        schedules = StoredSchedules(client, KEYS)
        stored = ready(schedules, client)
        fill(client)
        with pytest.raises(RedisRefused, match="maxmemory"):
            schedules.tick(stored, FIVE, NOW)
        client.config_set("maxmemory", 0)
        assert client.hget(KEYS.ticks, "n") == b"%d every 5" % (NOW - 10)
        assert schedules.tick(stored, FIVE, NOW) == "done"


def test_queue_that_may_not_be_written() -> None:
    """The tick is not claimed for a job that could not be queued."""
    with embedded.Server() as server, BothWays(RedisURL(server.url)) as admin:
        ready(StoredSchedules(admin, KEYS), admin)
        admin.execute_command(
            *("ACL", "SETUSER", "clock", "reset", "on", ">secret", "+@all", "%R~*"),
            *("~resque:fork:*", "~resque:delayed:*"),
        )
        url = server.url.replace("unix://", "unix://clock:secret@")
        with BothWays(RedisURL(url)) as client:
            schedules = StoredSchedules(client, KEYS)
            with pytest.raises(RedisRefused):
                schedules.tick(only(schedules.load()), FIVE, NOW)
        assert admin.hget(KEYS.ticks, "n") == b"%d every 5" % (NOW - 10)
        assert not admin.exists(KEYS.queue("q"))


@pytest.mark.parametrize(
    ("raw", "tick"),
    [
        (b"12 every 5", Tick(12, True, "every 5")),
        (b"-12 cron * * * * * UTC", Tick(12, False, "cron * * * * * UTC")),
        (b"", None),
        (b"--12 every 5", None),
        (b"1e9 every 5", None),
        (b"9" * 1_000_000 + b" every 5", None),
        (b"\xff\xfe", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_entries_of_ticks(raw: bytes, tick: Tick | None) -> None:
    """Whatever stands there can be read, or is none."""
    assert Tick.parse(raw) == tick


def test_any_bytes(schedules: StoredSchedules, client: Any) -> None:
    """Names that are not UTF-8, and values of any kind, harm nobody."""
    client.hset(KEYS.schedules, b"\xff", b"\xfe" * 100)
    client.hset(KEYS.last_enqueued, b"\xff", b"\xfe")
    client.hset(KEYS.ticks, b"\xff", b"\xfe")
    stored = only(schedules.load())
    assert json.dumps(stored.name) == '"\\udcff"'
    assert (stored.raw, stored.tick) == (b"\xfe" * 100, None)
