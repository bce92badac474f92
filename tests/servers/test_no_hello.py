"""Servers and proxies without HELLO: RESP2, in whatever words they refuse it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from life.harness import Stage, until
from redis._parsers import _HiredisParser, _RESP3Parser
from redis.utils import HIREDIS_AVAILABLE
from store.conftest import ParsedBy

from resque_fork import AccessRefused, RedisUnavailable, Resque, ResqueError
from resque_fork.errors import GaveUpWaiting
from resque_fork.store.worker_connection import WorkerConnection
from resque_fork.system.loop import Loop

from .nodes import Node
from .proxy import Proxy

Stages = Callable[[str], Stage]

REFUSALS = [
    b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n",
    b"-ERR unknown command 'HELLO'\r\n",
    b"-unsupported command 'HELLO'\r\n",
    b"-ERR unsupported command `hello`\r\n",
    b"-NOPROTO unsupported protocol version\r\n",
    b"-NOPERM this user has no permissions to run the 'hello' command\r\n",
    b"-ERR wrong number of arguments for 'hello' command\r\n",
    b"-invalid request\r\n",
    b"-\r\n",
]
ODD = [
    None,
    b"+OK\r\n",
    b"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b":many\r\n",
]


@pytest.fixture
def locked() -> Iterator[Node]:
    """A server that wants a password, and has a user of another name."""
    with Node({"requirepass": "secret"}) as node:
        node.redis.execute_command("ACL", "SETUSER", "ada", "on", ">pw", "~*", "+@all")
        yield node


@pytest.fixture(params=[_RESP3Parser, *([_HiredisParser] if HIREDIS_AVAILABLE else [])])
def connection_to(request: pytest.FixtureRequest) -> Iterator[Callable[[str], WorkerConnection]]:
    """A worker's connection, with each of the parsers that there are. It gives up after a while."""
    connections: list[WorkerConnection] = []

    def make(url: str) -> WorkerConnection:
        loop = Loop()
        late = loop.clock() + 60
        connections.append(
            WorkerConnection(
                ParsedBy(url, request.param), loop, "resque:queues", deadline=lambda: late
            )
        )
        return connections[-1]

    yield make
    for connection in connections:
        connection.close()


def behind(proxy: Proxy, login: str = "", rest: str = "0") -> str:
    return f"redis://{login}127.0.0.1:{proxy.port}/{rest}"


@pytest.mark.parametrize("answer", [*REFUSALS, *ODD])
def test_all_goes_on_in_resp2(
    node: Node, connection_to: Callable[[str], WorkerConnection], answer: bytes | None
) -> None:
    """Nulls and maps come as in RESP2, on this connection and the next; without notifications."""
    with Proxy(node.port, answers={"HELLO": answer}) as proxy:
        connection = connection_to(behind(proxy, rest="2"))
        connection.open_or_refuse()
        for _ in range(2):
            assert not connection.can_notify
            assert connection.execute_command("GET", "nothing") is None
            assert connection.execute_command("BLPOP", "nothing", "0.01") is None
            connection.execute_command("HSET", "h", "a", 1)
            assert connection.execute_command("HGETALL", "h") == [b"a", b"1"]
            proxy.cut()
    assert list(node.redis.info("keyspace")) == ["db2"]


@pytest.mark.parametrize("answer", [REFUSALS[2], None])
@pytest.mark.parametrize("login", [":secret@", "default:secret@", "ada:pw@"])
def test_logging_in_without_hello(
    locked: Node, connection_to: Callable[[str], WorkerConnection], login: str, answer: bytes | None
) -> None:
    """With a password, and as a user with a name, one is let in; else it is the usual error."""
    with Proxy(locked.port, answers={"HELLO": answer}) as proxy:
        connection = connection_to(behind(proxy, login))
        connection.open_or_refuse()
        assert connection.execute_command("PING") == b"PONG"
        with pytest.raises(AccessRefused, match="refused the credentials"):
            connection_to(behind(proxy, login.replace("@", "x@"))).open_or_refuse()
        with pytest.raises(AccessRefused, match="refused the credentials"):
            connection_to(behind(proxy, "secret@")).open_or_refuse()  # a user without a password


def test_losing_a_connection_at_hello_by_accident(
    node: Node, connection_to: Callable[[str], WorkerConnection]
) -> None:
    """Where HELLO has had an answer before, hanging up at it costs nobody notifications."""
    with Proxy(node.port) as proxy:
        connection = connection_to(behind(proxy))
        connection.open_or_refuse()
        assert connection.can_notify
        proxy.answers["HELLO"] = None
        proxy.cut()
        assert not connection.try_command("PING")
        assert not connection.try_command("PING")
        proxy.answers.clear()
        assert connection.execute_command("PING") == b"PONG"
        assert connection.can_notify


