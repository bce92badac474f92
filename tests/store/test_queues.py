"""Queues: first in, first out, and every name that Redis can hold is a queue's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import WrongKeyType
from resque_fork.store.queues import Queues
from resque_fork.wire.keys import Keys, to_text


@pytest.fixture
def queues(client: Any, keys: Keys) -> Queues:
    return Queues(client, keys)


def test_first_in_first_out(queues: Queues, client: Any) -> None:
    """Payloads come out in the order they went in, byte for byte, and then there are none."""
    queues.push("email", b"a", b"\xff\r\n")
    queues.push("email", b"c")
    assert [queues.pop("email") for _ in range(4)] == [b"a", b"\xff\r\n", b"c", None]
    assert client.smembers("resque:queues") == {b"email"}


def test_names_are_sorted(queues: Queues) -> None:
    """A queue is known once something was pushed to it, and stays known."""
    assert queues.names() == []
    queues.push("b", b"x")
    queues.push("a", b"x")
    queues.pop("b")
    assert queues.names() == ["a", "b"]


def test_sizes(queues: Queues, client: Any) -> None:
    """Sizes of all queues come at once; a key that is no list counts nothing."""
    assert queues.sizes() == {}
    queues.push("a", b"1", b"2")
    client.sadd("resque:queues", "b", "c")
    client.set("resque:queue:c", "x")
    assert queues.sizes() == {"a": 2, "b": 0, "c": 0}
    assert queues.size("a") == 2


@given(st.integers(-8, 8), st.integers(-2, 9))
def test_peek_shows_a_part(long_client: Any, start: int, count: int) -> None:
    """Peeking shows so many from a place on, counted from the end if negative; none for none."""
    long_client.flushall()
    queues = Queues(long_client, Keys())
    items = [b"a", b"b", b"c", b"d", b"e"]
    queues.push("q", *items)
    begin = max(start, -5)  # a place before the first is the first
    size = count - (begin - start)
    shown = items[begin:][: max(size, 0)]
    assert queues.peek("q", start, count) == shown
    assert queues.size("q") == 5


def test_remove_forgets_the_queue(queues: Queues) -> None:
    """A removed queue is gone with its jobs, a cleared one is empty; both say how many it had."""
    for name in ("a", "b", "c"):
        queues.push(name, b"x", b"y")
    assert queues.remove("a") == 2
    assert queues.clear("b") == 2
    assert queues.sizes() == {"b": 0, "c": 2}
    assert queues.remove("never") == queues.clear("never") == 0


def test_removal_of_what_matches(queues: Queues) -> None:
    """Every payload that matches is removed, and nothing else; all that was done is told."""
    queues.push("q", b"a", b"b", b"a", b"c")
    looked_at, gone = list[int](), list[bytes]()
    assert queues.remove_matching("q", lambda raw: raw != b"b", looked_at.append, gone.extend) == 3
    assert looked_at == [4]
    assert sorted(gone) == [b"a", b"a", b"c"]
    assert queues.peek("q", 0, 9) == [b"b"]


def test_removal_of_one(queues: Queues) -> None:
    """Of those that match the last is removed, if there is any."""
    queues.push("q", b"a", b"b", b"a", b"c")
    assert queues.remove_one("q", lambda raw: raw == b"a")
    assert not queues.remove_one("q", lambda raw: raw == b"d")
    assert queues.peek("q", 0, 9) == [b"a", b"b", b"c"]


@given(st.binary())
def test_any_name(long_client: Any, raw: bytes) -> None:
    """A queue may have any bytes for a name."""
    long_client.flushall()
    queues, name = Queues(long_client, Keys()), to_text(raw)
    queues.push(name, b"x")
    assert queues.names() == [name]
    assert queues.pop(name) == b"x"


def test_push_to_a_key_of_another_type(queues: Queues, client: Any) -> None:
    """A push that Redis refuses raises, though the other half of it went through."""
    client.set("resque:queue:q", "x")
    with pytest.raises(WrongKeyType, match="'resque:queue:q'"):
        queues.push("q", b"a")
