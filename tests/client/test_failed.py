"""The failed list as people use it: entries of every language, found and changed by value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from resque_fork import FailedJob, FailedJobs, Filter, Resque
from resque_fork.errors import ResqueError, StaleEntry
from resque_fork.store.client import Client
from resque_fork.store.long_list import Entry
from resque_fork.wire.failed import failed_entry
from resque_fork.wire.unreadable import wrapped

MOMENT = 1795416710.0
RUBY = (
    '{"failed_at":"2026/11/23 06:51:50 UTC","payload":{"class":"BoomJob","args":[7,{"a":"é"}]},'
    '"exception":"ArgumentError","error":"böom","backtrace":["/app/jobs.rb:17:in `perform\'"],'
    '"worker":"vm:22916:email,low","queue":"email"}'
).encode()
NODE = (
    b'{"worker":"vm:11400","queue":"low","payload":{"class":"boom","queue":"email","args":[7]},'
    b'"exception":"TypeError","error":"x","backtrace":["    at Worker.perform (...)"],'
    b'"failed_at":"Mon Nov 23 2026 06:51:40 GMT+0000 (Coordinated Universal Time)"}'
)
PHP = (
    b'{"failed_at":"Mon Nov 23 06:51:30 UTC 2026","payload":{"class":"P","args":[{"x":1}],'
    b'"id":"abc"},"exception":"E","error":"e","backtrace":[],"worker":"h:1:q","queue":"php",'
    b'"failure_id":"7"}'
)


@pytest.fixture
def failed(resque: Resque) -> FailedJobs:
    """A list with entries of three languages, and one that is none."""
    resque.redis.rpush("resque:failed", RUBY, NODE, PHP, b"oops")
    return FailedJobs(resque.client, resque.key_names, clock=lambda: MOMENT)


def read(raw: bytes) -> FailedJob:
    return FailedJob.parse(Entry(3, raw))


# --- reading


def test_every_language_is_read(failed: FailedJobs) -> None:
    """Entries of Ruby, Node and PHP are read alike, with class, queue and age."""
    ruby, node, php, broken = failed.page()
    assert [job.class_name for job in (ruby, node, php)] == ["BoomJob", "boom", "P"]
    assert [job.queue for job in (ruby, node, php)] == ["email", "low", "php"]
    assert [job.age(MOMENT) for job in (ruby, node, php, broken)] == [0, 10, 20, None]
    assert ruby.args == [7, {"a": "é"}]
    assert broken.index == 3
    assert broken.error == (
        "(this entry cannot be read: it is not JSON (Expecting value: line 1 column 1 (char 0)))"
    )
    assert not broken.can_be_requeued


@given(st.binary())
def test_reading_never_raises(raw: bytes) -> None:
    """Whatever stands in the list is shown."""
    job = read(raw)
    assert (job.index, job.entry.raw) == (3, raw)
    json.dumps(job.to_dict())


@pytest.mark.parametrize(
    "raw",
    [
        b"[]", b"null", b"{}", b"[" * 100_000,
        b'{"payload":null,"backtrace":null,"error":null,"forensics":[]}',
        b'{"payload":"text","backtrace":"line","failed_at":7,"queue":5,"args":{}}',
        b'{"payload":{"class":5,"args":{"a":1}},"backtrace":[1,null]}',
    ],
)  # fmt: skip
def test_odd_entries_are_shown(raw: bytes) -> None:
    """Entries that lack things, or have others in their place, are shown as far as they go."""
    job = read(raw)
    assert isinstance(job.args, list)
    assert all(isinstance(line, str) for line in job.backtrace)
    assert isinstance(job.forensics, dict)


def test_one_by_its_index(failed: FailedJobs) -> None:
    """An index names one entry, and one that does not exist is an error."""
    assert failed.at(1).class_name == "boom"
    for index in (4, -1):
        with pytest.raises(StaleEntry) as caught:
            failed.at(index)
        assert str(caught.value) == f"There is no failed job {index}; the list has 4."


def test_own_entry_is_read_back() -> None:
    """Our own entries are read with all that we know of a failure."""
    raw = failed_entry(
        failed_at=MOMENT, payload=wrapped(b"oops"), exception="E", error="e", backtrace=["x"],
        worker="w", queue="q", forensics={"signal": "SIGSEGV"},
    )  # fmt: skip
    job = read(raw)
    assert (job.forensics, job.raw) == ({"signal": "SIGSEGV"}, "b29wcw==")
    assert job.class_name is None
    assert job.to_dict()["index"] == 3


# --- choosing


@pytest.mark.parametrize(
    ("which", "classes"),
    [
        (Filter(), [None, "P", "boom", "BoomJob"]),
        (Filter(class_name="Boom*"), ["BoomJob"]),
        (Filter(class_name="b*"), ["boom"]),
        (Filter(queue="email"), ["BoomJob"]),
        (Filter(exception="*Error"), ["boom", "BoomJob"]),
        (Filter(queue="email", exception="TypeError"), []),
        (Filter(older_than=10), ["P", "boom"]),
        (Filter(newer_than=10), ["BoomJob"]),
        (Filter(older_than=5, newer_than=15), ["boom"]),
    ],
)
def test_filter(failed: FailedJobs, which: Filter, classes: list[str]) -> None:
    """Jobs are chosen by class, queue, exception and age; one without an age is no age's."""
    assert [job.class_name for job in failed.each(which)] == classes


