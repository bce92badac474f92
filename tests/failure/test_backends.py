"""Failure backends: each takes any failure, whatever it is and wherever it came from."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from resque_fork.errors import DirtyExit, SettingsError, UnknownJob
from resque_fork.failure import (
    Backend,
    Backends,
    Failure,
    ListBackend,
    LogBackend,
    RedisBackend,
    RedisMultiQueueBackend,
)
from resque_fork.failure.base import LONGEST_ERROR, MOST_LINES
from resque_fork.store.worker_store import FailedEntry
from resque_fork.wire.json import decode
from resque_fork.wire.keys import Keys
from resque_fork.wire.unreadable import wrapped

MOMENT = 1795416710  # 2026-11-23 06:51:50 UTC
KEYS = Keys()
WORKER = "vm:1:mail"
saved: list[tuple[BaseException, str, str, Mapping[str, Any]]] = []


class Keeping(Backend):
    """Keeps failures in a list of this process."""

    def save(self) -> None:
        saved.append((self.exception, self.worker, self.queue, self.payload))


class Raising(Backend):
    """Takes nothing."""

    def save(self) -> None:
        raise OSError("the disk is full")


class Unspeakable(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise ValueError("no")


def raised(error: BaseException) -> BaseException:
    """The error with the traceback of a job."""
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "kind", [RedisBackend, RedisMultiQueueBackend, LogBackend, Keeping], ids=lambda k: k.__name__
)
class TestBackend:
    """What every backend must do."""

    def take(self, kind: Any, error: BaseException, raw: bytes, queue: str) -> list[FailedEntry]:
        """Have the backend take a failure as a worker does; returns what goes to Redis."""
        backends = Backends([kind])
        taken = backends.save(error, WORKER, queue, raw)
        assert taken
        entry = Failure.of(error).entry(
            failed_at=MOMENT, payload=wrapped(raw), worker=WORKER, queue=queue
        )
        return backends.entries(entry, KEYS, queue, taken)

    def test_is_one_of_two_shapes(self, kind: Any) -> None:
        """A backend is a list in Redis, or has a save of its own."""
        assert issubclass(kind, ListBackend) != issubclass(kind, Backend)

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("böom"),
            SystemExit(3),
            Unspeakable(),
            DirtyExit.of(7, 9),
            Exception("\ud800", b"\xff"),
            KeyError("x" * 100_000),
        ],
        ids=lambda e: type(e).__name__,
    )
    def test_takes_any_exception(self, kind: Any, error: BaseException) -> None:
        """Whatever was raised is taken, and what goes to Redis can be read back."""
        for written in self.take(kind, raised(error), b'{"class":"A","args":[]}', "mail"):
            assert decode(written.entry)["payload"] == decode(wrapped(b'{"class":"A","args":[]}'))

    @pytest.mark.parametrize("raw", [b"oops", b"\xff", b"[1]", b"", b"[" * 10_000])
    def test_takes_any_payload(self, kind: Any, raw: bytes) -> None:
        """What is no job is taken too."""
        for written in self.take(kind, raised(ValueError("x")), raw, "mail"):
            decode(written.entry)

    @pytest.mark.parametrize("queue", ["mail", "a:b c", "ü", "\udcff"])
    def test_takes_any_queue(self, kind: Any, queue: str) -> None:
        """A queue may be called anything that Redis can hold."""
        for written in self.take(kind, ValueError("x"), b'{"class":"A"}', queue):
            assert written.list_key.startswith("resque:")

    def test_leaves_nothing_twice(self, kind: Any) -> None:
        """A failure goes to one list at most."""
        assert len(self.take(kind, ValueError("x"), b'{"class":"A"}', "q")) <= 1

    def test_can_be_named(self, kind: Any) -> None:
        """A worker can be told to use it."""
        names = {"RedisBackend": "redis", "RedisMultiQueueBackend": "redis_multi_queue"}
        names |= {"LogBackend": "log", "Keeping": f"{__name__}:Keeping"}
        backends = Backends.named([names[kind.__name__]])
        assert [type(b) for b in backends.lists] + backends.savers == [kind]


# --- each in its own way


def test_redis_backend() -> None:
    """All failures go to `failed`, which is not listed among the lists of queues."""
    assert RedisBackend().entry(b"e", KEYS, "mail") == FailedEntry("resque:failed", b"e", "")


def test_redis_multi_queue_backend() -> None:
    """Each queue's failures go to a list that is named after it, and listed."""
    assert RedisMultiQueueBackend().entry(b"e", KEYS, "mail") == FailedEntry(
        "resque:mail_failed", b"e", "mail_failed"
    )


