"""The client of applications: bounded, never repeating itself, and with our errors only."""

import os
import threading
import time

import pytest
from redis import Redis

from resque_fork.errors import AccessRefused, RedisRefused, RedisUnavailable, WrongKeyType
from resque_fork.store.redis_url import RedisURL

from .conftest import BothWays


def test_tells_a_failed_connection_from_a_broken_one(redis_url: str) -> None:
    """It can be told whether a command was never sent: where there was no connection at all."""
    for url in ("unix:///nowhere", "redis://127.0.0.1:1", "redis://localhost:1"):
        with pytest.raises(RedisUnavailable) as caught, BothWays(RedisURL(url)) as client:
            client.execute_command("PING")
        assert not caught.value.sent
        assert caught.value.had_no_effect
    wrong = redis_url.replace("://", "://nobody:wrong@")
    with pytest.raises(AccessRefused) as refused, BothWays(RedisURL(wrong)) as client:
        client.execute_command("PING")
    assert not refused.value.sent


def test_what_may_have_been_done_is_said(redis: Redis, redis_url: str) -> None:
    """Where no reply came the error says what may have been done; a refusal did nothing."""
    redis.set("k", "x")
    with BothWays(RedisURL(redis_url)) as client:
        with pytest.raises(WrongKeyType, match=r"rename or delete it\.$"):
            client.execute_command("LPOP", "k", perhaps="It may be gone.")
        with client.within(0.1), pytest.raises(RedisUnavailable, match=r"It may be gone\.$"):
            client.execute_command("BLPOP", "l", 0, perhaps="It may be gone.")


def test_many_commands_at_once(redis: Redis, redis_url: str) -> None:
    """Replies come in order; the first error is raised with its own key, or left in its place."""
    redis.set("k", "x")
    commands = [("GET", "k"), ("LLEN", "k"), ("SET", "done", "1")]
    with BothWays(RedisURL(redis_url)) as client:
        assert client.execute_many([]) == []
        for transaction in (False, True):
            with pytest.raises(WrongKeyType, match="'k'"):
                client.execute_many(commands, transaction=transaction)
        value, refused, done = client.execute_many(commands, errors=True)
        assert (value, done) == (b"x", True)
        assert isinstance(refused, RedisRefused)
        assert sorted(client.scan("*")) == [b"done", b"k"]


def test_reading_many_keys(redis: Redis, redis_url: str) -> None:
    """A key of another type costs no other reply; any other refusal is raised."""
    redis.set("k", "x")
    with BothWays(RedisURL(redis_url)) as client:
        assert client.read_each([("LLEN", "k"), ("GET", "k"), ("GET", "l")]) == [None, b"x", None]
        assert client.read_each([]) == []
        with pytest.raises(RedisRefused, match="NOSUCH"):
            client.read_each([("LLEN", "k"), ("NOSUCH",)])


def test_commands_are_never_repeated(redis_url: str, redis: Redis) -> None:
    """A command whose connection is cut is not sent again behind the caller's back."""
    raised: list[RedisUnavailable] = []

    def take() -> None:
        with BothWays(RedisURL(redis_url)) as client:
            try:
                client.execute_command("BLPOP", "l", 0)
            except RedisUnavailable as error:
                raised.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    deadline = time.monotonic() + 30
    while not redis.info("clients")["blocked_clients"]:
        assert time.monotonic() < deadline
    redis.client_kill_filter(_type="normal", skipme=True)
    thread.join(30)
    redis.rpush("l", "x")
    assert [error.had_no_effect for error in raised] == [False]
    assert redis.llen("l") == 1


def test_client_may_be_shared_by_threads(redis_url: str) -> None:
    """Threads may use one client at the same time."""
    with BothWays(RedisURL(redis_url)) as client:

        def push() -> None:
            for _ in range(50):
                client.incr("n")

        threads = [threading.Thread(target=push) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert client.get("n") == b"250"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_client_survives_a_fork(redis_url: str) -> None:
    """A client that was used before a fork works in parent and child, each on its own."""
    with BothWays(RedisURL(redis_url)) as client:
        client.ping()
        child = os.fork()
        if child == 0:
            client.rpush("from", "child")
            os._exit(0)
        client.rpush("from", "parent")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sorted(client.lrange("from", 0, -1)) == [b"child", b"parent"]


def test_names_are_bytes_of_any_kind(redis_url: str) -> None:
    """A name that is not UTF-8 goes to the server as the bytes that it was."""
    with BothWays(RedisURL(redis_url)) as client:
        client.set("resque:\udcff", 1)
        assert client.keys() == [b"resque:\xff"]
