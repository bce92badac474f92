"""The client: what it says to a Resque, and what it refuses."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from resque_fork import (
    ArgumentsError,
    Job,
    NoClassError,
    NoQueueError,
    Resque,
    UnknownJob,
    UnreadablePayload,
    job,
)
from resque_fork.client.resque import BULK
from resque_fork.job.registry import registry
from resque_fork.wire.record import WorkerRecord


@pytest.fixture
def name() -> Iterator[str]:
    """A wire name of the test's own, forgotten afterwards."""
    name = f"job_{uuid.uuid4().hex}"
    yield name
    registry.forget(name)


def hook(told: list[Any], what: str, answer: Any = None) -> Any:
    """A hook that tells what it was given, and answers."""

    def hook(*args: Any) -> Any:
        told.append((what, *args))
        return answer

    return staticmethod(hook)


def greet(name: str, greeting: str = "Hello", *more: str) -> None:
    """A job with a default in the middle."""


# --- enqueue


def test_enqueue_bytes(resque: Resque, redis: Any, name: str) -> None:
    """A job goes to the end of its queue as Resque's bytes, and the queue becomes known."""
    greeter = job(name=name, queue="mail")(greet)
    assert resque.enqueue(greeter, "ünï") is True
    assert resque.enqueue(greeter, "b", greeting="Hi") is True
    assert redis.lrange("resque:queue:mail", 0, -1) == [
        f'{{"class":"{name}","args":["ünï"]}}'.encode(),
        f'{{"class":"{name}","args":["b","Hi"]}}'.encode(),
    ]
    assert redis.smembers("resque:queues") == {b"mail"}


def test_enqueue_a_class(resque: Resque, name: str) -> None:
    """A class that carries its queue is enqueued there; the same job twice is two jobs."""

    class Mail(Job, name=name):
        queue = "mail"

        @staticmethod
        def perform(params: dict[str, Any]) -> None: ...

    for _ in range(2):
        assert resque.enqueue(Mail, {"to": [1, None]})
    assert resque.peek("mail", 0, 5) == [{"class": name, "args": [{"to": [1, None]}]}] * 2


def test_enqueue_to_overrides_the_queue(resque: Resque, name: str) -> None:
    """enqueue_to puts a job on the queue named in the call, whatever its declaration says."""
    assert resque.enqueue_to("urgent", job(name=name, queue="mail")(greet), "a")
    assert resque.queue_sizes() == {"urgent": 1}


def test_enqueue_by_name(resque: Resque) -> None:
    """A producer need not have the code: a job may be just its name on the wire."""
    assert resque.enqueue_to("invoices", "Billing::Invoice", 7)
    assert resque.pop("invoices") == {"class": "Billing::Invoice", "args": [7]}


def test_keywords_travel_as_positions(resque: Resque, name: str) -> None:
    """Keyword arguments are bound to the signature."""
    resque.enqueue(job(name=name, queue="q")(greet), greeting="Hi", name="ada")
    assert resque.pop("q")["args"] == ["ada", "Hi"]


def test_keyword_arguments_called_job_and_queue(resque: Resque, name: str) -> None:
    """A job's own parameters may be called like ours."""
    declared = job(name=name, queue="q")(lambda job, queue=1: None)
    resque.enqueue(declared, job="a", queue="b")
    resque.enqueue_to("q", declared, job="c", queue="d")
    assert [resque.pop("q")["args"] for _ in "ab"] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "missing a required argument: 'name'"),
        (("a", {1}), "argument 2 is a set, which is not JSON; pass strings"),
    ],
)
def test_bad_arguments_queue_nothing(
    resque: Resque, redis: Any, name: str, given: tuple[Any, ...], message: str
) -> None:
    """Arguments that do not fit, or that JSON cannot carry, are refused before anything is sent."""
    with pytest.raises(ArgumentsError) as caught:
        resque.enqueue(job(name=name, queue="q")(greet), *given)
    assert str(caught.value).startswith(f"{name}: {message}")
    assert redis.keys() == []


