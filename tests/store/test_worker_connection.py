"""The parent's connection to Redis: signals are heard, and no reply is taken for another's."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from servers.nodes import free_ports

from resque_fork import embedded
from resque_fork.errors import GaveUpWaiting, RedisRefused
from resque_fork.store.addresses import Endpoint
from resque_fork.store.redis_url import ANSWER_SECONDS
from resque_fork.store.scripts import run
from resque_fork.store.worker_connection import FIND_SECONDS, WorkerConnection
from resque_fork.system import process
from resque_fork.system.loop import Loop

from .conftest import KEY, ParsedBy, Pieces, connection_to


@pytest.fixture
def connection(redis_url: str, parser: type) -> Iterator[WorkerConnection]:
    """A connection to the server of the session, by each of the parsers."""
    connection = WorkerConnection(ParsedBy(redis_url, parser), Loop(), KEY)
    yield connection
    connection.close()


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """The address of a server that accepts and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(100)
        yield tmp_path / "s"


# --- commands and replies


def test_command_and_reply(connection: WorkerConnection) -> None:
    """A reply is bytes, a number, None, a list, or a refusal that will not pass."""
    assert connection.execute_command("SET", "a", b"\xff\r\n") == b"OK"
    assert connection.execute_command("GET", "a") == b"\xff\r\n"
    assert connection.execute_command("GET", "b") is None
    assert connection.execute_command("INCR", "n") == 1
    assert connection.execute_command("RPUSH", "l", "x", "") == 2
    assert connection.execute_command("LRANGE", "l", 0, -1) == [b"x", b""]
    assert sorted(connection.execute_command("SMEMBERS", "none")) == []
    with pytest.raises(RedisRefused, match="unknown command 'NONSENSE'"):
        connection.execute_command("NONSENSE")
    assert connection.execute_command("PING") == b"PONG"


def test_large_command_and_large_reply(connection: WorkerConnection) -> None:
    """Eight megabytes go out and come in though no socket holds them at once."""
    value = os.urandom(8 * 1024 * 1024)
    assert connection.execute_command("SET", "a", value) == b"OK"
    assert connection.execute_command("GET", "a") == value


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("size", [1_100_000, 30_000_000])
def test_command_that_is_too_large(tcp: bool, size: int) -> None:
    """What the server says before it hangs up on a too large argument is heard, and told."""
    port = free_ports(1)[0] if tcp else 0
    with embedded.Server(port=port, config={"proto-max-bulk-len": "1048576"}) as server:
        connection = connection_to(f"redis://127.0.0.1:{port}/0" if port else server.url)
        for _ in range(20):
            with pytest.raises(RedisRefused, match="Protocol error: invalid bulk length"):
                connection.execute_command("RPUSH", "a", b"x" * size)
            assert connection.execute_command("PING") == b"PONG"
        connection.close()


def test_commands_whose_reply_does_not_matter(connection: WorkerConnection) -> None:
    """Replies that nobody waits for do not come in the way of those that somebody does."""
    connection.send("SET", "never", "sent")  # there is no connection yet
    connection.execute_command("PING")
    for number in range(100):
        connection.send("RPUSH", "l", number)
    assert connection.execute_command("LLEN", "l") == 100
    assert connection.execute_command("GET", "never") is None


def test_scripts_over_the_connection(connection: WorkerConnection, redis: Redis) -> None:
    """A script that the server does not know is sent along; one that is unknown is told at once."""
    redis.script_flush()
    redis.rpush("failed", b"x")
    assert run(connection, "remove_entries", ["failed"], [9, 9, "LPOP", "m", 0, b"x", 1, b"y"]) == [
        0,
        -1,
    ]
    with pytest.raises(RedisRefused) as caught:
        connection.execute_command("EVALSHA", "0" * 40, 0)
    assert caught.value.code == "NOSCRIPT"


def test_trying_once(connection: WorkerConnection) -> None:
    """A command that is tried once is told to be refused, and never repeated."""
    assert connection.try_command("SET", "a", "x")
    assert not connection.try_command("LPOP", "a")
    assert not connection.try_command("NONSENSE")


def test_trying_once_while_redis_is_away(silent: Path, hasty_loop: Loop) -> None:
    """A command that is tried once is given up on like a refusal, if there is no answer."""
    connection = connection_to(f"unix://{silent}", hasty_loop)
    assert not connection.try_command("PING")
    silent.unlink()
    assert not connection.try_command("PING")


def test_trying_once_after_the_deadline(silent: Path, hasty_loop: Loop) -> None:
    """A command that is tried once is not waited for beyond the deadline."""
    connection = connection_to(f"unix://{silent}", hasty_loop, deadline=lambda: 0)
    with pytest.raises(GaveUpWaiting, match="leaving without it"):
        connection.try_command("PING")


