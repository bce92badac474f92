"""A list of failed jobs is read page by page, and changed by value, not by a stale place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork import embedded
from resque_fork.errors import RedisRefused, WrongKeyType
from resque_fork.store.changes import Requeue
from resque_fork.store.failures import Failures, failed_list_names
from resque_fork.store.long_list import PAGE, Entry
from resque_fork.store.redis_url import RedisURL
from resque_fork.wire.keys import Keys

from .conftest import BothWays, dump, fill

ROWS = [b"%d" % number for number in range(50)]


@pytest.fixture(params=["failed", "email_failed"])
def failures(client: Any, keys: Keys, request: pytest.FixtureRequest) -> Failures:
    """A list of each of the two kinds."""
    return Failures(client, keys, request.param)


def push(failures: Failures, entry: bytes) -> None:
    """As a worker's step does."""
    failures._redis.execute_command("RPUSH", f"resque:{failures.name}", entry)
    if failures.name != "failed":
        failures._redis.execute_command("SADD", "resque:failed_queues", failures.name)


def filled(failures: Failures, rows: list[bytes] = ROWS) -> Failures:
    for row in rows:
        push(failures, row)
    return failures


def again(entry: Entry, queue: str = "email") -> Requeue:
    return Requeue(entry, entry.raw + b"!", queue, b"job " + entry.raw)


def each(failures: Failures, newest_first: bool = False) -> list[Entry]:
    return [entry for page in failures.pages(newest_first) for entry in page]


def test_empty_list(failures: Failures) -> None:
    """A list that is not there has nothing in it."""
    assert failures.count() == failures.clear() == 0
    assert failures.page(0, 10) == each(failures) == each(failures, True) == []


def test_pages(failures: Failures) -> None:
    """A page has the entries from a place on, with their places; a negative one is from the end."""
    filled(failures)
    assert failures.count() == 50
    assert failures.page(10, 2) == [Entry(10, b"10"), Entry(11, b"11")]
    assert failures.page(-2, 9) == [Entry(48, b"48"), Entry(49, b"49")]
    assert failures.page(-99, 1) == [Entry(0, b"0")]
    assert failures.page(0, 0) == failures.page(50, 9) == []


def test_each_in_both_directions(client: Any, keys: Keys) -> None:
    """A long list is read to its end, from either, with true places."""
    rows = [b"%d" % number for number in range(2 * PAGE + 7)]
    client.rpush("resque:failed", *rows)
    failures = Failures(client, keys)
    entries = [Entry(place, raw) for place, raw in enumerate(rows)]
    assert each(failures) == entries
    assert each(failures, True) == entries[::-1]


def test_requeue(failures: Failures, client: Any) -> None:
    """Entries are marked where they stand, and their jobs pushed; both in one step."""
    filled(failures, ROWS[:4])
    entries = failures.page(1, 2)
    assert failures.requeue([again(e) for e in entries]) == [True, True]
    assert [e.raw for e in failures.page(0, 9)] == [b"0", b"1!", b"2!", b"3"]
    assert client.lrange("resque:queue:email", 0, -1) == [b"job 1", b"job 2"]
    assert client.smembers("resque:queues") == {b"email"}
    assert failures.requeue([again(e) for e in entries]) == [False, False]
    assert client.llen("resque:queue:email") == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([b"a", b"b", b"c"])), max_size=8))
def test_changes_go_by_value(long_client: Any, wanted: list[tuple[int, bytes]]) -> None:
    """Whatever the places say, just the entries that were meant are removed, each at most once."""
    long_client.flushall()
    rows = [b"a", b"b", b"a", b"c", b"a", b"x"]
    failures = filled(Failures(long_client, Keys()), rows)
    done = failures.remove([Entry(place, raw) for place, raw in wanted])
    left = [e.raw for e in failures.page(0, 99)]
    for (_, raw), removed in zip(wanted, done, strict=True):
        if removed:
            rows.remove(raw)
        else:
            assert raw not in left
    assert sorted(left) == sorted(rows)


def test_place_tells_equal_entries_apart(failures: Failures) -> None:
    """Of equal entries the one that was shown is changed, if it is still in its place."""
    filled(failures, [b"a", b"b", b"a"])
    assert failures.requeue([again(Entry(2, b"a"))]) == [True]
    assert [e.raw for e in failures.page(0, 9)] == [b"a", b"b", b"a!"]


def test_entries_that_have_moved(failures: Failures, client: Any) -> None:
    """Entries are found again when others have removed or added some meanwhile."""
    filled(failures)
    entries = failures.page(20, 3)
    client.lpop(f"resque:{failures.name}", 15)
    push(failures, b"new")
    assert failures.remove(entries) == [True, True, True]
    rows = [e.raw for e in failures.page(0, 99)]
    assert rows == [*ROWS[15:20], *ROWS[23:], b"new"]


def test_clear(failures: Failures, client: Any, keys: Keys) -> None:
    """A cleared list is gone, and no longer named among the lists."""
    filled(failures)
    assert failures.clear() == 50
    assert dump(client) == {}
    assert failed_list_names(client, keys) == ["failed"]


def test_lists_are_named(client: Any, keys: Keys) -> None:
    """The lists are `failed`, known without being named, and one for each queue."""
    for name in ("failed", "low_failed", "email_failed"):
        push(Failures(client, keys, name), b"x")
    assert failed_list_names(client, keys) == ["failed", "email_failed", "low_failed"]
    assert client.smembers("resque:failed_queues") == {b"email_failed", b"low_failed"}
    client.sadd("resque:failed_queues", "failed")  # by others: it is not counted twice
    assert failed_list_names(client, keys) == ["failed", "email_failed", "low_failed"]


def test_requeue_that_is_refused_changes_nothing(failures: Failures, client: Any) -> None:
    """If one of the jobs has nowhere to go, none goes, and no entry is marked."""
    filled(failures, ROWS[:2])
    client.set("resque:queue:bad", "x")
    before = dump(client)
    batch = [again(Entry(0, b"0")), again(Entry(1, b"1"), "bad")]
    with pytest.raises(WrongKeyType) as caught:
        failures.requeue(batch)
    assert caught.value.reason == "WRONGTYPE resque:queue:bad is a string, not a list"
    assert (caught.value.key, caught.value.had_no_effect) == ("resque:queue:bad", True)
    assert dump(client) == before


def test_entries_can_be_removed_while_redis_is_full(full_server: embedded.Server) -> None:
    """With memory at its limit failed jobs can be removed, which is when it matters."""
    with BothWays(RedisURL(full_server.url)) as client:
        failures = filled(Failures(client, Keys()))
        fill(client)
        assert failures.remove(failures.page(10, 2)) == [True, True]
        with pytest.raises(RedisRefused, match="used memory"):
            failures.requeue([again(Entry(0, b"0"))])
        assert [e.raw for e in failures.page(0, 2)] == [b"0", b"1"]
        assert failures.count() == 48
