"""The client when Redis is away or says no, and when threads and forks share it."""

import logging
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from resque_fork import (
    AccessRefused,
    FailedJob,
    MaybeEnqueued,
    RedisUnavailable,
    Resque,
    WrongKeyType,
    embedded,
)
from resque_fork.store.long_list import Entry

FAILED_JOB = FailedJob.parse(Entry(0, b'{"payload":{"class":"A","args":[]},"queue":"mail"}'))


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.enqueue_to("q", "A"),
        lambda r: r.enqueue_many("A", [[]], queue="q"),
        lambda r: r.dequeue("A", queue="q"),
        lambda r: r.push("q", {"class": "A"}),
        lambda r: r.pop("q"),
        lambda r: r.peek("q"),
        lambda r: r.reserve("q"),
        lambda r: r.size("q"),
        lambda r: r.queues(),
        lambda r: r.queue_sizes(),
        lambda r: r.sample_queues(),
        lambda r: r.remove_queue("q"),
        lambda r: r.clear_queue("q"),
        lambda r: r.workers(),
        lambda r: r.working(),
        lambda r: r.info(),
        lambda r: r.keys(),
        lambda r: r.pause(),
        lambda r: r.resume(),
        lambda r: r.paused(),
        lambda r: r.stats.get("mails"),
        lambda r: r.stats.set("mails", 1),
        lambda r: r.stats.incr("mails"),
        lambda r: r.stats.decr("mails"),
        lambda r: r.stats.clear("mails"),
        lambda r: r.failed().names(),
        lambda r: r.failed().count(),
        lambda r: r.failed().page(),
        lambda r: list(r.failed().each()),
        lambda r: r.failed().at(0),
        lambda r: r.failed().requeue([FAILED_JOB]),
        lambda r: r.failed().remove([FAILED_JOB]),
        lambda r: r.failed().clear(),
    ],
)
def test_no_redis_there(call: Callable[[Resque], Any]) -> None:
    """Every method says that Redis does not answer, and where; nothing was pushed, for certain."""
    resque = Resque("unix:///nowhere/redis.sock")
    with pytest.raises(RedisUnavailable) as caught:
        call(resque)
    assert type(caught.value) is RedisUnavailable
    assert str(caught.value).startswith("Redis at unix:///nowhere/redis.sock does not answer (")


class Hangup:
    """The way to a real server, which is cut when a push goes by: after it has arrived, or before.

    Only one connection goes through at a time.
    """

    def __init__(self, server: embedded.Server, arrives: bool) -> None:
        self._path = server.url.removeprefix("unix://").partition("?")[0]
        self._arrives = arrives
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.pushes = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(self._path)
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if server in ready:
                client.sendall(server.recv(65536))
            if client in ready:
                said = client.recv(65536)
                if b"RPUSH" in said:
                    self.pushes += 1
                    if self._arrives:
                        server.sendall(said)
                        server.recv(65536)
                if not said or b"RPUSH" in said:
                    return
                server.sendall(said)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.mark.parametrize("arrives", [True, False])
def test_broken_push_may_have_been_queued(
    server: embedded.Server, redis: Any, arrives: bool
) -> None:
    """If the connection breaks during a push, the error says so, and the push is not repeated."""
    hangup = Hangup(server, arrives)
    resque = Resque(hangup.url)
    try:
        with pytest.raises(MaybeEnqueued) as caught:
            resque.enqueue_to("mail", "A", 1)
        message = str(caught.value)
        assert message.startswith(f"Redis at {hangup.url} does not answer (")
        assert message.endswith(
            "). It broke during the push: what was pushed to 'mail' may or may not be queued."
        )
        assert (hangup.pushes, redis.llen("resque:queue:mail")) == (1, 1 if arrives else 0)
        with pytest.raises(MaybeEnqueued) as caught:
            resque.enqueue_many("A", [[1], [2]], queue="mail")
        assert caught.value.enqueued == 0  # type: ignore[attr-defined]
        assert (hangup.pushes, redis.llen("resque:queue:mail")) == (2, 3 if arrives else 0)
    finally:
        resque.close()
        hangup.close()


def test_key_of_another_type(resque: Resque, redis: Any) -> None:
    """A key that holds another type is named."""
    redis.set("resque:queue:q", "x")
    for call in (
        lambda: resque.enqueue_to("q", "A"),
        lambda: resque.pop("q"),
        lambda: resque.size("q"),
        lambda: resque.peek("q"),
        lambda: resque.dequeue("A", queue="q"),
        lambda: resque.remove_queue("q"),
        lambda: resque.clear_queue("q"),
    ):
        with pytest.raises(WrongKeyType) as caught:
            call()
        assert str(caught.value) == (
            "The Redis key 'resque:queue:q' does not hold what Resque keeps there; "
            "rename or delete it."
        )
    assert redis.get("resque:queue:q") == b"x"


