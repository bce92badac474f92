"""The parent's line to Redis: never deaf, never confused, patient for as long as it is told."""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoScriptError, ResponseError
from servers.nodes import free_ports

from resque_fork import embedded, process
from resque_fork.errors import AccessRefused, GaveUpWaiting
from resque_fork.loop import Loop
from resque_fork.store.line import FIND_SECONDS, Line
from resque_fork.store.scripts import run
from resque_fork.store.server import ANSWER_SECONDS, Place, Server

from .conftest import ParsedBy, fill, wait_for

KEY = "resque:queues"


def line_to(url: str, loop: Loop | None = None, **more: Any) -> Line:
    return Line(Server(url), loop or Loop(), KEY, **more)


@pytest.fixture
def line(redis_url: str, parser: type) -> Iterator[Line]:
    """A line to the server of the session, by each of the parsers."""
    line = Line(ParsedBy(redis_url, parser), Loop(), KEY)
    yield line
    line.close()


@pytest.fixture
def own_server() -> Iterator[embedded.Server]:
    """A server of the test's own, which it may stop, start and configure."""
    with embedded.Server() as server:
        yield server


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """The address of a server that accepts and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(100)
        yield tmp_path / "s"


# --- commands and replies


def test_command_and_reply(line: Line) -> None:
    """A reply is bytes, a number, None, a list, or a refusal that will not pass."""
    assert line.execute_command("SET", "a", b"\xff\r\n") == b"OK"
    assert line.execute_command("GET", "a") == b"\xff\r\n"
    assert line.execute_command("GET", "b") is None
    assert line.execute_command("INCR", "n") == 1
    assert line.execute_command("RPUSH", "l", "x", "") == 2
    assert line.execute_command("LRANGE", "l", 0, -1) == [b"x", b""]
    assert sorted(line.execute_command("SMEMBERS", "none")) == []
    with pytest.raises(ResponseError, match="unknown command 'NONSENSE'"):
        line.execute_command("NONSENSE")
    assert line.execute_command("PING") == b"PONG"


def test_large_command_and_large_reply(line: Line) -> None:
    """Eight megabytes go out and come in though no socket holds them at once."""
    value = os.urandom(8 * 1024 * 1024)
    assert line.execute_command("SET", "a", value) == b"OK"
    assert line.execute_command("GET", "a") == value


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("size", [1_100_000, 30_000_000])
def test_command_that_is_too_large(tcp: bool, size: int) -> None:
    """What the server says before it hangs up on a too large argument is heard, and told."""
    port = free_ports(1)[0] if tcp else 0
    with embedded.Server(port=port, config={"proto-max-bulk-len": "1048576"}) as server:
        line = line_to(f"redis://127.0.0.1:{port}/0" if port else server.url)
        for _ in range(20):
            with pytest.raises(ResponseError, match="Protocol error: invalid bulk length"):
                line.execute_command("RPUSH", "a", b"x" * size)
            assert line.execute_command("PING") == b"PONG"
        line.close()


def test_commands_whose_reply_does_not_matter(line: Line) -> None:
    """Replies that nobody waits for do not come in the way of those that somebody does."""
    line.send("SET", "never", "sent")  # there is no connection yet
    line.execute_command("PING")
    for number in range(100):
        line.send("RPUSH", "l", number)
    assert line.execute_command("LLEN", "l") == 100
    assert line.execute_command("GET", "never") is None


def test_scripts_over_the_line(line: Line, redis: Redis) -> None:
    """A script that the server does not know is sent along; one that is unknown is told at once."""
    redis.script_flush()
    redis.rpush("failed", b"x")
    assert run(line, "remove_failed", ["failed"], [0, b"x", 1, b"y"]) == [1, 0]
    with pytest.raises(NoScriptError):
        line.execute_command("EVALSHA", "0" * 40, 0)


def test_trying_once(line: Line) -> None:
    """A command that is tried once is told to be refused, and never repeated."""
    assert line.try_command("SET", "a", "x")
    assert not line.try_command("LPOP", "a")
    assert not line.try_command("NONSENSE")


def test_trying_once_while_redis_is_away(silent: Path, hasty_loop: Loop) -> None:
    """A command that is tried once is given up on like a refusal, if there is no answer."""
    line = line_to(f"unix://{silent}", hasty_loop)
    assert not line.try_command("PING")
    silent.unlink()
    assert not line.try_command("PING")


def test_trying_once_without_patience(silent: Path, hasty_loop: Loop) -> None:
    """A command that is tried once is no reason to wait for longer than patience lasts."""
    line = line_to(f"unix://{silent}", hasty_loop, patience=lambda: 0)
    with pytest.raises(GaveUpWaiting, match="leaving without it"):
        line.try_command("PING")


class Pieces(threading.Thread):
    """A server that answers each thing it reads by the next of its scripted replies.

    Each reply goes out byte by byte, as a bad network would have it.
    """

    def __init__(self, path: Path, replies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.replies = replies
        self.read: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self) -> None:
        with self.listener, self.listener.accept()[0] as connection:
            for reply in self.replies:
                self.read.append(connection.recv(65536))
                with contextlib.suppress(BrokenPipeError):
                    for byte in reply:
                        connection.send(bytes([byte]))
            connection.recv(1)


def test_replies_in_pieces(tmp_path: Path, parser: type) -> None:
    """Replies and rings that come in pieces, or all at once, are told from each other."""
    ring = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$12\r\nresque:queue\r\n"
    server = Pieces(
        tmp_path / "s",
        [
            b"%1\r\n$5\r\nproto\r\n:3\r\n",
            ring + b"*4\r\n$5\r\ndo\r\ne\r\n_\r\n:-7\r\n*1\r\n$0\r\n\r\n" + ring,
            b"-WEIRD no way\r\n",
            b"$5\r\n\xff\r\nxx\r\n" + ring + ring,
            b"*0\r\n",
        ],
    )
    server.start()
    line = Line(ParsedBy(f"unix://{tmp_path}/s", parser), Loop(), KEY)
    rings: list[Any] = []
    line.on_ring = rings.append
    assert line.execute_command("ONE") == [b"do\r\ne", None, -7, [b""]]
    with pytest.raises(ResponseError, match=r"^WEIRD no way$"):
        line.execute_command("TWO")
    assert line.execute_command("THREE") == b"\xff\r\nxx"
    assert line.execute_command("FOUR") == []
    assert rings == [[b"resque:queue"]] * 4
    line.close()
    server.join(10)


# --- redis is away


def test_server_that_never_answers_leaves_the_loop_free(silent: Path, hasty_loop: Loop) -> None:
    """While a server that accepts says nothing, other things of the loop go on happening."""
    happened: list[float] = []
    for seconds in (1, 3, 5):
        hasty_loop.after(seconds, lambda: happened.append(hasty_loop.clock()))
    until = hasty_loop.clock() + 7
    line = line_to(f"unix://{silent}", hasty_loop, patience=lambda: until)
    with pytest.raises(GaveUpWaiting) as caught:
        line.execute_command("PING")
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
    line = line_to(f"unix://{silent}", hasty_loop)
    assert line.execute_command("PING") == b"PONG"
    assert hasty_loop.clock() - start >= ANSWER_SECONDS
    assert [record.getMessage() for record in caplog.records] == [
        f"Redis at unix://{silent} does not answer. No reply within 10 seconds. Trying again.",
        f"Redis at unix://{silent} answers again",
    ]
    line.close()


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
        line = line_to(f"unix://{tmp_path}/s", hasty_loop)
        start = hasty_loop.clock()
        assert line.execute_command("PING") == b"x" * 20
        assert hasty_loop.clock() - start > 6 * ANSWER_SECONDS
        line.close()
        connections[0].close()


@pytest.mark.parametrize("patience", [0.0, 30.0])
def test_gives_up_when_patience_runs_out(
    hasty_loop: Loop, patience: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a server the line is tried again with growing pauses, until patience runs out."""
    start = hasty_loop.clock()
    line = line_to("unix:///nowhere", hasty_loop, patience=lambda: start + patience)
    with pytest.raises(GaveUpWaiting, match="Redis at unix:///nowhere was away for too long"):
        line.execute_command("PING")
    assert start + patience <= hasty_loop.clock() <= start + patience + 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Redis at unix:///nowhere does not answer (Error 2 ")
    assert record.getMessage().endswith("Trying again.")


