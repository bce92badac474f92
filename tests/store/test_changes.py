"""Long lists are changed in small steps, also while others change them."""

from __future__ import annotations

from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import RedisRefused, WrongKeyType
from resque_fork.store.changes import STEP_ENTRIES, Changes, Requeue
from resque_fork.store.long_list import PAGE, PAGE_BYTES, Entry, LongList
from resque_fork.store.redis_url import RedisURL
from resque_fork.wire.keys import Keys

from .conftest import LIST, BothWays, Meddled, fill_list, read_list, rows


def again(entry: Entry) -> Requeue:
    return Requeue(entry, entry.raw + b"!", "q", b"job " + entry.raw)


def test_requeue_while_the_list_moves(client: Any, keys: Keys) -> None:
    """Each entry that stays is marked once, and its job is queued once, wherever it has moved."""
    fill_list(client, rows(8000))

    def meddle() -> None:
        if client.llen(LIST) > 6000:
            client.lpop(LIST, 11)
        client.rpush(LIST, b"new")

    moving = LongList(Meddled(client, meddle), LIST)
    changes = Changes(moving)
    for page in moving.pages():
        changes.requeue([again(entry) for entry in page if entry.raw != b"new"], keys)
    queued = client.lrange("resque:queue:q", 0, -1)
    left = [raw for raw in read_list(client) if raw != b"new"]
    assert all(raw.endswith(b"!") for raw in left)
    assert len(queued) == len(set(queued)) == changes.done
    assert {b"job " + raw[:-1] for raw in left} <= set(queued)


def test_two_requeue_at_once(client: Any, keys: Keys) -> None:
    """Two that requeue the same entries, step by step in turn, queue each job once."""
    fill_list(client, rows(3000))
    mine, theirs = (LongList(Meddled(client), LIST) for _ in range(2))
    changes = [Changes(mine), Changes(theirs)]
    for pages in zip(mine.pages(), theirs.pages(), strict=True):
        for change, page in zip(changes, pages, strict=True):
            change.requeue([again(e) for e in page if not e.raw.endswith(b"!")], keys)
    assert changes[0].done + changes[1].done == client.llen("resque:queue:q") == 3000
    assert read_list(client) == [raw + b"!" for raw in rows(3000)]


