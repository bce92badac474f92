"""The parent's connection to a Redis that refuses commands: for good, or for a while."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from resque_fork import embedded
from resque_fork.errors import AccessRefused, GaveUpWaiting, RedisRefused
from resque_fork.store.worker_connection import WorkerConnection
from resque_fork.system.loop import Loop

from .conftest import Pieces, connection_to, fill, wait_for

# --- being let in


@pytest.fixture
def guarded() -> Iterator[embedded.Server]:
    """A server that wants a password, and knows a user who may do little."""
    with embedded.Server(config={"requirepass": "secret"}) as server:
        with Redis.from_url(server.url, password="secret") as client:
            client.acl_setuser(
                "little", enabled=True, passwords=["+pw"], commands=["+hello", "+ping", "+auth"]
            )
        yield server


def with_login(server: embedded.Server, login: str) -> str:
    return server.url.replace("unix://", f"unix://{login}@", 1)


def test_right_password(guarded: embedded.Server) -> None:
    """With the right password one is let in, with a user's name or without."""
    for login in (":secret", "default:secret"):
        connection = connection_to(with_login(guarded, login))
        connection.open_or_refuse()
        assert connection.execute_command("SET", "a", 1) == b"OK"
        connection.close()


@pytest.mark.parametrize(
    ("login", "message"),
    [
        (":wrong", r"refused the credentials \(invalid username-password pair or user is disabled"),
        ("x:y", r"refused the credentials \(invalid username-password pair or user is disabled"),
        ("", r"refused the credentials \(HELLO must be called with the client already auth"),
    ],
)
def test_wrong_password_is_told_at_once(guarded: embedded.Server, login: str, message: str) -> None:
    """Wrong credentials at the start are one error that names the server, but no password."""
    connection = connection_to(with_login(guarded, login) if login else guarded.url)
    with pytest.raises(AccessRefused, match=message) as caught:
        connection.open_or_refuse()
    assert str(caught.value).startswith("Redis at unix://")
    assert login not in str(caught.value) or not login


def test_password_that_changes_later_is_waited_out(
    guarded: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A password changed under a running worker costs no job: it waits until it is let in."""
    loop = Loop()
    connection = connection_to(with_login(guarded, ":secret"), loop)
    connection.open_or_refuse()
    connection.authenticated = True
    with Redis.from_url(guarded.url, password="secret") as client:
        client.config_set("requirepass", "other")
        client.client_kill_filter(_type="normal", skipme=True)
        loop.after(0.15, lambda: client.config_set("requirepass", "secret"))
        assert connection.execute_command("PING") == b"PONG"
    said = [record.getMessage() for record in caplog.records]
    assert any("refused the credentials" in sentence for sentence in said)
    assert said[-1].endswith("answers again")
    connection.close()


def test_command_that_is_not_allowed(guarded: embedded.Server, hasty_loop: Loop) -> None:
    """A command that the user may not give is refused at the start, and later waited for."""
    deadline: list[float | None] = [None]
    url = with_login(guarded, "little:pw")
    connection = connection_to(url, hasty_loop, deadline=lambda: deadline[0])
    connection.open_or_refuse()
    assert not connection.try_command("CLIENT", "TRACKING", "ON")
    with pytest.raises(AccessRefused, match="does not allow what we need"):
        connection.execute_command("SET", "a", 1)
    connection.authenticated = True
    deadline[0] = hasty_loop.clock() + 20
    with pytest.raises(GaveUpWaiting):
        connection.execute_command("SET", "a", 1)
    connection.close()


def test_database_is_chosen_on_every_connection(redis: Redis, redis_url: str) -> None:
    """A URL's database is the one that is spoken to, after a reconnect too."""
    connection = connection_to(f"{redis_url}?db=3")
    connection.execute_command("SET", "a", 1)
    redis.client_kill_filter(_type="normal", skipme=True)
    assert connection.execute_command("GET", "a") == b"1"
    assert redis.get("a") is None
    connection.close()


def test_database_that_does_not_exist(redis_url: str, redis: Redis) -> None:
    """A database that the server has not is an error, and never another database."""
    connection = connection_to(f"{redis_url}?db=99")
    for act in (connection.open_or_refuse, lambda: connection.execute_command("SET", "a", 1)):
        with pytest.raises(RedisRefused, match="DB index is out of range"):
            act()
    assert redis.keys() == []


def test_server_that_knows_no_resp3() -> None:
    """With a server too old for HELLO all goes on in RESP2, without notifications."""
    with embedded.Server(config={"rename-command": 'HELLO ""'}) as server:
        connection = connection_to(server.url)
        connection.open_or_refuse()
        assert not connection.can_notify
        connection.execute_command("HSET", "h", "a", 1)
        assert connection.execute_command("HGETALL", "h") == [b"a", b"1"]
        connection.close()


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"-ERR invalid password\r\n"])
def test_server_that_knows_no_resp3_wants_a_password(tmp_path: Path, answer: bytes) -> None:
    """An old server's password is given in the old way."""
    unknown = b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"
    server = Pieces(tmp_path / "s", [unknown, answer, b"+PONG\r\n"])
    server.start()
    connection = connection_to(f"unix://:secret@{tmp_path}/s")
    if answer.startswith(b"+"):
        connection.open_or_refuse()
        assert not connection.can_notify
    else:
        with pytest.raises(AccessRefused, match=r"refused the credentials \(invalid password\)"):
            connection.open_or_refuse()
    connection.close()
    server.join(10)


