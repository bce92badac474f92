"""The delayed set: what is due is read in slices, and each item is moved once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import WrongKeyType
from resque_fork.store.delayed import LEASE_SECONDS, MOST_ITEMS, DelayedSet, Item, Move
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_store import FailedEntry
from resque_fork.wire.delayed import due_of

from .conftest import KEYS, BothWays, fill

LOCK = KEYS.scheduler_lock()
NOW = int(time.time())
LATER = NOW + 864_000  # the suite may get here long after


def item(number: int = 0, queue: str = "low", text: str = "") -> bytes:
    return b'{"class":"A","args":[%d,"%b"],"queue":"%b"}' % (number, text.encode(), queue.encode())


def payload(number: int = 0, text: str = "") -> bytes:
    return b'{"class":"A","args":[%d,"%b"]}' % (number, text.encode())


def delay(client: Any, moment: float | str, *items: bytes) -> None:
    """As any resque-scheduler would do it."""
    client.zadd(KEYS.delayed_times, {str(moment): float(moment)})
    for one in items:
        client.rpush(f"{KEYS.delayed_prefix}{moment}", one)
        client.sadd(KEYS.timestamps(one), f"delayed:{moment}")


def moves(items: Any) -> list[Move]:
    return [Move(one, due_of(one.raw)) for one in items]


def move_all(delayed: DelayedSet) -> int:
    total = 0
    while items := delayed.look().items:
        total += delayed.move(moves(items))[0]
    return total


@pytest.fixture
def delayed(client: Any) -> DelayedSet:
    return DelayedSet(client, KEYS, "one")


# --- looking


def test_nothing_is_due(delayed: DelayedSet, client: Any) -> None:
    """What is due later stays where it is; the look tells the server's time."""
    delay(client, LATER, item())
    look = delayed.look()
    assert (look.state, look.items, look.more) == ("held", [], False)
    assert abs(look.now - time.time()) < 5


def test_due_items(delayed: DelayedSet, client: Any) -> None:
    """The earliest first, and in the order in which they were delayed."""
    delay(client, NOW - 5, item(3))
    delay(client, NOW - 9, item(1), item(2))
    assert [one.raw for one in delayed.look().items] == [item(1), item(2), item(3)]


def test_never_early(delayed: DelayedSet, client: Any) -> None:
    """By the server's clock: the second has to have turned there."""
    seconds, _ = client.time()
    delay(client, seconds + 1, item())
    look = delayed.look()
    assert bool(look.items) == (look.now >= seconds + 1)


def test_slices(delayed: DelayedSet, client: Any) -> None:
    """A look reads so many items, and says that there are more."""
    delay(client, NOW - 9, *(item(n) for n in range(MOST_ITEMS + 1)))
    look = delayed.look()
    assert (len(look.items), look.more) == (MOST_ITEMS, True)


def test_slices_by_size(delayed: DelayedSet, client: Any) -> None:
    """It reads no more than a megabyte, and an item over 64 kB alone."""
    delay(client, NOW - 9, *(item(n, text="x" * 60_000) for n in range(30)))
    look = delayed.look()
    assert (len(look.items), look.more) == (18, True)
    client.flushall()
    large = [item(n, text="x" * 70_000) for n in range(3)]
    delay(client, NOW - 9, item(), *large, item(9))
    sizes = []
    while (look := delayed.look()).items:
        sizes.append(len(look.items))
        delayed.move(moves(look.items))
    assert sizes == [1, 1, 1, 1, 1]
    assert client.keys(f"{KEYS.timestamps_prefix}*") == []  # Ruby has such a key for each item


def test_times_without_a_list(delayed: DelayedSet, client: Any) -> None:
    """Other schedulers leave some behind: they are taken out."""
    client.zadd(KEYS.delayed_times, {"1000": 1000})
    delayed.look()
    assert not client.exists(KEYS.delayed_times)


def test_what_is_no_time(delayed: DelayedSet, client: Any) -> None:
    """Members that are no whole seconds, and keys that are no lists, are named; what is due
    besides is found."""
    delay(client, 1000.5, item(1))
    client.zadd(KEYS.delayed_times, {"soon": 5, "last_enqueued_at": 6, "1001": 7})
    client.hset(KEYS.last_enqueued, "name", "time")
    client.set(KEYS.delayed(1001), "x")
    delay(client, NOW - 9, item(2))
    look = delayed.look()
    assert sorted(look.odd) == ["1000.5", "last_enqueued_at", "soon"]
    assert look.wrong == [KEYS.delayed(1001)]
    assert [one.raw for one in look.items] == [item(2)]


def test_wrong_type(delayed: DelayedSet, client: Any) -> None:
    """The error names the key."""
    client.set(KEYS.delayed_times, "in the way")
    with pytest.raises(WrongKeyType) as caught:
        delayed.look()
    assert caught.value.key == KEYS.delayed_times