def test_replies_in_pieces(tmp_path: Path, parser: type) -> None:
    """Replies and notifications that come in pieces, or all at once, are told from each other."""
    notification = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$12\r\nresque:queue\r\n"
    server = Pieces(
        tmp_path / "s",
        [
            b"%1\r\n$5\r\nproto\r\n:3\r\n",
            notification + b"*4\r\n$5\r\ndo\r\ne\r\n_\r\n:-7\r\n*1\r\n$0\r\n\r\n" + notification,
            b"-WEIRD no way\r\n",
            b"$5\r\n\xff\r\nxx\r\n" + notification + notification,
            b"*0\r\n",
        ],
    )
    server.start()
    connection = WorkerConnection(ParsedBy(f"unix://{tmp_path}/s", parser), Loop(), KEY)
    notifications: list[Any] = []
    connection.on_notification = notifications.append
    assert connection.execute_command("ONE") == [b"do\r\ne", None, -7, [b""]]
    with pytest.raises(
        RedisRefused, match=r"^Redis at unix://.*/s said: WEIRD no way\.$"
    ) as caught:
        connection.execute_command("TWO")
    assert (caught.value.code, caught.value.reason) == ("WEIRD", "WEIRD no way")
    assert connection.execute_command("THREE") == b"\xff\r\nxx"
    assert connection.execute_command("FOUR") == []
    assert notifications == [[b"resque:queue"]] * 4
    connection.close()
    server.join(10)


# --- redis is away


def test_server_that_never_answers_leaves_the_loop_free(silent: Path, hasty_loop: Loop) -> None:
    """While a server that accepts says nothing, other things of the loop go on happening."""
    happened: list[float] = []
    for seconds in (1, 3, 5):
        hasty_loop.after(seconds, lambda: happened.append(hasty_loop.clock()))
    until = hasty_loop.clock() + 7
    connection = connection_to(f"unix://{silent}", hasty_loop, deadline=lambda: until)
    with pytest.raises(GaveUpWaiting) as caught:
        connection.execute_command("PING")
    assert str(caught.value) == (
        f"Redis at unix://{silent} was away for too long; leaving without it."
    )
    assert len(happened) == 3
    assert until <= hasty_loop.clock() <= until + 2


