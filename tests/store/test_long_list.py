"""Long lists are read and changed in small steps, also while others change them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from resque_fork.keys import Keys
from resque_fork.store.long_list import (
    PAGE,
    PAGE_BYTES,
    STEP_ENTRIES,
    Changes,
    Entry,
    LongList,
    Requeue,
)
from resque_fork.store.scripts import script

KEY = "resque:failed"
SCRIPTS = {script(name).sha: name for name in ("remove_entries", "requeue_entries")}


class Meddled:
    """A client in whose way others come: `meddle` is called before each of its commands."""

    def __init__(self, client: Any, meddle: Callable[[], object] = lambda: None) -> None:
        self.client = client
        self.meddle = meddle
        self.pages: list[int] = []  # entries asked for, a page each
        self.steps: list[tuple[str, list[Any]]] = []  # scripts with their arguments

    def llen(self, key: str) -> int:
        return int(self.client.llen(key))

    def lrange(self, key: str, start: int, stop: int) -> list[bytes]:
        self.meddle()
        self.pages.append(stop - start + 1)
        found: list[bytes] = self.client.lrange(key, start, stop)
        return found

    def execute_command(self, *command: Any) -> Any:
        self.meddle()
        if command[0] == "EVALSHA":
            self.steps.append((SCRIPTS[command[1]], list(command)))
        return self.client.execute_command(*command)


def rows(count: int, size: int = 0) -> list[bytes]:
    return [b"%d" % i + b"x" * size for i in range(count)]


def fill(client: Any, values: list[bytes]) -> None:
    for start in range(0, len(values), 10_000):
        client.rpush(KEY, *values[start : start + 10_000])


def read(client: Any) -> list[bytes]:
    values: list[bytes] = client.lrange(KEY, 0, -1)
    return values


def again(entry: Entry) -> Requeue:
    return Requeue(entry, entry.raw + b"!", "q", b"job " + entry.raw)


# --- reading


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("gone", [1, 30, 200])
def test_reader_misses_nothing_that_stays(client: Any, backwards: bool, gone: int) -> None:
    """Whatever others take away before or behind a reader, it sees all that stays, and once."""
    values = rows(6000)
    fill(client, values)
    chance = random.Random(7)

    def take_away() -> None:
        if client.llen(KEY) > 3000:
            client.lpop(KEY, gone) if chance.random() < 0.5 else client.rpop(KEY, gone)
            client.lrem(KEY, 1, values[3000 + chance.randrange(100)])

    list_ = LongList(Meddled(client, take_away), KEY)
    seen = [entry.raw for page in list_.pages(backwards) for entry in page]
    assert max(Counter(seen).values()) == 1
    assert set(seen) >= set(read(client))
    assert seen == sorted(seen, key=int, reverse=backwards)


@pytest.mark.parametrize("backwards", [False, True])
def test_reader_whose_side_is_cut_off(client: Any, backwards: bool) -> None:
    """If all that it has read is taken away, with what came next, a reader goes on at the rest."""
    values = rows(5000)
    fill(client, values)
    pages = LongList(client, KEY).pages(backwards)
    seen = next(pages)
    client.rpop(KEY, 2000) if backwards else client.lpop(KEY, 2000)
    left = read(client)
    assert [e.raw for page in pages for e in page] == (left[::-1] if backwards else left)
    assert len(seen) == 64


def test_reader_leaves_out_what_is_pushed_meanwhile(client: Any) -> None:
    """A list that grows as fast as it is read has an end all the same."""
    fill(client, rows(2000))
    pushing = Meddled(client, lambda: client.rpush(KEY, *[b"new"] * 600))
    assert sum(len(page) for page in LongList(pushing, KEY).pages()) == 2000


def test_reader_of_a_list_that_is_deleted(client: Any) -> None:
    """Who reads a list that somebody clears comes to an end."""
    fill(client, rows(3000))
    clearing = Meddled(client, lambda: client.llen(KEY) and client.delete(KEY))
    assert list(LongList(clearing, KEY).pages()) == []


def test_pages_are_bounded_in_bytes(client: Any) -> None:
    """Pages of large entries are small: each is about as many bytes, however many entries."""
    fill(client, rows(PAGE, 20_000))
    asked = Meddled(client)
    assert [e.raw for page in LongList(asked, KEY).pages() for e in page] == rows(PAGE, 20_000)
    assert max(asked.pages) <= 64 + 20
    assert max(asked.pages[1:]) <= 2 * PAGE_BYTES // 20_000


def test_a_page_of_any_size_is_read_in_parts(client: Any) -> None:
    """Whoever asks for very many entries gets them, but Redis is asked for a few at a time."""
    fill(client, rows(5000))
    asked = Meddled(client)
    assert [e.raw for e in LongList(asked, KEY).page(10, 4000)] == rows(5000)[10:4010]
    assert max(asked.pages) == PAGE


# --- changing


def test_requeue_while_the_list_moves(client: Any, keys: Keys) -> None:
    """Each entry that stays is marked once, and its job is queued once, wherever it has moved."""
    fill(client, rows(8000))

    def meddle() -> None:
        if client.llen(KEY) > 6000:
            client.lpop(KEY, 11)
        client.rpush(KEY, b"new")

    moving = LongList(Meddled(client, meddle), KEY)
    changes = Changes(moving)
    for page in moving.pages():
        changes.requeue([again(entry) for entry in page if entry.raw != b"new"], keys)
    queued = client.lrange("resque:queue:q", 0, -1)
    left = [raw for raw in read(client) if raw != b"new"]
    assert all(raw.endswith(b"!") for raw in left)
    assert len(queued) == len(set(queued)) == changes.done
    assert {b"job " + raw[:-1] for raw in left} <= set(queued)


def test_two_requeue_at_once(client: Any, keys: Keys) -> None:
    """Two that requeue the same entries, step by step in turn, queue each job once."""
    fill(client, rows(3000))
    mine, theirs = (LongList(Meddled(client), KEY) for _ in range(2))
    changes = [Changes(mine), Changes(theirs)]
    for pages in zip(mine.pages(), theirs.pages(), strict=True):
        for change, page in zip(changes, pages, strict=True):
            change.requeue([again(e) for e in page if not e.raw.endswith(b"!")], keys)
    assert changes[0].done + changes[1].done == client.llen("resque:queue:q") == 3000
    assert read(client) == [raw + b"!" for raw in rows(3000)]


def test_a_list_that_was_read_long_ago(client: Any) -> None:
    """Entries are found again where thousands before them have gone, and one search is enough."""
    values = rows(20_000)
    fill(client, values)
    asked = Meddled(client)
    stale = LongList(asked, KEY)
    entries = [e for page in stale.pages() for e in page if int(e.raw) % 3 == 0]
    client.ltrim(KEY, 9000, -1)
    asked.pages.clear()
    changes = Changes(stale)
    done = changes.remove(entries)
    assert changes.done == sum(done) == len([e for e in entries if int(e.raw) >= 9000])
    assert read(client) == [v for v in values[9000:] if int(v) % 3]
    assert len(asked.pages) < 2 * (20_000 // PAGE)


def test_gone_entries_do_not_cost_a_search_each(client: Any, keys: Keys) -> None:
    """What stood between entries that still stand has gone, so nobody looks further for it."""
    fill(client, rows(30_000))
    asked = Meddled(client)
    list_ = LongList(asked, KEY)
    entries = [entry for page in list_.pages() for entry in page]
    for place in range(0, 30_000, 7):
        client.lset(KEY, place, b"other %d" % place)
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
    fill(client, rows(200_000, 40))
    client.config_resetstat()
    asked = Meddled(client)
    list_ = LongList(asked, KEY)
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
    fill(client, values)
    client.config_resetstat()
    list_ = LongList(client, KEY)
    entries = list_.page(150_000, 3)
    assert Changes(list_, from_last).remove(entries) == [True] * 3
    assert "cmdstat_lrem" not in client.info("commandstats")
    left = read(client)
    if from_last:
        assert left == [*values[:150_000], *values[:-4:-1], *values[150_003:-3]]
    else:
        assert left == [*values[3:150_000], *values[:3], *values[150_003:]]


@pytest.mark.parametrize("from_last", [False, True])
def test_removing_near_an_end_keeps_the_order(client: Any, from_last: bool) -> None:
    """In a list of the usual length all others keep their order."""
    values = rows(30_000)
    fill(client, values)
    list_ = LongList(client, KEY)
    changes = Changes(list_, from_last)
    for page in list_.pages(backwards=from_last):
        changes.remove([entry for entry in page if int(entry.raw) % 5 == 0])
    assert read(client) == [value for value in values if int(value) % 5]


def test_removing_everything_that_matches_deep_inside(client: Any) -> None:
    """However gaps are filled, all that matches is removed, from either end, and nothing else."""
    values = rows(200_000)
    for from_last in (False, True):
        client.delete(KEY)
        fill(client, values)
        list_ = LongList(client, KEY)
        changes = Changes(list_, from_last)
        for page in list_.pages(backwards=from_last):
            changes.remove([entry for entry in page if int(entry.raw) % 100 < 5])
        assert changes.done == 10_000
        assert sorted(read(client), key=int) == [v for v in values if int(v) % 100 >= 5]


def test_requeue_checks_all_before_the_first_write(client: Any, keys: Keys) -> None:
    """A key that is in the way of the queues' names is named, and nothing was done."""
    fill(client, rows(3))
    client.set("resque:queues", "x")
    list_ = LongList(client, KEY)
    with pytest.raises(Exception, match="WRONGTYPE resque:queues is a string, not a set"):
        Changes(list_).requeue([again(entry) for entry in list_.page(0, 3)], keys)
    assert read(client) == rows(3)
    assert not client.exists("resque:queue:q")