def test_a_list_that_was_read_long_ago(client: Any) -> None:
    """Entries are found again where thousands before them have gone, and one search is enough."""
    values = rows(20_000)
    fill_list(client, values)
    asked = Meddled(client)
    stale = LongList(asked, LIST)
    entries = [e for page in stale.pages() for e in page if int(e.raw) % 3 == 0]
    client.ltrim(LIST, 9000, -1)
    asked.pages.clear()
    changes = Changes(stale)
    done = changes.remove(entries)
    assert changes.done == sum(done) == len([e for e in entries if int(e.raw) >= 9000])
    assert read_list(client) == [v for v in values[9000:] if int(v) % 3]
    assert len(asked.pages) < 2 * (20_000 // PAGE)


def test_gone_entries_do_not_cost_a_search_each(client: Any, keys: Keys) -> None:
    """What stood between entries that still stand has gone, so nobody looks further for it."""
    fill_list(client, rows(30_000))
    asked = Meddled(client)
    list_ = LongList(asked, LIST)
    entries = [entry for page in list_.pages() for entry in page]
    for place in range(0, 30_000, 7):
        client.lset(LIST, place, b"other %d" % place)
    asked.pages.clear()
    changes = Changes(list_)
    changes.requeue([again(entry) for entry in entries], keys)
    assert changes.done == 30_000 - len(range(0, 30_000, 7))
    assert len(asked.pages) < 1000  # of 4,286 that have gone


@pytest.mark.parametrize("from_last", [False, True])
def test_steps_are_bounded(client: Any, keys: Keys, from_last: bool) -> None:
    """No step has many entries or bytes, none searches the list, and few walk far.

    Times would say it directly, but on a busy machine they say something else.
    """
    fill_list(client, rows(200_000, 40))
    client.config_resetstat()
    asked = Meddled(client)
    list_ = LongList(asked, LIST)
    changes = Changes(list_, from_last)
    for page in list_.pages(backwards=from_last):
        changes.remove([entry for entry in page if int(entry.raw[:-40]) % 10 == 0])
    assert changes.done == 20_000
    used = client.info("commandstats")
    assert {"cmdstat_lpos", "cmdstat_lindex"}.isdisjoint(used)
    assert used["cmdstat_lset"]["calls"] == 20_000
    assert max(asked.pages) <= 2 * PAGE
    for _, command in asked.steps:
        assert (len(command) - 8) / 2 <= STEP_ENTRIES
        assert sum(len(part) for part in command if isinstance(part, bytes)) < PAGE_BYTES


@pytest.mark.parametrize("from_last", [False, True])
def test_removing_far_from_both_ends(client: Any, from_last: bool) -> None:
    """Deep in a long list a gap is filled by the first or last entry, which takes no pass of it."""
    values = rows(300_000)
    fill_list(client, values)
    client.config_resetstat()
    list_ = LongList(client, LIST)
    entries = list_.page(150_000, 3)
    assert Changes(list_, from_last).remove(entries) == [True] * 3
    assert "cmdstat_lrem" not in client.info("commandstats")
    left = read_list(client)
    if from_last:
        assert left == [*values[:150_000], *values[:-4:-1], *values[150_003:-3]]
    else:
        assert left == [*values[3:150_000], *values[:3], *values[150_003:]]


@pytest.mark.parametrize("from_last", [False, True])
def test_removing_near_an_end_keeps_the_order(client: Any, from_last: bool) -> None:
    """In a list of the usual length all others keep their order."""
    values = rows(30_000)
    fill_list(client, values)
    list_ = LongList(client, LIST)
    changes = Changes(list_, from_last)
    for page in list_.pages(backwards=from_last):
        changes.remove([entry for entry in page if int(entry.raw) % 5 == 0])
    assert read_list(client) == [value for value in values if int(value) % 5]


def test_removing_everything_that_matches_deep_inside(client: Any) -> None:
    """However gaps are filled, all that matches is removed, from either end, and nothing else."""
    values = rows(200_000)
    for from_last in (False, True):
        client.delete(LIST)
        fill_list(client, values)
        list_ = LongList(client, LIST)
        changes = Changes(list_, from_last)
        for page in list_.pages(backwards=from_last):
            changes.remove([entry for entry in page if int(entry.raw) % 100 < 5])
        assert changes.done == 10_000
        assert sorted(read_list(client), key=int) == [v for v in values if int(v) % 100 >= 5]


def test_requeue_checks_all_before_the_first_write(client: Any, keys: Keys) -> None:
    """A key that is in the way of the queues' names is named, and nothing was done."""
    fill_list(client, rows(3))
    client.set("resque:queues", "x")
    list_ = LongList(client, LIST)
    with pytest.raises(WrongKeyType, match="The Redis key 'resque:queues' does not hold"):
        Changes(list_).requeue([again(entry) for entry in list_.page(0, 3)], keys)
    assert read_list(client) == rows(3)
    assert not client.exists("resque:queue:q")


@pytest.mark.parametrize("command", ["sadd", "lset", "rpush"])
def test_requeue_that_is_not_allowed_changes_no_entry(
    own_server: embedded.Server, keys: Keys, command: str
) -> None:
    """Where a command is forbidden no entry is marked, and no job is queued."""
    with BothWays(RedisURL(own_server.url)) as admin:
        fill_list(admin, rows(3))
        rule = f"ACL SETUSER u on >p ~* +@all -{command}"
        admin.execute_command(*rule.split())
        url = own_server.url.replace("unix://", "unix://u:p@")
        with BothWays(RedisURL(url)) as client:
            list_ = LongList(client, LIST)
            with pytest.raises(RedisRefused):
                Changes(list_).requeue([again(entry) for entry in list_.page(0, 3)], keys)
        assert read_list(admin) == rows(3)
        assert not admin.exists("resque:queue:q")