@pytest.mark.parametrize("age", [{"older_than": 0.0}, {"newer_than": 1e10}])
def test_unknown_zone_is_no_age(resque: Resque, age: dict[str, float]) -> None:
    """A job whose time is in a zone that is not known matches no age, and that is told."""
    for told in ("2026/11/23 06:51:50 XST", "2026/11/23 06:51:50", "garbage", MOMENT - 5):
        item = {"failed_at": told, "payload": {"class": "A", "args": []}, "queue": "q"}
        resque.redis.rpush("resque:failed", json.dumps(item))
    failed = FailedJobs(resque.client, resque.key_names, clock=lambda: MOMENT)
    unclear: list[FailedJob] = []
    found = failed.each(Filter(class_name="A", **age), unclear=unclear.append)
    assert [job.index for job in found] == [3]
    assert [job.unknown_zone for job in unclear] == ["none", "XST"]
    unclear.clear()
    assert list(failed.each(Filter(class_name="B", **age), unclear=unclear.append)) == []
    assert len(list(failed.each(unclear=unclear.append))) == 4
    assert unclear == []


# --- queueing again


def test_requeue_semantics(failed: FailedJobs, resque: Resque) -> None:
    """An entry keeps its place and bytes, and is marked last; class and arguments are queued."""
    assert failed.requeue(failed.page()) == 3
    for raw, marked in zip((RUBY, NODE, PHP), failed.page(), strict=False):
        assert marked.entry.raw == raw[:-1] + b',"retried_at":"2026/11/23 06:51:50 UTC"}'
    assert resque.redis.lrange("resque:queue:email", 0, -1) == [
        '{"class":"BoomJob","args":[7,{"a":"é"}]}'.encode()
    ]
    assert resque.pop("low") == {"class": "boom", "args": [7]}
    assert resque.pop("php") == {"class": "P", "args": [{"x": 1}]}
    assert resque.queues() == ["email", "low", "php"]


def test_requeue_again_stamps_anew(failed: FailedJobs, resque: Resque) -> None:
    """A second requeue has a second time, in the place of the first; unknown keys survive."""
    failed.requeue([failed.at(2)])
    later = FailedJobs(resque.client, resque.key_names, clock=lambda: MOMENT + 60)
    later.requeue([later.at(2)])
    item = json.loads(failed.at(2).entry.raw)
    assert list(item.items())[-2:] == [
        ("failure_id", "7"), ("retried_at", "2026/11/23 06:52:50 UTC"),
    ]  # fmt: skip


def test_requeue_runs_no_hooks_and_needs_no_code(failed: FailedJobs, resque: Resque) -> None:
    """A job can be queued again where its code is not known."""
    assert failed.requeue([failed.at(0)]) == 1
    assert resque.size("email") == 1


@pytest.mark.parametrize(
    ("args", "pushed"),
    [
        (b"null", []),
        (b'{"a":1}', {"a": 1}),  # Ruby takes an object for a list of pairs
        (b'"text"', "text"),
        (b'["\\ud83d"]', ["\ud83d"]),  # half a character, as Node may write it
        (b"[1.0,12345678901234567890]", [1.0, 12345678901234567890]),
    ],
)
def test_requeue_keeps_arguments_of_any_kind(resque: Resque, args: bytes, pushed: Any) -> None:
    """Arguments are queued again as they are, though we would not take all of them."""
    raw = b'{"payload":{"class":"A","args":' + args + b'},"queue":"q"}'
    resque.redis.rpush("resque:failed", raw)
    failed = resque.failed()
    for _ in range(2):
        assert failed.requeue(failed.page()) == 1
        assert resque.pop("q") == {"class": "A", "args": pushed}


