"""Jobs are enqueued and dequeued: the bytes that are sent, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from resque_fork import ArgumentsError, Job, NoClassError, NoQueueError, Resque, job
from resque_fork.client.enqueue import BULK

from .conftest import greet

# --- one


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

    with pytest.raises(ArgumentsError, match=r"^A: argument 1 is an object") as caught:
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