def test_without_a_queue(resque: Resque, redis: Any, name: str) -> None:
    """A job without a queue is refused by name, and told how to get one."""
    declared = job(name=name)(greet)
    with pytest.raises(NoQueueError) as caught:
        resque.enqueue(declared, "a")
    assert str(caught.value) == (
        f'{name} has no queue: declare it with queue="...", or use enqueue_to(queue, ...).'
    )
    for call in (
        lambda: resque.enqueue_many(declared, [["a"]]),
        lambda: resque.dequeue(declared),
    ):
        with pytest.raises(NoQueueError) as caught:
            call()
        assert str(caught.value) == f'{name} has no queue: name one with queue="...".'
    assert redis.keys() == []


@pytest.mark.parametrize("queue", ["", "  ", None, 7, b"q"])
def test_what_names_no_queue(resque: Resque, redis: Any, queue: Any) -> None:
    """What does not name a queue is refused, and nothing is pushed."""
    for call in (
        lambda: resque.enqueue_to(queue, "A"),
        lambda: resque.push(queue, {"class": "A", "args": []}),
    ):
        with pytest.raises(NoQueueError) as caught:
            call()
        assert str(caught.value) == (
            f"Jobs must be placed onto a queue, and {queue!r} does not name one."
        )
    assert redis.keys() == []


@pytest.mark.parametrize("what", [greet, None, "", 7, Job])
def test_what_is_no_job(resque: Resque, redis: Any, what: Any) -> None:
    """What was not declared as a job is refused."""
    with pytest.raises(NoClassError) as caught:
        resque.enqueue_to("q", what)
    assert str(caught.value) == (
        f"{what!r} is not a job: pass a function decorated with @job, a subclass of Job "
        "with a perform method, or the name its workers know it by."
    )
    assert redis.keys() == []


# --- hooks around queues


def test_enqueue_hooks(resque: Resque, name: str) -> None:
    """The hooks run around the push, with the arguments as they travel."""
    told: list[Any] = []

    class Hooks:
        before_enqueue = hook(told, "before")

        @staticmethod
        def after_enqueue(*args: Any) -> None:
            told.append(("after", *args, resque.size("q")))

    resque.enqueue(job(name=name, queue="q", hooks=[Hooks])(greet), name="a")
    assert told == [("before", "a"), ("after", "a", 1)]