def test_patience_is_asked_anew(silent: Path, hasty_loop: Loop) -> None:
    """A line that waits for ever gives up as soon as it is told to stop."""
    patience: list[float | None] = [None]

    def stop() -> None:
        patience[0] = hasty_loop.clock()

    hasty_loop.after(25, stop)
    line = line_to(f"unix://{silent}", hasty_loop, patience=lambda: patience[0])
    with pytest.raises(GaveUpWaiting):
        line.open_or_refuse()


def test_connection_is_cut_between_commands(line: Line, redis: Redis) -> None:
    """After a cut the next command goes over a new connection, and the loss has rung the bell."""
    line.execute_command("PING")
    before = line.session
    rings: list[Any] = []
    line.on_ring = rings.append
    redis.client_kill_filter(_type="normal", skipme=True)
    assert line.execute_command("PING") == b"PONG"
    assert line.session is not before
    assert rings == [None]


def test_connection_is_cut_while_a_reply_is_awaited(redis: Redis, redis_url: str) -> None:
    """A command whose reply was cut off is sent again."""
    loop = Loop()
    line = line_to(redis_url, loop)

    def cut() -> None:
        redis.client_kill_filter(_type="normal", skipme=True)
        redis.rpush("l", "x")

    line.execute_command("PING")
    loop.after(0.05, cut)
    assert line.execute_command("BLPOP", "l", 0) == [b"l", b"x"]
    line.close()


