"""One URL says where Redis is; no password of it is ever shown; errors are sentences."""

import os
import re
import threading
import time
from typing import Any

import pytest
import redis as redis_py
from redis import Redis

from resque_fork.errors import (
    AccessRefused,
    RedisUnavailable,
    ResqueError,
    SettingsError,
    WrongKeyType,
)
from resque_fork.store.masking import without_secrets
from resque_fork.store.server import CONNECT_SECONDS, SCHEMES, Server, in_our_words, never_sent

SERVER = Server("redis://:pw@h:1/0")


def options(url: str) -> dict[str, Any]:
    """What a client of this URL connects with."""
    client = Server(url).client()
    pool: dict[str, Any] = client.connection_pool.connection_kwargs
    client.close()
    return pool


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:7/3", {"host": "h", "port": 7, "db": 3}),
        ("redis://u:p%40w@h", {"username": "u", "password": "p@w"}),
        ("redis://h?db=2&socket_timeout=3", {"db": 2, "socket_timeout": 3.0}),
        ("unix:///tmp/x.sock?db=1", {"path": "/tmp/x.sock", "db": 1}),
        ("unix://:pw@/tmp/x.sock", {"password": "pw"}),
        ("redis+sentinel://:pw@a,b:7/primary/2", {"password": "pw", "db": 2}),
    ],
)
def test_url_is_understood(url: str, expected: dict[str, Any]) -> None:
    """Host, port, database, login and redis-py's options are read from the URL."""
    assert options(url).items() >= expected.items()


def test_connecting_is_bounded() -> None:
    """Nothing waits for a connection for longer than we say, whatever redis-py's defaults."""
    assert options("redis://h")["socket_connect_timeout"] == CONNECT_SECONDS


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://:pw@h",
            "The Redis URL 'http://:***@h' must begin with redis://, rediss://, unix://, "
            "redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://.",
        ),
        (
            "redis+sentinel://:pw@h:1",
            "The Redis URL 'redis+sentinel://:***@h:1' cannot be understood: it names no primary, "
            "as in redis+sentinel://host:26379/mymaster/0.",
        ),
        (
            "redis+cluster://",
            "The Redis URL 'redis+cluster://' cannot be understood: it names no host.",
        ),
        (
            "redis://h:port",
            "The Redis URL 'redis://h:port' cannot be understood: "
            "Port could not be cast to integer value as 'port'.",
        ),
        (
            "redis+sentinel://h/p/x",
            "The Redis URL 'redis+sentinel://h/p/x' cannot be understood: "
            "a database is a number, not 'x'.",
        ),
        (
            "redis://h/x",
            "The Redis URL 'redis://h/x' cannot be understood: a database is a number, not 'x'.",
        ),
    ],
)
def test_url_that_makes_no_sense(url: str, message: str) -> None:
    """A URL that cannot be understood is an error that shows it, without its password."""
    with pytest.raises(SettingsError) as caught:
        Server(url)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://ada:se%40cret@h", "redis://ada:***@h"),
        ("redis://h?password=secret&db=1", "redis://h?password=***&db=1"),
        ("redis+sentinel://a,b/p?sentinel_password=x", "redis+sentinel://a,b/p?sentinel_password=***"),
        ("unix:///tmp/x.sock", "unix:///tmp/x.sock"),
        ("unix://:secret@/tmp/x.sock?db=1", "unix://:***@/tmp/x.sock?db=1"),
    ],
)  # fmt: skip
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    """A URL is shown as it was given, but for its passwords."""
    assert without_secrets(url) == shown
    assert str(Server(url)) == shown
    assert set(SCHEMES) >= {url.partition(":")[0]}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            redis_py.exceptions.ConnectionError("Error 111 connecting to h:1. Connection refused."),
            RedisUnavailable,
            "Redis at redis://:***@h:1/0 does not answer "
            "(Error 111 connecting to h:1. Connection refused).",
        ),
        (TimeoutError("slow"), RedisUnavailable, "Redis at {} does not answer (slow)."),
        (
            redis_py.exceptions.TimeoutError("Timeout reading from socket"),
            RedisUnavailable,
            "Redis at {} does not answer (Timeout reading from socket).",
        ),
        (
            redis_py.exceptions.AuthenticationError("Authentication required."),
            AccessRefused,
            "Redis at {} refused the credentials (Authentication required).",
        ),
        (
            redis_py.exceptions.NoPermissionError("no permissions to run the 'lpop' command"),
            AccessRefused,
            "Redis at {} does not allow what we need (no permissions to run the 'lpop' command).",
        ),
        (
            redis_py.exceptions.ResponseError("WRONGTYPE Operation against a key"),
            WrongKeyType,
            "The Redis key 'k' does not hold what Resque keeps there; rename or delete it.",
        ),
        (
            redis_py.exceptions.ReadOnlyError("You can't write against a read only replica."),
            ResqueError,
            "Redis at {} said: You can't write against a read only replica.",
        ),
    ],
)
def test_errors_are_sentences(error: Exception, kind: type[ResqueError], message: str) -> None:
    """Each of redis-py's errors becomes one of ours that says where and what, and no password."""
    ours = in_our_words(error, SERVER, "k")
    assert type(ours) is kind
    assert str(ours) == message.format("redis://:***@h:1/0")