@pytest.mark.parametrize(
    ("key", "call"),
    [
        ("queue:q", lambda r: r.sample_queues()),
        ("queues", lambda r: r.enqueue_to("q", "A")),
        ("queues", lambda r: r.remove_queue("q")),
        ("stat:mails", lambda r: r.stats.get("mails")),
        ("stat:mails", lambda r: r.stats.incr("mails")),
        ("failed_queues", lambda r: r.failed().names()),
        ("failed", lambda r: r.failed().count()),
        ("failed", lambda r: r.failed().page()),
        ("failed", lambda r: list(r.failed().each())),
        ("failed", lambda r: r.failed().at(0)),
        ("failed", lambda r: r.failed().requeue([FAILED_JOB])),
        ("failed", lambda r: r.failed().remove([FAILED_JOB])),
        ("failed", lambda r: r.failed().clear()),
        ("failed", lambda r: r.info()),
        ("q_failed", lambda r: r.failed("q_failed").count()),
    ],
)
def test_key_of_another_type_is_named(
    resque: Resque, redis: Any, key: str, call: Callable[[Resque], Any]
) -> None:
    """Counters and lists of failed jobs name the key that is of another type, too."""
    if key != "queues":
        redis.sadd("resque:queues", "q")
    redis.hset(f"resque:{key}", "x", "y")
    with pytest.raises(WrongKeyType) as caught:
        call(resque)
    assert caught.value.key == f"resque:{key}"
    assert redis.hget(f"resque:{key}", "x") == b"y"


def test_queue_of_another_type_is_named_at_requeue(resque: Resque, redis: Any) -> None:
    """Where a job cannot be queued again, it is the queue that is at fault."""
    redis.rpush("resque:failed", FAILED_JOB.entry.raw)
    redis.set("resque:queue:mail", "x")
    with pytest.raises(WrongKeyType) as caught:
        resque.failed().requeue(resque.failed().page())
    assert caught.value.key == "resque:queue:mail"


def test_wrong_credentials() -> None:
    """Credentials that Redis refuses are not shown, and are told from a Redis that is away."""
    with embedded.Server(config={"requirepass": "right"}) as server:
        resque = Resque(server.url)
        with pytest.raises(AccessRefused) as caught:
            resque.enqueue_to("q", "A")
        assert str(caught.value).startswith(f"Redis at {resque.server} ")
        wrong = Resque(server.url.replace("unix://", "unix://:wrong-secret@"))
        with pytest.raises(AccessRefused) as caught:
            wrong.queues()
        assert "refused the credentials" in str(caught.value)
        assert "wrong-secret" not in str(caught.value)


def test_returns_after_redis_does(redis_url: str, redis: Any) -> None:
    """A client whose connections were killed is told once, and then connects anew."""
    resque = Resque(redis_url)
    resque.queues()
    redis.client_kill_filter(_type="normal", skipme=True)
    try:
        resque.queues()
    except RedisUnavailable:
        logging.getLogger("tests").debug("the one that found the connection broken")
    assert resque.queues() == []
    resque.close()
    assert resque.queues() == []  # a closed one opens again
    resque.close()


# --- threads and forks


def test_threads_share_a_client(resque: Resque) -> None:
    """Many threads push and pop through one client, and nothing is lost or doubled."""
    taken: list[Any] = []
    start = threading.Barrier(8)

    def live(me: int) -> None:
        start.wait()
        for i in range(50):
            resque.enqueue_to("q", "A", me, i)
        for _ in range(50):
            taken.append(resque.pop("q")["args"])

    threads = [threading.Thread(target=live, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == [[me, i] for me in range(8) for i in range(50)]


FORKS = """
import os, sys
from resque_fork import Resque
resque = Resque(sys.argv[1])
resque.enqueue_to("q", "A", "before")
children = []
for me in range(4):
    pid = os.fork()
    if not pid:
        for i in range(100):
            resque.enqueue_to("q", "A", me, i)
            assert resque.size("q") > 0
        os._exit(0)
    children.append(pid)
for i in range(100):
    resque.enqueue_to("q", "A", "parent", i)
ends = [os.waitpid(pid, 0)[1] for pid in children]
print(ends, resque.size("q"))
"""


def test_client_survives_a_fork(resque: Resque, redis_url: str) -> None:
    """A client that was used before a fork serves parent and children at the same time."""
    forked = subprocess.run(
        [sys.executable, "-c", FORKS, redis_url],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert forked.stdout == "[0, 0, 0, 0] 501\n"
    jobs = [tuple(item["args"]) for item in resque.peek("q", 0, 1000)]
    assert len(set(jobs)) == 501