def test_odd_times_hide_nothing(delayed: DelayedSet, client: Any) -> None:
    """However many stand in front."""
    client.zadd(KEYS.delayed_times, {f"{n}.5": n for n in range(3000)})
    delay(client, NOW - 9, item())
    assert [one.raw for one in delayed.look().items] == [item()]


# --- the lease


def test_lease(delayed: DelayedSet, client: Any) -> None:
    """One clock holds it, and renews it with each look; the others see that, and read nothing."""
    other = DelayedSet(client, KEYS, "two")
    delay(client, NOW - 9, item())
    assert delayed.look().state == "held"
    assert client.get(KEYS.clock) == b"one"
    client.expire(KEYS.clock, 1)
    look = other.look()
    assert (look.state, look.items) == ("other", [])
    delayed.look()
    assert LEASE_SECONDS - 2 <= client.ttl(KEYS.clock) <= LEASE_SECONDS
    other.release()
    assert client.get(KEYS.clock) == b"one"
    delayed.release()
    assert other.look().state == "held"


def test_lease_of_another_type(delayed: DelayedSet, client: Any) -> None:
    """Nobody but us writes that key: it is replaced."""
    client.rpush(KEYS.clock, "in the way")
    assert delayed.look().state == "held"
    assert client.get(KEYS.clock) == b"one"
    client.delete(KEYS.clock)
    client.rpush(KEYS.clock, "in the way")
    delayed.release()


def test_full_server(full_server: embedded.Server) -> None:
    """Nobody can take the lease, and what is due is moved all the same, which frees memory."""
    with BothWays(RedisURL(full_server.url)) as client:
        delay(client, NOW - 9, *(item(n) for n in range(9)))
        client.sadd(KEYS.queues, "low")
        fill(client)
        delayed = DelayedSet(client, KEYS, "one")
        assert move_all(delayed) == 9
        assert client.llen(KEYS.queue("low")) == 9
        assert not client.exists(KEYS.clock)
        client.config_set("maxmemory", 0)


def test_rubys_scheduler(delayed: DelayedSet, client: Any) -> None:
    """While its lock stands, nothing is moved, not even by a script that is under way."""
    delay(client, NOW - 9, item())
    due = moves(delayed.look().items)
    client.set(LOCK, "host:1", ex=180)
    assert (delayed.look().state, delayed.look().items) == ("ruby", [])
    assert delayed.move(due) == (0, [])
    client.delete(LOCK)
    assert delayed.move(due) == (1, [])


def test_rubys_scheduler_with_a_prefix(client: Any) -> None:
    """Its lock has the prefix that it was given."""
    client.set("resque:resque:app:resque_scheduler_master_lock", "host:1")
    assert DelayedSet(client, KEYS, "one", "app").look().state == "ruby"
    client.delete(KEYS.clock)
    assert DelayedSet(client, KEYS, "one").look().state == "held"


# --- moving


def test_move(delayed: DelayedSet, client: Any) -> None:
    """The queue gets the payload's bytes, and is known; nothing else is left."""
    delay(client, NOW - 9, item(1), item(2, queue="high"), item(1))
    assert move_all(delayed) == 3
    assert client.lrange(KEYS.queue("low"), 0, -1) == [payload(1), payload(1)]
    assert client.lrange(KEYS.queue("high"), 0, -1) == [payload(2)]
    assert client.smembers(KEYS.queues) == {b"low", b"high"}
    assert sorted(client.keys("*")) == sorted(
        key.encode() for key in (KEYS.queue("low"), KEYS.queue("high"), KEYS.queues, KEYS.clock)
    )


def test_index_of_equal_items(delayed: DelayedSet, client: Any) -> None:
    """The index is a hint: another time of an equal item stays in it."""
    delay(client, NOW - 9, item())
    delay(client, LATER, item())
    move_all(delayed)
    assert client.smembers(KEYS.timestamps(item())) == {b"delayed:%d" % (LATER)}