def test_no_answer_at_all(
    node: Node, connection_to: Callable[[str], WorkerConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing comes back, the next connection is made without HELLO."""
    monkeypatch.setattr("resque_fork.store.worker_connection.ANSWER_SECONDS", 0.2)
    with Proxy(node.port, answers={"HELLO": b""}) as proxy:
        connection = connection_to(behind(proxy))
        assert connection.execute_command("GET", "nothing") is None
        assert not connection.can_notify


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "Redis is loading the dataset"),
        (b"-ERR max number of clients reached\r\n", "max number of clients reached"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "Link with MASTER is down"),
    ],
)
def test_a_refusal_that_passes(
    node: Node,
    connection_to: Callable[[str], WorkerConnection],
    answer: bytes,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that is not ready yet is no server without HELLO: what it says is said."""
    with Proxy(node.port, answers={"HELLO": answer}) as proxy:
        connection = connection_to(behind(proxy))
        connection._deadline = lambda: proxy.answers.clear() if caplog.records else None
        assert connection.execute_command("PING") == b"PONG"
        assert connection.can_notify
    assert f"said: {message}" in caplog.records[0].getMessage()


def test_protected_mode(node: Node, connection_to: Callable[[str], WorkerConnection]) -> None:
    """A server that lets nobody in from outside is quoted, to a worker and to a client."""
    denied = b"-DENIED Redis is running in protected mode.\r\n"
    with Proxy(node.port, answers={"HELLO": denied, "PING": denied}) as proxy:
        with pytest.raises(Exception, match="DENIED Redis is running in protected mode"):
            connection_to(behind(proxy)).open_or_refuse()
        with pytest.raises(ResqueError, match=r"protected mode\. Nothing was queued\.$"):
            Resque(behind(proxy)).enqueue_to("jobs", "quick")


def test_what_hangs_up_at_everything(
    node: Node, connection_to: Callable[[str], WorkerConnection]
) -> None:
    """It is asked whether that port is TLS: of a worker, and of a client that pushed nothing."""
    with Proxy(node.port, answers={"HELLO": None, "PING": None}) as proxy:
        connection = connection_to(behind(proxy))
        late = connection._loop.clock() + 0.5
        connection._deadline = lambda: late
        with pytest.raises(GaveUpWaiting):
            connection.execute_command("PING")
        with pytest.raises(RedisUnavailable) as raised:
            Resque(behind(proxy)).enqueue_to("jobs", "quick")
    assert str(raised.value) == (
        f"Redis at {behind(proxy)} cannot be used (no reply: Connection closed by server): "
        "is that port TLS? If it is, the URL begins with rediss://. Nothing was queued."
    )


@pytest.mark.parametrize("answer", [REFUSALS[2], None])
def test_a_worker_and_a_client(node: Node, on: Stages, answer: bytes | None) -> None:
    """Jobs are performed, failed and counted; enqueueing goes on, too, as does every command."""
    client = b"-unsupported command 'CLIENT'\r\n"
    with Proxy(node.port, answers={"HELLO": answer, "CLIENT": client}) as proxy:
        stage, resque = on(behind(proxy)), Resque(behind(proxy))
        worker = stage.idle("--interval", "0.1", queues="*")
        resque.enqueue_to("jobs", "quick", 1)
        assert stage.told("quick", by=worker)["args"] == [1]
        resque.enqueue_to("jobs", "boom")
        until(lambda: resque.failed().count() == 1)
        assert worker.stop() == 0
        assert resque.stats.get("processed") == 2
        assert "WARNING" not in worker.said
        resque.close()


def test_over_tls(node: Node, tmp_path: Path, on: Stages) -> None:
    """A proxy that speaks TLS and knows no HELLO is spoken to again and again, and worked for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Proxy(node.port, context, {"HELLO": REFUSALS[2]}) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={tmp_path}/ca.pem"
        for number in range(3):
            resque = Resque(url)
            resque.enqueue_to("jobs", "quick", number)
            resque.enqueue_to("jobs", "quick", number)
            assert resque.size("jobs") == 2 * number + 2
            resque.close()
        assert "HELLO" not in proxy.seen
        stage = on(url)
        worker = stage.idle("--interval", "0.1")
        until(lambda: Resque(node.url).size("jobs") == 0)
        assert worker.stop() == 0


def test_doctor_says_so(node: Node, on: Stages) -> None:
    """`doctor` says what is missing, and what it costs."""
    with Proxy(node.port, answers={"HELLO": REFUSALS[2]}) as proxy:
        done = subprocess.run(
            [sys.executable, "-m", "resque_fork", "--redis", behind(proxy), "doctor", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    found = {row["check"]: (row["result"], row["message"]) for row in json.loads(done.stdout)}
    assert found["server"][0] == "ok"
    assert found["pick-up"] == (
        "warn",
        "The server knows no HELLO 3, as those before Redis 6 and some proxies: an idle worker "
        "sees a new job only when its --interval is over.",
    )