def test_log_backend(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is one line, and its backtrace more of them for those who ask."""
    caplog.set_level(logging.DEBUG, "resque_fork")
    LogBackend(raised(ValueError("boom")), WORKER, "mail", {"class": "Send"}).save()
    first, *others = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert first == ("ERROR", "Send on mail (vm:1:mail) failed: ValueError: boom")
    assert [level for level, _ in others] == ["DEBUG"]
    assert others[0][1].endswith(":in raised")


def test_own_backend_gets_the_live_exception() -> None:
    """A backend of the application's own gets exception, worker, queue and payload."""
    saved.clear()
    error = ValueError("x")
    assert Backends([Keeping]).save(error, WORKER, "q", b'{"class":"A","args":[1],"id":2}')
    assert Backends([Keeping]).save(error, WORKER, "q", b"oops\xff")
    assert saved == [
        (error, WORKER, "q", {"class": "A", "args": [1], "id": 2}),
        (error, WORKER, "q", {"class": None, "args": [], "raw": "oops\\xff"}),
    ]


# --- several


def test_several_at_once() -> None:
    """Several backends take a failure each."""
    saved.clear()
    backends = Backends([RedisBackend, Keeping, RedisMultiQueueBackend])
    assert backends.save(ValueError("x"), WORKER, "q", b"{}")
    entries = backends.entries(b"e", KEYS, "q", True)
    assert [e.list_key for e in entries] == ["resque:failed", "resque:q_failed"]
    assert len(saved) == 1


def test_failure_that_nobody_took_goes_to_failed(caplog: pytest.LogCaptureFixture) -> None:
    """If a backend raises, that is logged, the others are asked, and `failed` has the failure."""
    saved.clear()
    backends = Backends([Raising, Keeping])
    assert not backends.save(ValueError("x"), WORKER, "q", b"{}")
    assert len(saved) == 1
    assert [r.getMessage() for r in caplog.records] == [
        "The failure backend Raising raised OSError('the disk is full')"
    ]
    assert [e.list_key for e in backends.entries(b"e", KEYS, "q", False)] == ["resque:failed"]
    assert backends.entries(b"e", KEYS, "q", True) == []


def test_a_list_that_cannot_be_named(caplog: pytest.LogCaptureFixture) -> None:
    """The failure is not lost with it, and the other lists have it as well."""

    class Nameless(ListBackend):
        def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
            raise LookupError(queue)

    backends = Backends([Nameless, RedisMultiQueueBackend])
    entries = backends.entries(b"e", KEYS, "q", saved=False)
    assert [e.list_key for e in entries] == ["resque:q_failed", "resque:failed"]
    assert caplog.messages == ["The failure backend Nameless raised LookupError('q')"]


def test_default_is_redis() -> None:
    """Unless told, failures go to the list `failed`."""
    assert [type(b) for b in Backends().lists] == [RedisBackend]
    assert Backends().savers == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "There must be a failure backend, such as redis."),
        (
            ["rdis"],
            "No failure backend is called 'rdis': use redis, redis_multi_queue, log or "
            "MODULE:CLASS.",
        ),
        (
            ["redis", "no_such_module:X"],
            "The failure backend 'no_such_module:X' cannot be loaded: "
            "No module named 'no_such_module'.",
        ),
        (
            ["json:X"],
            "The failure backend 'json:X' cannot be loaded: module 'json' has no attribute 'X'.",
        ),
        (
            ["json:JSONDecoder"],
            "The failure backend 'json:JSONDecoder' is not a class with a save method.",
        ),
        (["json:dumps"], "The failure backend 'json:dumps' is not a class with a save method."),
    ],
)
def test_bad_names(names: list[str], message: str) -> None:
    """A name that is no backend is refused, and told what would be one."""
    with pytest.raises(SettingsError) as caught:
        Backends.named(names)
    assert str(caught.value) == message


def test_own_list_backend_by_name() -> None:
    """A list backend of the application's own is one by being named, too."""
    assert [type(b).__name__ for b in Backends.named([f"{__name__}:ByHost"]).lists] == ["ByHost"]


class ByHost(ListBackend):
    """A list of the application's own."""

    def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
        return keys.failed_list("by_host"), "by_host"


# --- what a failure is


def test_failure_in_words() -> None:
    """A failure says class, text and where, innermost first and without our own frames."""

    def perform() -> None:
        raised(ValueError("boom"))
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom") as caught:
        perform()
    failure = Failure.of(caught.value)
    assert (failure.exception, failure.error) == ("ValueError", "boom")
    assert failure.backtrace[0].startswith(f"{__file__}:")
    assert failure.backtrace[0].endswith(":in perform")
    assert failure.backtrace[-1].endswith(":in test_failure_in_words")


@pytest.mark.parametrize(
    ("error", "name", "text"),
    [
        (DirtyExit.of(7, 9), "Resque::DirtyExit", None),
        (UnknownJob("x"), "ResqueFork::UnknownJob", "x"),
        (Unspeakable(), "Unspeakable", "(its text cannot be shown: str() raised ValueError)"),
        (Exception("\ud800"), "Exception", "\\ud800"),
        (
            Exception("x" * (LONGEST_ERROR + 5)),
            "Exception",
            "x" * LONGEST_ERROR + "... (shortened, 10005 characters in all)",
        ),
    ],
)
def test_failure_of_any_exception(error: Exception, name: str, text: str | None) -> None:
    """Errors that dashboards know go by their names there; texts are made sayable, and short."""
    failure = Failure.of(error)
    assert failure.exception == name
    assert text is None or failure.error == text


def test_long_backtrace_loses_its_middle() -> None:
    """Of a very deep recursion both ends are kept."""

    def deep(n: int) -> None:
        if not n:
            raise ValueError
        deep(n - 1)

    with pytest.raises(ValueError, match=r"^$") as caught:
        deep(500)
    lines = Failure.of(caught.value).backtrace
    assert len(lines) == MOST_LINES + 1
    assert lines[MOST_LINES // 2] == "... 302 more"  # 500 calls, the innermost and this test


def test_explained_failure() -> None:
    """What is known of a process that died is added, and stands last in the entry."""
    failure = Failure("X", "y", forensics={"signal": "SIGKILL"}).explained({"oom": 1})
    item = json.loads(
        failure.entry(failed_at=MOMENT, payload=b'{"class":"A"}', worker=WORKER, queue="q")
    )
    assert list(item) == [
        "failed_at", "payload", "exception", "error", "backtrace", "worker", "queue", "forensics",
    ]  # fmt: skip
    assert item["forensics"] == {"signal": "SIGKILL", "oom": 1}
    assert item["failed_at"] == "2026/11/23 06:51:50 UTC"
