"""What an object makes when it is first asked for."""

import threading
from typing import Any

import pytest

from resque_fork import Resque
from resque_fork.lazy import shared_property
from resque_fork.store import client as client_module


class Slow:
    """Makes its value while others ask for it, too."""

    made = 0

    def __init__(self, parties: int) -> None:
        self.all_ask = threading.Barrier(parties)

    @shared_property
    def value(self) -> object:
        """The value."""
        Slow.made += 1
        self.all_ask.wait(60)
        return object()


def ask(threads: int, what: Any) -> list[Any]:
    """What each of so many threads got that asked at the same time."""
    got: list[Any] = []
    asking = [threading.Thread(target=lambda: got.append(what())) for _ in range(threads)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(60)
    return got


def test_is_made_once_and_kept() -> None:
    """It is made when first asked for, and no more after that."""
    slow, before = Slow(1), Slow.made
    assert slow.value is slow.value
    assert Slow.made == before + 1
    assert Slow.value.__doc__ == "The value."


def test_all_threads_get_the_same() -> None:
    """Threads that ask at the same time all get one object, though each has made one."""
    slow, before = Slow(4), Slow.made
    assert len(set(map(id, ask(4, lambda: slow.value)))) == 1
    assert Slow.made == before + 4


def test_threads_never_close_each_others_connections(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that use a client at the same time for the first time share one pool.

    With one each, a pool that is replaced closes its connections, whoever waits for a reply there.
    """
    all_open = threading.Barrier(4)
    open_client = client_module.open_client

    def open_with_others(*args: Any) -> Any:
        all_open.wait(60)
        return open_client(*args)

    monkeypatch.setattr(client_module, "open_client", open_with_others)
    resque = Resque(redis_url)
    pools = ask(4, lambda: resque.redis.connection_pool)
    resque.close()
    assert len(pools) == 4
    assert len(set(map(id, pools))) == 1
