"""How long enqueueing may wait for a Redis that is there and does not answer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from resque_fork import MaybeEnqueued, RedisUnavailable, Resque, ResqueError, SettingsError
from resque_fork.cli.app import App
from resque_fork.store.redis_url import ANSWER_SECONDS, CLIENT_SECONDS

SOON = 0.4  # seconds that these tests wait, as a rule
LATE = 8.0  # under what all else that waits here would wait for


class Silent:
    """Accepts, and answers what it is told to: after each thing that it reads, the next reply.

    The last of the replies `drips`: a byte at a time, for ever.
    """

    def __init__(self, *replies: bytes, drips: bool = False) -> None:
        self.replies = replies
        self.drips = drips
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self._answer, args=(connection,)))
            self.threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                for reply in self.replies:
                    connection.recv(65536)
                    connection.sendall(reply)
                while self.drips and not self.over.wait(0.05):
                    connection.sendall(b"1")
            except OSError:
                return
            self.over.wait(60)

    def close(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def silent() -> Iterator[Callable[..., Silent]]:
    servers: list[Silent] = []

    def make(*replies: bytes, drips: bool = False) -> Silent:
        servers.append(Silent(*replies, drips=drips))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def full() -> Iterator[str]:
    """The URL of a port whose backlog is full, so that nobody connects to it any more."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = True
        while waiting:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                waiting = False
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def error_of(call: Callable[[], Any], least: float) -> ResqueError:
    """What it raises, neither before the time nor much later."""
    started = time.monotonic()
    with pytest.raises(ResqueError) as raised:
        call()
    took = time.monotonic() - started
    assert least * 0.9 <= took < LATE
    return raised.value


def test_nobody_accepts(full: str) -> None:
    """Nothing was queued, for certain, and the error says so."""
    error = error_of(lambda: Resque(full, timeout=SOON).enqueue_to("q", "A"), SOON)
    assert type(error) is RedisUnavailable
    assert str(error) == (
        f"Redis at {full} does not answer (Timeout connecting to server). Nothing was queued."
    )


def test_nobody_answers(silent: Callable[..., Silent]) -> None:
    """A server that accepts and says nothing has not been sent the job yet."""
    resque = Resque(silent().url, timeout=SOON)
    for call in (
        lambda: resque.enqueue_to("q", "A"),
        lambda: resque.enqueue_many("A", [[1], [2]], queue="q"),
        lambda: resque.push("q", {"class": "A", "args": []}),
    ):
        error = error_of(call, SOON)
        assert type(error) is RedisUnavailable
        assert str(error).endswith("Nothing was queued.")
    assert isinstance(error_of(lambda: resque.size("q"), SOON), RedisUnavailable)
    resque.close()


def test_nobody_answers_to_the_push(silent: Callable[..., Silent]) -> None:
    """Once the job has been sent, it may or may not be queued."""
    resque = Resque(silent(b"+PONG\r\n").url, timeout=SOON)
    error = error_of(lambda: resque.enqueue_to("q", "A"), SOON)
    assert isinstance(error, MaybeEnqueued)
    resque.close()


@pytest.mark.parametrize(
    "replies", [[b"+"], [b"+PONG\r\n", b":"], [b"+PONG\r\n", b"$1000\r\n"]], ids=repr
)
def test_a_reply_that_drips(silent: Callable[..., Silent], replies: list[bytes]) -> None:
    """A server that sends a byte now and then does not make it take longer."""
    resque = Resque(silent(*replies, drips=True).url, timeout=SOON)
    error = error_of(lambda: resque.enqueue_to("q", "A"), SOON)
    assert isinstance(error, MaybeEnqueued) is (len(replies) > 1)
    resque.close()