def test_each_is_moved_once(client: Any, redis_url: str) -> None:
    """However many move at the same time, and whoever holds the lease."""
    for second in range(3):
        delay(client, NOW - 9 + second, *(item(second * 1000 + n) for n in range(1000)))
    moved = []

    def run(name: str) -> None:
        with BothWays(RedisURL(redis_url)) as mine:
            delayed = DelayedSet(mine, KEYS, name)
            while mine.exists(KEYS.delayed_times):
                mine.delete(KEYS.clock)
                items = delayed.look().items
                if items:
                    moved.append(delayed.move(moves(items))[0])

    threads = [threading.Thread(target=run, args=[str(n)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(moved) == 3000
    found = client.lrange(KEYS.queue("low"), 0, -1)
    assert sorted(found) == sorted(payload(n) for n in range(3000))
    client.delete(KEYS.clock)
    assert sorted(client.keys("*")) == sorted([KEYS.queue("low").encode(), KEYS.queues.encode()])


def test_repeated_move(delayed: DelayedSet, client: Any) -> None:
    """A script whose reply was lost moves nothing when it is sent again."""
    delay(client, NOW - 9, item(1), item(2))
    due = moves(delayed.look().items)
    assert delayed.move(due) == (2, [])
    assert delayed.move(due) == (0, [])
    assert client.llen(KEYS.queue("low")) == 2


def test_to_the_failed_list(delayed: DelayedSet, client: Any) -> None:
    """What cannot go to a queue leaves the delayed set in the same script."""
    delay(client, NOW - 9, b"oops")
    [found] = delayed.look().items
    entries = [FailedEntry(KEYS.failed, b"entry")]
    assert delayed.move([Move(found, due_of(item()), entries)]) == (1, [])
    assert client.lrange(KEYS.failed, 0, -1) == [b"entry"]
    assert not client.exists(KEYS.delayed_times, KEYS.delayed(NOW - 9), KEYS.queue("low"))


def test_queue_in_the_way(delayed: DelayedSet, client: Any) -> None:
    """Its items stay where they are, and those of other queues are moved."""
    client.set(KEYS.queue("low"), "in the way")
    delay(client, NOW - 9, item(1), item(2, queue="high"), item(3))
    due = moves(delayed.look().items)
    assert delayed.move(due) == (1, [KEYS.queue("low")])
    assert client.lrange(KEYS.delayed(NOW - 9), 0, -1) == [item(1), item(3)]
    assert client.lrange(KEYS.queue("high"), 0, -1) == [payload(2)]


def test_queue_that_may_not_be_pushed_to(delayed: DelayedSet, client: Any, redis_url: str) -> None:
    """A user may lack the right to one key: the item waits on, and is not lost."""
    delay(client, NOW - 9, item(1), item(2, queue="high"))
    allowed = (
        "delayed*",
        "fork:*",
        "timestamps:*",
        "queues",
        "failed_queues",
        "resque:*",
        "status:",
    )
    queues = ("queue:", "queue:high")
    rights = [f"~resque:{pattern}" for pattern in (*allowed, *queues)]
    client.execute_command("ACL", "SETUSER", "less", "reset", "on", ">pw", "%R~*", "+@all", *rights)
    with BothWays(RedisURL(redis_url.replace("unix://", "unix://less:pw@"))) as less:
        limited = DelayedSet(less, KEYS, "one")
        assert limited.move(moves(limited.look().items)) == (1, [KEYS.queue("low")])
    assert client.lrange(KEYS.delayed(NOW - 9), 0, -1) == [item(1)]
    assert client.zrange(KEYS.delayed_times, 0, -1) == [b"%d" % (NOW - 9)]
    assert client.lrange(KEYS.queue("high"), 0, -1) == [payload(2)]


def test_failed_list_that_may_not_be_pushed_to(
    delayed: DelayedSet, client: Any, redis_url: str
) -> None:
    """What is no job waits on too."""
    delay(client, NOW - 9, b"oops")
    allowed = (
        "delayed*",
        "fork:*",
        "timestamps:*",
        "queues",
        "failed_queues",
        "resque:*",
        "status:",
    )
    rights = [f"~resque:{pattern}" for pattern in (*allowed, "queue:")]
    client.execute_command("ACL", "SETUSER", "less", "reset", "on", ">pw", "%R~*", "+@all", *rights)
    with BothWays(RedisURL(redis_url.replace("unix://", "unix://less:pw@"))) as less:
        limited = DelayedSet(less, KEYS, "one")
        [found] = limited.look().items
        move = Move(found, due_of(item()), [FailedEntry(KEYS.failed, b"entry")])
        assert limited.move([move]) == (0, [KEYS.failed])
    assert client.lrange(KEYS.delayed(NOW - 9), 0, -1) == [b"oops"]
    assert client.zrange(KEYS.delayed_times, 0, -1) == [b"%d" % (NOW - 9)]


def test_flushed_scripts(delayed: DelayedSet, client: Any) -> None:
    """A server that has forgotten the scripts is sent them again."""
    delay(client, NOW - 9, item())
    client.script_flush()
    due = delayed.look().items
    client.script_flush()
    assert delayed.move(moves(due)) == (1, [])


def test_long_list_of_one_second(delayed: DelayedSet, client: Any) -> None:
    """Of 100,000 that are due at once each look and move takes a slice, from the front."""
    pipe = client.redis.pipeline()
    pipe.zadd(KEYS.delayed_times, {str(NOW - 9): NOW - 9})
    for start in range(0, 100_000, 10_000):
        pipe.rpush(KEYS.delayed(NOW - 9), *(item(n) for n in range(start, start + 10_000)))
    pipe.execute()
    for _ in range(5):
        assert delayed.move(moves(delayed.look().items)) == (MOST_ITEMS, [])
    assert client.lindex(KEYS.queue("low"), -1) == payload(5 * MOST_ITEMS - 1)
    assert client.llen(KEYS.delayed(NOW - 9)) == 100_000 - 5 * MOST_ITEMS


def test_item_without_its_list(delayed: DelayedSet) -> None:
    """What another clock has moved is not moved again."""
    assert delayed.move([Move(Item(str(NOW), item()), due_of(item()))]) == (0, [])
