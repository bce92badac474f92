"""Long lists are read page by page, also while others change them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from resque_fork.store.long_list import PAGE, PAGE_BYTES, LongList

from .conftest import LIST, Meddled, fill_list, read_list, rows


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("gone", [1, 30, 200])
def test_reader_misses_nothing_that_stays(client: Any, backwards: bool, gone: int) -> None:
    """Whatever others take away before or behind a reader, it sees all that stays, and once."""
    values = rows(6000)
    fill_list(client, values)
    chance = random.Random(7)

    def take_away() -> None:
        if client.llen(LIST) > 3000:
            client.lpop(LIST, gone) if chance.random() < 0.5 else client.rpop(LIST, gone)
            client.lrem(LIST, 1, values[3000 + chance.randrange(100)])

    list_ = LongList(Meddled(client, take_away), LIST)
    seen = [entry.raw for page in list_.pages(backwards) for entry in page]
    assert max(Counter(seen).values()) == 1
    assert set(seen) >= set(read_list(client))
    assert seen == sorted(seen, key=int, reverse=backwards)


@pytest.mark.parametrize("backwards", [False, True])
def test_reader_whose_side_is_cut_off(client: Any, backwards: bool) -> None:
    """If all that it has read is taken away, with what came next, a reader goes on at the rest."""
    values = rows(5000)
    fill_list(client, values)
    pages = LongList(client, LIST).pages(backwards)
    seen = next(pages)
    client.rpop(LIST, 2000) if backwards else client.lpop(LIST, 2000)
    left = read_list(client)
    assert [e.raw for page in pages for e in page] == (left[::-1] if backwards else left)
    assert len(seen) == 64


def test_reader_leaves_out_what_is_pushed_meanwhile(client: Any) -> None:
    """A list that grows as fast as it is read has an end all the same."""
    fill_list(client, rows(2000))
    pushing = Meddled(client, lambda: client.rpush(LIST, *[b"new"] * 600))
    assert sum(len(page) for page in LongList(pushing, LIST).pages()) == 2000


def test_reader_of_a_list_that_is_deleted(client: Any) -> None:
    """Who reads a list that somebody clears comes to an end."""
    fill_list(client, rows(3000))
    clearing = Meddled(client, lambda: client.llen(LIST) and client.delete(LIST))
    assert list(LongList(clearing, LIST).pages()) == []


def test_pages_are_bounded_in_bytes(client: Any) -> None:
    """Pages of large entries are small: each is about as many bytes, however many entries."""
    fill_list(client, rows(PAGE, 20_000))
    asked = Meddled(client)
    assert [e.raw for page in LongList(asked, LIST).pages() for e in page] == rows(PAGE, 20_000)
    assert max(asked.pages) <= 64 + 20
    assert max(asked.pages[1:]) <= 2 * PAGE_BYTES // 20_000


def test_a_page_of_any_size_is_read_in_parts(client: Any) -> None:
    """Whoever asks for very many entries gets them, but Redis is asked for a few at a time."""
    fill_list(client, rows(5000))
    asked = Meddled(client)
    assert [e.raw for e in LongList(asked, LIST).page(10, 4000)] == rows(5000)[10:4010]
    assert max(asked.pages) == PAGE