def test_requeue_of_what_cannot_be_written(resque: Resque) -> None:
    """An entry that cannot be written again is left out, and costs the others nothing."""
    for args in (b"[1e999]", b"[1]"):
        resque.redis.rpush(
            "resque:failed", b'{"payload":{"class":"A","args":' + args + b'},"queue":"q"}'
        )
    failed = resque.failed()
    assert [job.can_be_requeued for job in failed.page()] == [False, True]
    assert failed.requeue(failed.page()) == 1


def test_requeue_of_what_has_gone(failed: FailedJobs, resque: Resque) -> None:
    """An entry that somebody has requeued or removed since it was read is left alone."""
    jobs = failed.page()
    failed.requeue(jobs[:1])
    failed.remove(jobs[1:2])
    assert failed.requeue(jobs) == 1
    assert resque.queue_sizes() == {"email": 1, "php": 1}


def test_progress_is_told(failed: FailedJobs) -> None:
    """Whoever waits is told of each batch."""
    told: list[int] = []
    assert failed.requeue(failed.page(), told.append) == 3
    assert failed.remove(failed.page(), told.append) == 4
    assert told == [4, 4]


class Breaks:
    """A client whose next script but `after` fails, though Redis has perhaps run it."""

    def __init__(self, redis: Any, error: BaseException, after: int = 1, runs: bool = True) -> None:
        self._redis = redis
        self._error = error
        self._left = after
        self._runs = runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def execute_command(self, *command: Any) -> Any:
        if command[0] != "EVALSHA":
            return self._redis.execute_command(*command)
        if self._left == 0 and self._runs:
            self._redis.execute_command(*command)
        if self._left == 0:
            raise self._error
        self._left -= 1
        return self._redis.execute_command(*command)


@pytest.mark.parametrize(
    ("error", "perhaps"),
    [
        (KeyboardInterrupt(), True),
        (ConnectionError("Connection closed by server."), True),
        (TimeoutError("Timeout reading from socket"), True),
        (ConnectionError("Error 111 connecting to localhost:6379. Connection refused."), False),
        (ResponseError("OOM command not allowed"), False),
    ],
)
@pytest.mark.parametrize("action", ["requeue", "remove", "remove_matching"])
def test_interruption_says_what_was_done(
    resque: Resque, action: str, error: BaseException, perhaps: bool
) -> None:
    """What is raised says how many were certainly done, and how many more may have been."""
    rows = [b'{"payload":{"class":"A","args":[%d]},"queue":"q"}' % i for i in range(3000)]
    resque.redis.rpush("resque:failed", *rows)
    client = Client(resque.server)
    client.redis = Breaks(resque.redis, error, after=4, runs=perhaps)
    failed = FailedJobs(client, resque.key_names)
    what = Filter() if action == "remove_matching" else failed.page(0, 3000)
    with pytest.raises((KeyboardInterrupt, ResqueError)) as caught:
        getattr(failed, action)(what)
    done, more = caught.value.done, caught.value.perhaps  # type: ignore[attr-defined]
    really = resque.size("q") if action == "requeue" else 3000 - failed.count()
    assert 0 < done < 3000
    assert (more > 0) == perhaps
    assert really == done + more


# --- removing


def test_remove_many(resque: Resque) -> None:
    """Entries by the hundreds are removed though others are added, and each at most once."""
    rows = [b'{"payload":{"class":"%d"}}' % (i % 2) for i in range(900)]
    resque.redis.rpush("resque:failed", *rows)
    failed = resque.failed()
    chosen = list(failed.each(Filter(class_name="1")))
    resque.redis.lpop("resque:failed", 101)
    resque.redis.rpush("resque:failed", b"new")
    assert failed.remove(chosen) == 400
    assert failed.remove(chosen) == 0
    assert {e.class_name for e in failed.page(0, 999)} == {"0", None}
    assert failed.count() == 400


def test_clear(failed: FailedJobs) -> None:
    """A cleared list says how many it had."""
    assert failed.clear() == 4
    assert failed.count() == 0