def test_no_key_no_blame() -> None:
    """Without a key to name, a wrong type is what the server said of it."""
    error = redis_py.exceptions.ResponseError("WRONGTYPE Operation against a key")
    assert str(in_our_words(error, SERVER)) == (
        "Redis at redis://:***@h:1/0 said: WRONGTYPE Operation against a key."
    )


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("redis://redis.test", True),
        ("rediss://redis.test:1/0", True),
        ("redis://localhost", False),
        ("redis://", False),
        ("redis://127.0.0.1", False),
        ("redis://[::1]:1", False),
        ("unix:///redis.test", False),
        ("redis+sentinel://127.0.0.1/primary", True),
        ("redis+cluster://127.0.0.1", True),
    ],
)
def test_who_has_to_be_asked(url: str, asked: bool) -> None:
    """It is known beforehand whether finding the server takes somebody's answer."""
    assert Server(url).is_to_be_found is asked


def test_a_name_that_nobody_has() -> None:
    """A name that cannot be resolved is told like a connection that cannot be had."""
    server = Server("redis://redis.invalid:7/0")
    with pytest.raises(redis_py.exceptions.ConnectionError) as caught:
        server.find("resque:queues")
    ours = in_our_words(caught.value, server)
    assert isinstance(ours, RedisUnavailable)
    assert re.fullmatch(
        r"Redis at redis://redis\.invalid:7/0 does not answer "
        r"\(Error -?\d+ looking up redis\.invalid\. .+\)\.",
        str(ours),
    )


def test_tells_a_failed_connection_from_a_broken_one() -> None:
    """It can be told whether a command was never sent: where there was no connection at all."""
    for url in ("unix:///nowhere", "redis://127.0.0.1:1"):
        with pytest.raises(redis_py.exceptions.ConnectionError) as caught:
            Server(url).client().ping()
        assert never_sent(caught.value)
    assert not never_sent(redis_py.exceptions.ConnectionError("Connection closed by server."))


def test_a_ping(redis_url: str) -> None:
    """It asks whoever is there, and says who is not, in the words of any connection."""
    Server(redis_url).ping()
    for url in ("unix:///nowhere", "redis://127.0.0.1:1", "redis://localhost:1"):
        with pytest.raises(redis_py.exceptions.ConnectionError) as caught:
            Server(url).ping()
        assert never_sent(caught.value)
    with pytest.raises(redis_py.exceptions.AuthenticationError):
        Server(redis_url.replace("://", "://nobody:wrong@")).ping()


def test_commands_are_never_repeated(redis_url: str, redis: Redis) -> None:
    """A command whose connection is cut is not sent again behind the caller's back."""
    raised: list[Exception] = []

    def take() -> None:
        with Server(redis_url).client() as client:
            try:
                client.execute_command("BLPOP", "l", 0)
            except redis_py.exceptions.ConnectionError as error:
                raised.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    deadline = time.monotonic() + 30
    while not redis.info("clients")["blocked_clients"]:
        assert time.monotonic() < deadline
    redis.client_kill_filter(_type="normal", skipme=True)
    thread.join(30)
    redis.rpush("l", "x")
    assert [never_sent(error) for error in raised] == [False]
    assert redis.llen("l") == 1


def test_client_may_be_shared_by_threads(redis_url: str) -> None:
    """Threads may use one client at the same time."""
    with Server(redis_url).client() as client:

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
    with Server(redis_url).client() as client:
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
    with Server(redis_url).client() as client:
        client.set("resque:\udcff", 1)
        assert client.keys() == [b"resque:\xff"]


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("password", ["hunter2", *(f"hun{c}ter2" for c in "/?#[]:@%")])
def test_a_password_is_never_shown(scheme: str, password: str) -> None:
    """Neither of a server nor in an error, also where it ought to have been encoded and was not."""
    url = f"{scheme}://ada:{password}@localhost:6379/primary/0"
    try:
        shown = str(Server(url))
    except SettingsError as error:
        shown = str(error)
        if password[3] in "/?#":
            assert shown.endswith(
                "cannot be understood: "
                "in a password / is written %2F, ? %3F, # %23, [ %5B and ] %5D."
            )
    assert f"{scheme}://ada:***@localhost:6379/primary/0" in shown
    assert "hun" not in shown
    assert "ter2" not in shown


@pytest.mark.parametrize(
    "url", ["redis:/:hunter2@x:1", "localhost:hunter2@x", "redis:://:hunter2@x"]
)
def test_nor_that_of_something_that_is_no_url(url: str) -> None:
    """A slip of the keyboard does not publish it."""
    with pytest.raises(SettingsError, match="must begin with redis://") as caught:
        Server(url)
    assert "hunter2" not in str(caught.value)
