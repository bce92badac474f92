"""One URL says where Redis is; no password of it is ever shown."""

from typing import Any

import pytest

from resque_fork.errors import SettingsError
from resque_fork.store.client import Client
from resque_fork.store.masking import without_secrets
from resque_fork.store.redis_url import CONNECT_SECONDS, SCHEMES, RedisURL


def options(url: str) -> dict[str, Any]:
    """What a client of this URL connects with."""
    client = Client(RedisURL(url))
    pool: dict[str, Any] = client.redis.connection_pool.connection_kwargs
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
        RedisURL(url)
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
    assert str(RedisURL(url)) == shown
    assert set(SCHEMES) >= {url.partition(":")[0]}


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
    assert RedisURL(url).is_to_be_found is asked


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("password", ["hunter2", *(f"hun{c}ter2" for c in "/?#[]:@%")])
def test_a_password_is_never_shown(scheme: str, password: str) -> None:
    """Neither of a server nor in an error, also where it ought to have been encoded and was not."""
    url = f"{scheme}://ada:{password}@localhost:6379/primary/0"
    try:
        shown = str(RedisURL(url))
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
        RedisURL(url)
    assert "hunter2" not in str(caught.value)