def test_server_that_never_answers_is_tried_again(
    silent: Path, hasty_loop: Loop, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that says nothing for too long is hung up on, and called again until it answers."""
    start = hasty_loop.clock()

    def heal() -> None:
        silent.unlink()
        silent.symlink_to(redis_url.removeprefix("unix://"))

    hasty_loop.after(ANSWER_SECONDS + 3, heal)
    connection = connection_to(f"unix://{silent}", hasty_loop)
    assert connection.execute_command("PING") == b"PONG"
    assert hasty_loop.clock() - start >= ANSWER_SECONDS
    assert [record.getMessage() for record in caplog.records] == [
        f"Redis at unix://{silent} does not answer. No reply within 10 seconds. Trying again.",
        f"Redis at unix://{silent} answers again",
    ]
    connection.close()


def test_slow_server_is_waited_for(tmp_path: Path, hasty_loop: Loop) -> None:
    """A reply may take longer than the limit for none, while more and more of it comes in."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        connections: list[socket.socket] = []

        def trickle(rest: bytes) -> None:
            if not connections:
                connections.append(listener.accept()[0])
            connections[0].send(rest[:1])
            if rest[1:]:
                hasty_loop.after(3, lambda: trickle(rest[1:]))

        hasty_loop.after(1, lambda: trickle(b"%0\r\n" + b"$20\r\n" + b"x" * 20 + b"\r\n"))
        connection = connection_to(f"unix://{tmp_path}/s", hasty_loop)
        start = hasty_loop.clock()
        assert connection.execute_command("PING") == b"x" * 20
        assert hasty_loop.clock() - start > 6 * ANSWER_SECONDS
        connection.close()
        connections[0].close()


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_gives_up_at_the_deadline(
    hasty_loop: Loop, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a server it tries again, with growing pauses, until the deadline."""
    deadline = hasty_loop.clock() + seconds
    connection = connection_to("unix:///nowhere", hasty_loop, deadline=lambda: deadline)
    with pytest.raises(GaveUpWaiting, match="Redis at unix:///nowhere was away for too long"):
        connection.execute_command("PING")
    assert deadline <= hasty_loop.clock() <= deadline + 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Redis at unix:///nowhere does not answer (Error 2 ")
    assert record.getMessage().endswith("Trying again.")


def test_the_deadline_is_asked_for_anew(silent: Path, hasty_loop: Loop) -> None:
    """A command that waits for ever is given up as soon as it is told to stop."""
    deadline: list[float | None] = [None]

    def stop() -> None:
        deadline[0] = hasty_loop.clock()

    hasty_loop.after(25, stop)
    connection = connection_to(f"unix://{silent}", hasty_loop, deadline=lambda: deadline[0])
    with pytest.raises(GaveUpWaiting):
        connection.open_or_refuse()


def test_connection_is_cut_between_commands(connection: WorkerConnection, redis: Redis) -> None:
    """After a cut the next command goes over a new connection, and the listener was notified."""
    connection.execute_command("PING")
    before = connection.session
    notifications: list[Any] = []
    connection.on_notification = notifications.append
    redis.client_kill_filter(_type="normal", skipme=True)
    assert connection.execute_command("PING") == b"PONG"
    assert connection.session is not before
    assert notifications == [None]


def test_connection_is_cut_while_a_reply_is_awaited(redis: Redis, redis_url: str) -> None:
    """A command whose reply was cut off is sent again."""
    loop = Loop()
    connection = connection_to(redis_url, loop)

    def cut() -> None:
        redis.client_kill_filter(_type="normal", skipme=True)
        redis.rpush("l", "x")

    connection.execute_command("PING")
    loop.after(0.05, cut)
    assert connection.execute_command("BLPOP", "l", 0) == [b"l", b"x"]
    connection.close()


def test_server_is_killed_and_comes_back(
    own_server: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A command that meets a dead server is carried out when the server is back."""
    loop = Loop()
    connection = connection_to(own_server.url, loop)
    connection.execute_command("PING")
    own_server.kill()
    loop.after(0.15, own_server.start)
    assert connection.execute_command("SET", "a", 1) == b"OK"
    assert caplog.records[-1].getMessage() == f"Redis at {own_server.url} answers again"
    connection.close()


def test_closing(connection: WorkerConnection) -> None:
    """A closed connection has no session; the next command opens it again."""
    assert connection.session is None
    connection.execute_command("PING")
    assert connection.session is not None
    connection.close()
    connection.close()
    assert connection.session is None
    assert connection.execute_command("PING") == b"PONG"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_child_closes_its_copy_of_the_connection(connection: WorkerConnection) -> None:
    """A forked child that closes its descriptors leaves the parent's connection as it was."""
    connection.execute_command("PING")
    before = connection.session
    child = os.fork()
    if child == 0:
        try:
            process.close_inherited_fds(connection.fds)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert connection.execute_command("PING") == b"PONG"
    assert connection.session is before


# --- names


def never(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
    """A name server that does not answer."""
    while True:
        wait()


def test_a_name_that_is_not_resolved_leaves_the_loop_free(
    hasty_loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """While a name server says nothing, other things go on; at the end it is told, and retried."""
    happened: list[float] = []
    start = hasty_loop.clock()
    hasty_loop.after(5, lambda: happened.append(hasty_loop.clock()))
    until = start + FIND_SECONDS + 10
    connection = connection_to(
        "redis://redis.test/0", hasty_loop, deadline=lambda: until, run_in_subprocess=never
    )
    with pytest.raises(GaveUpWaiting, match="leaving without it"):
        connection.execute_command("PING")
    assert len(happened) == 1
    assert until <= hasty_loop.clock() <= until + 2
    assert [record.getMessage() for record in caplog.records] == [
        "Redis at redis://redis.test/0 does not answer. "
        "Its name could not be resolved within 30 seconds. Trying again."
    ]


def test_a_name_is_not_waited_for_beyond_the_deadline(hasty_loop: Loop) -> None:
    """Who is told to stop does not wait for the name server."""
    deadline: list[float | None] = [None]

    def stop() -> None:
        deadline[0] = hasty_loop.clock()

    hasty_loop.after(5, stop)
    until = hasty_loop.clock() + 5
    connection = connection_to(
        "redis+sentinel://a.test/primary",
        hasty_loop,
        deadline=lambda: deadline[0],
        run_in_subprocess=never,
    )
    with pytest.raises(GaveUpWaiting):
        connection.open_or_refuse()
    assert until <= hasty_loop.clock() <= until + 2


def test_a_name_that_was_resolved_in_a_subprocess() -> None:
    """The worker connects to the address that was found, and does not ask for it again."""
    port = free_ports(1)[0]

    def answer(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        wait()
        return Endpoint("redis.test", port, ("127.0.0.2", "127.0.0.1"))

    loop = Loop()
    loop.after(0, lambda: None)
    with embedded.Server(port=port):  # which does not listen at the first of the two
        connection = connection_to(f"redis://redis.test:{port}/0", loop, run_in_subprocess=answer)
        assert connection.execute_command("PING") == b"PONG"
        connection.close()


@pytest.mark.parametrize("url", ["unix:///nowhere", "redis://127.0.0.1:1", "redis://localhost:1"])
def test_where_there_is_nobody_to_ask(url: str) -> None:
    """An address, a socket and localhost are found here and now."""
    connection = connection_to(url, run_in_subprocess=never)
    assert not connection.try_command("PING")