@pytest.mark.parametrize(
    ("call", "perhaps"),
    [
        (lambda r: r.pop("q"), "A job may have been taken from 'q', and is lost then."),
        (lambda r: r.reserve("q"), "A job may have been taken from 'q', and is lost then."),
        (lambda r: r.pause(), "Workers may have been paused."),
        (lambda r: r.resume(), "The pause may have been ended."),
        (lambda r: r.stats.incr("mails"), "The counter may have been changed."),
    ],
)
def test_what_may_have_been_done(
    silent: Callable[..., Silent], call: Callable[[Resque], Any], perhaps: str
) -> None:
    """Where no reply came, the error says what may have happened; not where nothing was sent."""
    url = silent(b"+PONG\r\n").url
    assert str(error_of(lambda: call(Resque(url, timeout=SOON)), SOON)) == (
        f"Redis at {url} does not answer (Timeout reading from socket). {perhaps}"
    )
    with pytest.raises(RedisUnavailable) as raised:
        call(Resque("redis://127.0.0.1:1"))
    assert perhaps not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "first", "perhaps"),
    [
        (lambda r: r.remove_queue("q"), b":1\r\n", "'q' may have been removed."),
        (lambda r: r.clear_queue("q"), b":1\r\n", "'q' may have been cleared."),
    ],
)
def test_what_may_have_been_removed(
    silent: Callable[..., Silent], call: Callable[[Resque], Any], first: bytes, perhaps: str
) -> None:
    """The same, where something is looked at first."""
    replies = [b"+PONG\r\n", first]
    error = error_of(lambda: call(Resque(silent(*replies).url, timeout=SOON)), SOON)
    assert str(error).endswith(f"). {perhaps}")


def test_the_command_line_is_more_patient() -> None:
    """It waits as long as a worker, whatever the URL tells applications."""
    app = App()
    app.flags["redis"] = "redis://h?socket_timeout=1"
    assert app.resque.timeout == ANSWER_SECONDS == 10.0


def test_a_server_that_stops_reading(silent: Callable[..., Silent]) -> None:
    """A large push, which may take longer, is given up as soon if nothing of it is taken."""
    resque = Resque(silent(b"+PONG\r\n").url, timeout=SOON)
    error = error_of(lambda: resque.enqueue_to("q", "A", "x" * 9_000_000), SOON)
    assert isinstance(error, MaybeEnqueued)
    resque.close()


def test_unless_told(silent: Callable[..., Silent]) -> None:
    """It is the default, the URL's socket_timeout, or what the client is told."""
    url = silent().url
    assert Resque(url).timeout == CLIENT_SECONDS == 3.0
    assert Resque(f"{url}?socket_timeout=0.2").timeout == 0.2
    assert Resque(f"{url}?socket_timeout=0.2", timeout=0.1).timeout == 0.1
    error_of(lambda: Resque(f"{url}?socket_timeout={SOON}").enqueue_to("q", "A"), SOON)
    error_of(lambda: Resque(url).enqueue_to("q", "A"), CLIENT_SECONDS)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon", True, [1], 1e6])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    """What is no time to wait is an error at once."""
    with pytest.raises(SettingsError) as raised:
        Resque("redis://h", timeout=timeout)
    assert str(raised.value) == (
        f"The timeout is a number of seconds above 0 and up to 86400, not {timeout!r}."
    )


def test_each_thread_has_its_own_time(silent: Callable[..., Silent]) -> None:
    """Threads that share a client do not take each other's time."""
    resque = Resque(silent(b"+PONG\r\n").url, timeout=SOON)
    errors: list[ResqueError] = []

    def push() -> None:
        errors.append(error_of(lambda: resque.enqueue_to("q", "A"), SOON))

    threads = [threading.Thread(target=push) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [type(error) for error in errors] == [MaybeEnqueued] * 3
    resque.close()


def test_from_asyncio(resque: Resque, silent: Callable[..., Silent]) -> None:
    """In a thread it does not hold up the event loop, whatever Redis does."""
    hanging = Resque(silent().url, timeout=SOON)

    async def main() -> int:
        await asyncio.gather(*(asyncio.to_thread(resque.enqueue_to, "q", "A", n) for n in range(9)))
        waiting = asyncio.ensure_future(asyncio.to_thread(hanging.enqueue_to, "q", "A"))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(RedisUnavailable):
            await waiting
        return turns

    assert asyncio.run(main()) > 1
    assert sorted(item["args"][0] for item in resque.peek("q", 0, 99)) == list(range(9))