def test_server_that_knows_no_users(tmp_path: Path) -> None:
    """Where AUTH takes a password alone, it is given that."""
    unknown = b"-ERR unknown command\r\n"
    wrong = b"-ERR wrong number of arguments for 'auth' command\r\n"
    server = Pieces(tmp_path / "s", [unknown, wrong, b"+OK\r\n", b"+PONG\r\n"])
    server.start()
    connection = connection_to(f"unix://ada:secret@{tmp_path}/s")
    connection.open_or_refuse()
    connection.close()
    server.join(10)
    assert b"ada" in server.read[1]
    assert server.read[2] == b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"


# --- refusals that pass


def passes(
    connection: WorkerConnection, loop: Loop, command: list[Any], heal: Callable[[], object]
) -> Any:
    """What the command brings, when the trouble is over a little later."""
    loop.after(0.15, heal)
    return connection.execute_command(*command)


def test_full_server_is_waited_for(
    own_server: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A command that a full server refuses is given again until there is room."""
    loop = Loop()
    connection = connection_to(own_server.url, loop)
    with Redis.from_url(own_server.url) as client:
        fill(client)
        done = passes(connection, loop, ["SET", "a", 1], lambda: client.config_set("maxmemory", 0))
    assert done == b"OK"
    assert caplog.records[0].getMessage() == (
        f"Redis at {own_server.url} said: "
        "command not allowed when used memory > 'maxmemory'. Trying again."
    )
    connection.close()


def test_read_only_replica_is_left(own_server: embedded.Server) -> None:
    """A server that has become a replica is asked for the primary anew, on a new connection."""
    loop = Loop()
    connection = connection_to(own_server.url, loop)
    connection.execute_command("PING")
    before = connection.session
    with Redis.from_url(own_server.url) as client:
        client.replicaof("127.0.0.1", "1")
        heal = lambda: client.replicaof("NO", "ONE")  # noqa: E731
        assert passes(connection, loop, ["SET", "a", 1], heal) == b"OK"
    assert connection.session is not before
    connection.close()


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["SMEMBERS", "resque:queues"], "resque:queues"),
        (["EVAL", "return redis.error_reply('WRONGTYPE my key is a hash, not a list')", 0], None),
    ],
)
def test_key_in_the_way_is_named(
    redis: Redis,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    command: list[Any],
    key: str | None,
) -> None:
    """A key of the wrong type is named, and waited for until somebody has put it right."""
    redis.set("resque:queues", "x")
    loop = Loop()
    until = loop.clock() + 0.5
    connection = connection_to(redis_url, loop, deadline=lambda: until)
    with pytest.raises(GaveUpWaiting):
        connection.execute_command(*command)
    assert caplog.records[0].getMessage() == (
        f"The Redis key {key or 'my key'!r} does not hold what Resque keeps there; "
        "rename or delete it. Trying again."
    )
    connection.close()


def test_a_server_that_loads_is_waited_for(tmp_path: Path) -> None:
    """A server that is still loading its data is called again until it has."""
    loop = Loop()
    server = Pieces(tmp_path / "s", [b"-LOADING Redis is loading the dataset in memory\r\n"])
    server.start()
    with embedded.Server() as real:

        def loaded() -> None:
            (tmp_path / "s").unlink()
            (tmp_path / "s").symlink_to(real.url.removeprefix("unix://"))

        connection = connection_to(f"unix://{tmp_path}/s", loop)
        assert passes(connection, loop, ["PING"], loaded) == b"PONG"
        connection.close()


def test_events_go_on_while_it_is_waited(own_server: embedded.Server) -> None:
    """While Redis is away the loop's timers run, so that children can be stopped in time."""
    loop = Loop()
    connection = connection_to(own_server.url, loop)
    connection.execute_command("PING")
    own_server.kill()
    ran: list[int] = []
    loop.after(0.05, lambda: ran.append(1))
    loop.after(0.1, own_server.start)
    connection.execute_command("PING")
    wait_for(loop, lambda: ran)
    connection.close()
