"""Counters are whole numbers, 0 unless something was counted."""

from typing import Any

import pytest

from resque_fork.store.stats import Stats
from resque_fork.wire.keys import Keys


@pytest.fixture
def stats(client: Any, keys: Keys) -> Stats:
    return Stats(client, keys)


def test_missing_is_zero(stats: Stats) -> None:
    """What was never counted is 0."""
    assert stats.get("processed") == 0


def test_increment_by(stats: Stats, client: Any) -> None:
    """Counting by two says and stores two, under Resque's key."""
    assert stats.incr("x", 2) == 2
    assert stats.incr("x") == 3
    assert stats.get("x") == 3
    assert client.get("resque:stat:x") == b"3"


def test_up_and_down(stats: Stats) -> None:
    """Counting down takes back what was counted up, by one or by more."""
    assert stats.incr("x", 2) == 2
    assert stats.incr("x") == stats.get("x") == 3
    assert stats.decr("x", 2) == 1
    assert stats.decr("x") == stats.get("x") == 0
    stats.set("x", 7)
    assert stats.get("x") == 7


def test_clear_deletes_key(stats: Stats, client: Any) -> None:
    """A cleared counter is 0, and its key is gone."""
    stats.incr("x")
    stats.clear("x")
    assert stats.get("x") == 0
    assert not client.exists("resque:stat:x")


def test_what_is_no_number_counts_nothing(stats: Stats, client: Any) -> None:
    """A counter that somebody overwrote with text reads as 0."""
    client.set("resque:stat:x", "many")
    assert stats.get("x") == 0