@pytest.mark.parametrize(("answer", "queued"), [(False, 0), (None, 1), (0, 1), ("", 1)])
def test_before_enqueue_may_stop_it(resque: Resque, name: str, answer: Any, queued: int) -> None:
    """Only False from a before_enqueue hook stops it; all of them run, and no after_enqueue."""
    told: list[Any] = []

    class Hooks:
        before_enqueue_a = hook(told, "a", answer)
        before_enqueue_b = hook(told, "b")
        after_enqueue = hook(told, "after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    assert resque.enqueue(declared, "x") is bool(queued)
    assert resque.enqueue_many(declared, [["x"]]) == queued
    assert resque.size("q") == 2 * queued
    once = [("a", "x"), ("b", "x")] + [("after", "x")] * queued
    assert told == once * 2


def test_dequeue_hooks(resque: Resque, name: str) -> None:
    """The hooks run around a dequeue too, also around one that removes nothing."""
    told: list[Any] = []

    class Hooks:
        before_dequeue = hook(told, "before")
        after_dequeue = hook(told, "after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    assert resque.dequeue(declared, "x") == 0
    assert told == [("before", "x"), ("after", "x")]


def test_before_dequeue_may_stop_it(resque: Resque, name: str) -> None:
    """False from a before_dequeue hook removes nothing."""
    told: list[Any] = []

    class Hooks:
        before_dequeue = hook(told, "before", False)
        after_dequeue = hook(told, "after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    resque.enqueue(declared, "x")
    assert resque.dequeue(declared, "x") == 0
    assert resque.size("q") == 1
    assert told == [("before", "x")]


# --- many at once


def test_enqueue_many(resque: Resque, redis: Any, name: str) -> None:
    """Many jobs go out in batches, in order; progress is told the size of each."""
    sizes: list[int] = []
    declared = job(name=name, queue="q")(greet)
    many = ([str(i)] for i in range(2 * BULK + 5))
    assert resque.enqueue_many(declared, many, progress=sizes.append) == 2 * BULK + 5
    assert sizes == [BULK, BULK, 5]
    raws = redis.lrange("resque:queue:q", 0, -1)
    assert [json.loads(raw)["args"] for raw in raws] == [[str(i)] for i in range(2 * BULK + 5)]
    assert resque.enqueue_many(declared, []) == 0


def test_enqueue_many_to_another_queue(resque: Resque, name: str) -> None:
    """A queue given with the call counts, and a name will do for a job."""
    assert resque.enqueue_many(job(name=name, queue="q")(greet), [["a"]], queue="p") == 1
    assert resque.enqueue_many("Elsewhere", [[1], [2]], queue="p") == 2
    assert resque.queue_sizes() == {"p": 3}


def test_enqueue_many_big_payloads_in_smaller_batches(resque: Resque) -> None:
    """Batches are limited by their bytes as well."""
    sizes: list[int] = []
    big = "x" * (3 * 1024 * 1024)
    resque.enqueue_many("A", [[big]] * 3, queue="q", progress=sizes.append)
    assert sizes == [2, 1]


def test_enqueue_many_says_how_far_it_came(resque: Resque) -> None:
    """If an argument is no good, the batches before stay pushed, and the error says how many."""

    def many() -> Iterator[list[Any]]:
        for i in range(BULK + 3):
            yield [i]
        yield [object()]

    with pytest.raises(ArgumentsError, match=r"^A: argument 1 is a object") as caught:
        resque.enqueue_many("A", many(), queue="q")
    assert caught.value.enqueued == BULK  # type: ignore[attr-defined]
    assert resque.size("q") == BULK


# --- dequeue


def test_dequeue_with_and_without_arguments(resque: Resque, name: str) -> None:
    """With arguments only exact matches go, without any all jobs of that class and no other."""
    declared = job(name=name, queue="q")(greet)
    for args in (["a"], ["b"], ["a"], ["a", "b"]):
        resque.enqueue(declared, *args)
    resque.enqueue_to("q", "Other", "a")
    assert resque.dequeue(declared, "a") == 2
    assert [item["args"] for item in resque.peek("q", 0, 9)] == [["b"], ["a", "b"], ["a"]]
    assert resque.dequeue(declared) == 2
    assert resque.dequeue("Other", "a", queue="q") == 1
    assert resque.size("q") == 0


def test_dequeue_compares_by_value(resque: Resque, redis: Any) -> None:
    """Jobs that other languages queued are found however their JSON is written."""
    redis.rpush(
        "resque:queue:q",
        b'{"class":"A","args":["\\u00fc"]}',
        b'{"queue":"q", "args": ["\xc3\xbc"], "class": "A"}',
        b'{"class":"A","args":[1.0]}',
        b'{"class":"A","args":[1]}',
        b'{"class":"A","args":[true]}',
        b"oops",
    )
    assert resque.dequeue("A", "ü", queue="q") == 2
    assert resque.dequeue("A", 1, queue="q") == 1
    assert redis.lrange("resque:queue:q", 0, -1) == [
        b'{"class":"A","args":[1.0]}', b'{"class":"A","args":[true]}', b"oops",
    ]  # fmt: skip
    with pytest.raises(ArgumentsError, match=r"^A: argument 1 is a set"):
        resque.dequeue("A", {1}, queue="q")


# --- queues


def test_push_any_object(resque: Resque, redis: Any) -> None:
    """Any object with a class goes to a queue as it is; what has none is refused."""
    resque.push("q", {"class": "A", "args": [1], "id": "x"})
    assert redis.lrange("resque:queue:q", 0, -1) == [b'{"class":"A","args":[1],"id":"x"}']
    for item in ({"args": []}, {"class": ""}, {"class": 7}):
        with pytest.raises(NoClassError) as caught:
            resque.push("q", item)
        assert str(caught.value) == (
            "Jobs must be given a class: pass a declared job or the name its workers know it by."
        )
    with pytest.raises(ArgumentsError, match=r"^A: args must be a list of arguments, not a str"):
        resque.push("q", {"class": "A", "args": "abc"})
    assert resque.size("q") == 1


def test_pop_is_first_in_first_out(resque: Resque) -> None:
    """Pop gives payloads in order and then None; size follows."""
    for n in (1, 2):
        resque.enqueue_to("q", "A", n)
    assert resque.size("q") == 2
    assert [resque.pop("q") for _ in range(3)] == [
        {"class": "A", "args": [1]}, {"class": "A", "args": [2]}, None,
    ]  # fmt: skip
    assert (resque.size("q"), resque.queues()) == (0, ["q"])


def test_peek(resque: Resque, redis: Any) -> None:
    """Peek shows the head, or a list of more, and removes nothing; what is not JSON is text."""
    assert resque.peek("q") is None
    assert resque.peek("q", 0, 3) == []
    redis.rpush("resque:queue:q", b'{"class":"A"}', b"\xffoops", b"[1]")
    assert resque.peek("q") == {"class": "A"}
    assert resque.peek("q", 1) == "\\xffoops"
    assert resque.peek("q", 1, 5) == ["\\xffoops", [1]]
    assert resque.size("q") == 3


def test_reserve(resque: Resque, redis: Any) -> None:
    """Reserve takes the first job with its class and arguments, or None; no job is an error."""
    resque.enqueue_to("q", "A", 1, [2])
    redis.rpush("resque:queue:q", "oops")
    reservation = resque.reserve("q")
    assert reservation is not None
    assert (reservation.queue, reservation.class_name) == ("q", "A")
    assert reservation.args == [1, [2]]
    with pytest.raises(UnreadablePayload, match=r"^The payload cannot be read: it is not JSON"):
        resque.reserve("q")
    assert resque.reserve("q") is None


def test_queues_and_sizes(resque: Resque) -> None:
    """Queues are known by name, sorted, with their sizes; none is an empty list."""
    assert (resque.queues(), resque.queue_sizes()) == ([], {})
    resque.enqueue_to("b", "A")
    resque.enqueue_many("A", [[], []], queue="a")
    assert resque.queues() == ["a", "b"]
    assert resque.queue_sizes() == {"a": 2, "b": 1}


def test_sample_queues(resque: Resque) -> None:
    """A sample holds a queue's true size and its first jobs, in order."""
    resque.enqueue_many("A", [[1], [2], []], queue="q")
    assert resque.sample_queues(2) == {
        "q": {"size": 3, "samples": [{"class": "A", "args": [1]}, {"class": "A", "args": [2]}]}
    }
    assert resque.sample_queues()["q"]["samples"][2] == {"class": "A", "args": []}


def test_remove_and_clear(resque: Resque) -> None:
    """A removed queue is forgotten with its jobs, a cleared one stays known; others stay."""
    for queue in ("a", "b", "c"):
        resque.enqueue_many("A", [[1], [2]], queue=queue)
    assert (resque.remove_queue("a"), resque.clear_queue("b")) == (2, 2)
    assert (resque.remove_queue("a"), resque.clear_queue("b")) == (0, 0)
    assert resque.queue_sizes() == {"b": 0, "c": 2}


# --- workers, failures and the rest


def test_workers_and_what_they_do(resque: Resque, redis: Any) -> None:
    """Workers are listed by id, and those that have a job with it; what cannot be read is None."""
    assert (resque.workers(), resque.working()) == ([], {})
    record = WorkerRecord("q", "2026-11-23T06:51:50Z", b'{"class":"A","args":[]}')
    redis.sadd("resque:workers", "vm:2:q", "vm:1:q", "vm:3:q")
    redis.set("resque:worker:vm:1:q", record.to_json())
    redis.set("resque:worker:vm:3:q", "oops")
    assert resque.workers() == ["vm:1:q", "vm:2:q", "vm:3:q"]
    assert resque.working() == {"vm:1:q": record, "vm:3:q": None}


def test_info(resque: Resque, redis: Any, redis_url: str) -> None:
    """The overview counts what is pending, done, failed, known and at work."""
    resque.enqueue_many("A", [[], []], queue="a")
    resque.enqueue_to("b", "A")
    redis.sadd("resque:workers", "vm:1:q", "vm:2:q")
    redis.set("resque:worker:vm:1:q", "{}")
    redis.rpush("resque:failed", "{}")
    redis.rpush("resque:a_failed", "{}")
    redis.sadd("resque:failed_queues", "a_failed")
    redis.mset({"resque:stat:processed": 7, "resque:stat:failed": 9})
    assert resque.info() == {
        "pending": 3,
        "processed": 7,
        "failed": 2,
        "queues": 2,
        "workers": 2,
        "working": 1,
        "servers": [redis_url],
    }


def test_failed_lists(resque: Resque, redis: Any) -> None:
    """The failed list is at hand, and any other by name."""
    redis.rpush("resque:failed", "{}")
    redis.rpush("resque:mail_failed", "{}", "{}")
    assert resque.failed().count() == 1
    assert resque.failed("mail_failed").count() == 2


@pytest.mark.parametrize("namespace", ["resque", "a[b]*?", "a\\-^"])
def test_keys_of_a_namespace(redis_url: str, redis: Any, namespace: str) -> None:
    """Keys are listed without their namespace, whatever it looks like, and nobody else's."""
    resque = Resque(redis_url, namespace=namespace)
    redis.mset({"other:queues": 1, "resqueue:x": 1, "ab:x": 1, "abz:x": 1})
    resque.enqueue_to("q", "A")
    assert resque.keys() == ["queue:q", "queues"]
    resque.close()


def test_namespaces_are_apart(redis_url: str, redis: Any) -> None:
    """Every key begins with the namespace, and what is queued in one is not seen in another."""
    one, other = Resque(redis_url, namespace="one"), Resque(redis_url, namespace="other")
    one.enqueue_to("q", "A")
    assert (one.queues(), other.queues()) == (["q"], [])
    one.stats.incr("mails")
    one.pause()
    assert all(key.startswith(b"one:") for key in redis.keys("*"))
    one.close()
    other.close()


def test_pause_of_all_workers(resque: Resque, redis: Any) -> None:
    """A pause is Resque's key; any case counts, as others write it, and anything else does not."""
    assert not resque.paused()
    resque.pause()
    assert redis.get("resque:pause-all-workers") == b"true"
    assert resque.paused()
    resque.resume()
    assert not redis.exists("resque:pause-all-workers")
    for value, paused in ((b"True\n", True), (b"false", False), (b"\xff", False)):
        redis.set("resque:pause-all-workers", value)
        assert resque.paused() is paused


def test_stats(resque: Resque) -> None:
    """Counters of an application are kept beside Resque's own."""
    assert resque.stats.incr("mails", 3) == 3
    assert resque.stats.get("mails") == 3


def test_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL the environment says which Redis and which namespace."""
    for variable in ("RESQUE_REDIS", "REDIS_URL", "RESQUE_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    assert repr(Resque()) == "<Resque redis://localhost:6379/0 namespace 'resque'>"
    monkeypatch.setenv("REDIS_URL", "redis://:pw@example.com/2")
    assert repr(Resque()) == "<Resque redis://:***@example.com/2 namespace 'resque'>"
    monkeypatch.setenv("RESQUE_REDIS", "redis://first.example.com")
    assert str(Resque().server) == "redis://first.example.com"
    assert str(Resque("unix:///tmp/x").server) == "unix:///tmp/x"


# --- inline


def test_inline_performs_on_the_spot(redis_url: str, redis: Any, name: str) -> None:
    """With inline a job is performed where it is enqueued, on arguments that went through JSON."""
    told: list[Any] = []

    class Hooks:
        before_enqueue = hook(told, "before_enqueue")
        before_perform = hook(told, "before_perform")
        after_perform = hook(told, "after_perform")
        after_enqueue = hook(told, "after_enqueue")

    resque = Resque(redis_url, inline=True)
    declared = job(name=name, queue="q", hooks=[Hooks])(lambda *args: told.append(("job", *args)))
    assert resque.enqueue(declared, (1, 2)) is True
    assert told == [
        ("before_enqueue", (1, 2)),
        ("before_perform", [1, 2]),
        ("job", [1, 2]),
        ("after_perform", [1, 2]),
        ("after_enqueue", (1, 2)),
    ]
    told.clear()
    assert resque.enqueue_many(declared, [[1], [2]]) == 2
    assert [t for t in told if t[0] == "job"] == [("job", 1), ("job", 2)]
    assert redis.keys() == []


def test_inline_raises_what_the_job_raises(redis_url: str, redis: Any, name: str) -> None:
    """With inline the job's exception is the caller's, and an unknown job is one."""
    resque = Resque(redis_url, inline=True)
    with pytest.raises(ZeroDivisionError):
        resque.enqueue(job(name=name, queue="q")(lambda: 1 / 0))
    with pytest.raises(UnknownJob):
        resque.enqueue_to("q", f"{name}_unknown")
    assert redis.keys() == []