def test_server_is_killed_and_comes_back(
    own_server: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A command that meets a dead server is carried out when the server is back."""
    loop = Loop()
    line = line_to(own_server.url, loop)
    line.execute_command("PING")
    own_server.kill()
    loop.after(0.15, own_server.start)
    assert line.execute_command("SET", "a", 1) == b"OK"
    assert caplog.records[-1].getMessage() == f"Redis at {own_server.url} answers again"
    line.close()


def test_closing(line: Line) -> None:
    """A closed line has no session; the next command opens it again."""
    assert line.session is None
    line.execute_command("PING")
    assert line.session is not None
    line.close()
    line.close()
    assert line.session is None
    assert line.execute_command("PING") == b"PONG"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_child_lets_go_of_the_line_without_speaking_on_it(line: Line) -> None:
    """A forked child that closes its descriptors leaves the parent's connection as it was."""
    line.execute_command("PING")
    before = line.session
    child = os.fork()
    if child == 0:
        try:
            process.let_go(line.fds)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert line.execute_command("PING") == b"PONG"
    assert line.session is before


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
    line = line_to("redis://redis.test/0", hasty_loop, patience=lambda: until, apart=never)
    with pytest.raises(GaveUpWaiting, match="leaving without it"):
        line.execute_command("PING")
    assert len(happened) == 1
    assert until <= hasty_loop.clock() <= until + 2
    assert [record.getMessage() for record in caplog.records] == [
        "Redis at redis://redis.test/0 does not answer. "
        "Its name could not be resolved within 30 seconds. Trying again."
    ]


def test_a_name_is_waited_for_no_longer_than_patience_lasts(hasty_loop: Loop) -> None:
    """Who is told to stop does not wait for the name server."""
    patience: list[float | None] = [None]

    def stop() -> None:
        patience[0] = hasty_loop.clock()

    hasty_loop.after(5, stop)
    until = hasty_loop.clock() + 5
    line = line_to(
        "redis+sentinel://a.test/primary", hasty_loop, patience=lambda: patience[0], apart=never
    )
    with pytest.raises(GaveUpWaiting):
        line.open_or_refuse()
    assert until <= hasty_loop.clock() <= until + 2


def test_a_name_that_was_resolved_apart() -> None:
    """The line connects to the address that was found, and does not ask for it again."""
    port = free_ports(1)[0]

    def answer(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        wait()
        return Place("redis.test", port, ("127.0.0.2", "127.0.0.1"))

    loop = Loop()
    loop.after(0, lambda: None)
    with embedded.Server(port=port):  # which does not listen at the first of the two
        line = line_to(f"redis://redis.test:{port}/0", loop, apart=answer)
        assert line.execute_command("PING") == b"PONG"
        line.close()


@pytest.mark.parametrize("url", ["unix:///nowhere", "redis://127.0.0.1:1", "redis://localhost:1"])
def test_where_there_is_nobody_to_ask(url: str) -> None:
    """An address, a socket and localhost are found here and now."""
    line = line_to(url, apart=never)
    assert not line.try_command("PING")


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
        line = line_to(with_login(guarded, login))
        line.open_or_refuse()
        assert line.execute_command("SET", "a", 1) == b"OK"
        line.close()


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
    line = line_to(with_login(guarded, login) if login else guarded.url)
    with pytest.raises(AccessRefused, match=message) as caught:
        line.open_or_refuse()
    assert str(caught.value).startswith("Redis at unix://")
    assert login not in str(caught.value) or not login


def test_password_that_changes_later_is_waited_out(
    guarded: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A password changed under a running worker costs no job: it waits until it is let in."""
    loop = Loop()
    line = line_to(with_login(guarded, ":secret"), loop)
    line.open_or_refuse()
    line.let_in = True
    with Redis.from_url(guarded.url, password="secret") as client:
        client.config_set("requirepass", "other")
        client.client_kill_filter(_type="normal", skipme=True)
        loop.after(0.15, lambda: client.config_set("requirepass", "secret"))
        assert line.execute_command("PING") == b"PONG"
    said = [record.getMessage() for record in caplog.records]
    assert any("refused the credentials" in sentence for sentence in said)
    assert said[-1].endswith("answers again")
    line.close()


def test_command_that_is_not_allowed(guarded: embedded.Server, hasty_loop: Loop) -> None:
    """A command that the user may not give is refused at the start, and later waited for."""
    patience: list[float | None] = [None]
    url = with_login(guarded, "little:pw")
    line = line_to(url, hasty_loop, patience=lambda: patience[0])
    line.open_or_refuse()
    assert not line.try_command("CLIENT", "TRACKING", "ON")
    with pytest.raises(AccessRefused, match="does not allow what we need"):
        line.execute_command("SET", "a", 1)
    line.let_in = True
    patience[0] = hasty_loop.clock() + 20
    with pytest.raises(GaveUpWaiting):
        line.execute_command("SET", "a", 1)
    line.close()


def test_database_is_chosen_on_every_connection(redis: Redis, redis_url: str) -> None:
    """A URL's database is the one that is spoken to, after a reconnect too."""
    line = line_to(f"{redis_url}?db=3")
    line.execute_command("SET", "a", 1)
    redis.client_kill_filter(_type="normal", skipme=True)
    assert line.execute_command("GET", "a") == b"1"
    assert redis.get("a") is None
    line.close()


def test_database_that_does_not_exist(redis_url: str, redis: Redis) -> None:
    """A database that the server has not is an error, and never another database."""
    line = line_to(f"{redis_url}?db=99")
    for act in (line.open_or_refuse, lambda: line.execute_command("SET", "a", 1)):
        with pytest.raises(ResponseError, match="DB index is out of range"):
            act()
    assert redis.keys() == []


def test_server_that_knows_no_resp3() -> None:
    """With a server too old for HELLO all goes on in RESP2, without the bell."""
    with embedded.Server(config={"rename-command": 'HELLO ""'}) as server:
        line = line_to(server.url)
        line.open_or_refuse()
        assert not line.bell_supported
        line.execute_command("HSET", "h", "a", 1)
        assert line.execute_command("HGETALL", "h") == [b"a", b"1"]
        line.close()


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"-ERR invalid password\r\n"])
def test_server_that_knows_no_resp3_wants_a_password(tmp_path: Path, answer: bytes) -> None:
    """An old server's password is given in the old way."""
    unknown = b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"
    server = Pieces(tmp_path / "s", [unknown, answer, b"+PONG\r\n"])
    server.start()
    line = line_to(f"unix://:secret@{tmp_path}/s")
    if answer.startswith(b"+"):
        line.open_or_refuse()
        assert not line.bell_supported
    else:
        with pytest.raises(AccessRefused, match=r"refused the credentials \(invalid password\)"):
            line.open_or_refuse()
    line.close()
    server.join(10)


# --- refusals that pass


def passes(line: Line, loop: Loop, command: list[Any], heal: Callable[[], object]) -> Any:
    """What the command brings, when the trouble is over a little later."""
    loop.after(0.15, heal)
    return line.execute_command(*command)


def test_full_server_is_waited_for(
    own_server: embedded.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A command that a full server refuses is given again until there is room."""
    loop = Loop()
    line = line_to(own_server.url, loop)
    with Redis.from_url(own_server.url) as client:
        fill(client)
        done = passes(line, loop, ["SET", "a", 1], lambda: client.config_set("maxmemory", 0))
    assert done == b"OK"
    assert caplog.records[0].getMessage() == (
        f"Redis at {own_server.url} said: "
        "command not allowed when used memory > 'maxmemory'. Trying again."
    )
    line.close()


def test_read_only_replica_is_left(own_server: embedded.Server) -> None:
    """A server that has become a replica is asked for the primary anew, on a new connection."""
    loop = Loop()
    line = line_to(own_server.url, loop)
    line.execute_command("PING")
    before = line.session
    with Redis.from_url(own_server.url) as client:
        client.replicaof("127.0.0.1", "1")
        heal = lambda: client.replicaof("NO", "ONE")  # noqa: E731
        assert passes(line, loop, ["SET", "a", 1], heal) == b"OK"
    assert line.session is not before
    line.close()


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
    line = line_to(redis_url, loop, patience=lambda: until)
    with pytest.raises(GaveUpWaiting):
        line.execute_command(*command)
    assert caplog.records[0].getMessage() == (
        f"The Redis key {key or 'my key'!r} does not hold what Resque keeps there; "
        "rename or delete it. Trying again."
    )
    line.close()


def test_a_server_that_loads_is_waited_for(tmp_path: Path) -> None:
    """A server that is still loading its data is called again until it has."""
    loop = Loop()
    server = Pieces(tmp_path / "s", [b"-LOADING Redis is loading the dataset in memory\r\n"])
    server.start()
    with embedded.Server() as real:

        def loaded() -> None:
            (tmp_path / "s").unlink()
            (tmp_path / "s").symlink_to(real.url.removeprefix("unix://"))

        line = line_to(f"unix://{tmp_path}/s", loop)
        assert passes(line, loop, ["PING"], loaded) == b"PONG"
        line.close()


def test_events_go_on_while_it_is_waited(own_server: embedded.Server) -> None:
    """While Redis is away the loop's timers run, so that children can be stopped in time."""
    loop = Loop()
    line = line_to(own_server.url, loop)
    line.execute_command("PING")
    own_server.kill()
    ran: list[int] = []
    loop.after(0.05, lambda: ran.append(1))
    loop.after(0.1, own_server.start)
    line.execute_command("PING")
    wait_for(loop, lambda: ran)
    line.close()
