"""The client when Redis says no: it is said whether anything was queued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

from resque_fork import AccessRefused, MaybeEnqueued, Resque, ResqueError, WrongKeyType, embedded


@pytest.fixture
def own() -> Iterator[embedded.Server]:
    with embedded.Server(config={"maxmemory-policy": "noeviction"}) as server:
        yield server


@pytest.fixture
def admin(own: embedded.Server) -> Iterator[Redis]:
    with Redis.from_url(own.url) as client:
        yield client


def refused(call: Callable[[], Any]) -> ResqueError:
    with pytest.raises(ResqueError) as raised:
        call()
    assert not isinstance(raised.value, MaybeEnqueued)
    return raised.value


def test_full_memory(own: embedded.Server, admin: Redis) -> None:
    """Nothing is queued in a server without memory; of many, as many as were before."""
    resque = Resque(own.url)
    pushes = (
        lambda: resque.enqueue_to("q", "A"),
        lambda: resque.enqueue_many("A", [[1]], queue="q"),
        lambda: resque.push("q", {"class": "A", "args": []}),
    )
    admin.config_set("maxmemory", "1mb")
    for push in pushes:
        assert str(refused(push)) == (
            f"Redis at {own.url} said: command not allowed when used memory > 'maxmemory'. "
            "Nothing was queued."
        )
    admin.config_set("maxmemory", 0)
    assert resque.queues() == []

    def until_it_is_full() -> Iterator[list[int]]:
        for number in range(1500):
            if number == 1200:
                admin.config_set("maxmemory", "1mb")
            yield [number]

    error = refused(lambda: resque.enqueue_many("A", until_it_is_full(), queue="q"))
    assert str(error).endswith(" Nothing was queued after the first 1000 jobs.")
    assert error.enqueued == 1000  # type: ignore[attr-defined]
    admin.config_set("maxmemory", 0)
    assert resque.size("q") == 1000
    resque.close()


def test_read_only(own: embedded.Server, admin: Redis) -> None:
    """A replica takes nothing."""
    resque = Resque(own.url)
    admin.replicaof("127.0.0.1", "1")
    assert str(refused(lambda: resque.enqueue_to("q", "A"))) == (
        f"Redis at {own.url} said: You can't write against a read only replica. Nothing was queued."
    )
    resque.close()


def test_too_many_clients(own: embedded.Server, admin: Redis) -> None:
    """A server that takes no more clients says so, and was not sent the job."""
    with ExitStack() as stack:
        admin.config_set("maxclients", 2)
        other = stack.enter_context(Redis.from_url(own.url))
        other.ping()
        for url in (own.url, f"{own.url}?db=1"):
            assert str(refused(lambda url=url: Resque(url).enqueue_to("q", "A"))) == (
                f"Redis at {url} said: max number of clients reached. Nothing was queued."
            )
            assert "max number of clients reached" in str(refused(Resque(url).queues))
    admin.config_set("maxclients", 100)
    assert admin.keys() == []


def test_too_many_connections_of_our_own(own: embedded.Server) -> None:
    """A pool that is not to grow sends nothing either."""
    resque = Resque(f"{own.url}?max_connections=1")
    taken = resque.redis.connection_pool.get_connection()
    assert str(refused(lambda: resque.enqueue_to("q", "A"))).endswith("Nothing was queued.")
    resque.redis.connection_pool.release(taken)
    assert resque.enqueue_to("q", "A")
    resque.close()


@pytest.mark.parametrize("rules", ["-rpush", "-@write", "-sadd -rpush"])
def test_a_user_who_may_not(own: embedded.Server, admin: Redis, rules: str) -> None:
    """A user who may not push has queued nothing."""
    admin.execute_command("ACL", "SETUSER", "ada", "on", ">pw", "~*", "+@all", *rules.split())
    resque = Resque(own.url.replace("unix://", "unix://ada:pw@"))
    error = refused(lambda: resque.enqueue_to("q", "A"))
    assert isinstance(error, AccessRefused)
    assert str(error).endswith(" Nothing was queued.")
    assert resque.size("q") == 0
    resque.close()


def test_what_was_pushed_all_the_same(own: embedded.Server, admin: Redis) -> None:
    """Where only the queue could not be made known, the job is in it, and that is said."""
    admin.execute_command("ACL", "SETUSER", "ada", "on", ">pw", "~*", "+@all", "-sadd")
    resque = Resque(own.url.replace("unix://", "unix://ada:pw@"))
    pushed = "All jobs were pushed to 'q', but it may be missing from the list of queues."
    assert str(refused(lambda: resque.enqueue_to("q", "A"))).endswith(pushed)
    assert resque.size("q") == 1
    admin.set("resque:queues", "x")
    error = refused(lambda: Resque(own.url).enqueue_to("q", "A"))
    assert isinstance(error, WrongKeyType)
    assert error.key == "resque:queues"
    assert str(error).endswith(pushed)
    assert resque.size("q") == 2
    resque.close()


@pytest.mark.parametrize("command", ["RPUSH", "PING", "SADD", "TIME", "LRANGE"])
def test_a_command_that_is_not_there(command: str) -> None:
    """A command that the server does not know is named, where it is needed at all."""
    with embedded.Server(config={"rename-command": f'{command} ""'}) as server:
        resque = Resque(server.url)
        if command in ("PING", "TIME"):
            assert resque.enqueue_to("q", "A")
        elif command == "LRANGE":
            resque.enqueue_to("q", "A")
            for call in (lambda: resque.dequeue("A", queue="q"), lambda: resque.peek("q")):
                assert "unknown command 'LRANGE'" in str(refused(call))
        else:
            message = str(refused(lambda: resque.enqueue_to("q", "A")))
            assert f"unknown command '{command}'" in message
            assert message.endswith(" Nothing was queued.") is (command == "RPUSH")
            assert resque.size("q") == (0 if command == "RPUSH" else 1)
        resque.close()
