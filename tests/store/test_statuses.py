"""Statuses of tracked jobs as they are listed."""

from typing import Any

import pytest

from resque_fork.errors import WrongKeyType
from resque_fork.store.statuses import LARGEST, Statuses
from resque_fork.wire.keys import Keys


@pytest.fixture
def statuses(client: Any, keys: Keys) -> Statuses:
    return Statuses(client, keys)


def test_ids(statuses: Statuses, client: Any, keys: Keys) -> None:
    """They stand in the order in which jobs were enqueued, whatever bytes they are."""
    assert (statuses.count(), statuses.ids(0, 10)) == (0, [])
    client.zadd(keys.statuses, {"c": 3, b"\xff": 1, "b": 2})
    assert statuses.count() == 3
    assert (statuses.ids(0, 2), statuses.ids(2, 2)) == (["\udcff", "b"], ["c"])
    assert statuses.ids(1, 0) == []


def test_texts(statuses: Statuses, client: Any, keys: Keys) -> None:
    """What stands there is read as it is, and of a large one only its beginning."""
    client.set(keys.status("a"), "x" * 2 * LARGEST)
    client.set(keys.status("\udcff").encode("utf-8", "surrogateescape"), b"\xfe")
    client.sadd(keys.status("b"), "x")
    assert statuses.texts(["\udcff", "gone", "b"]) == [b"\xfe", b"", None]
    [beginning] = statuses.texts(["a"])
    assert beginning == b"x" * (LARGEST + 1)
    assert statuses.texts([]) == []


def test_ids_of_another_type(statuses: Statuses, client: Any, keys: Keys) -> None:
    """The key is named."""
    client.set(keys.statuses, "text")
    for ask in (statuses.count, lambda: statuses.ids(0, 1)):
        with pytest.raises(WrongKeyType, match=keys.statuses):
            ask()
