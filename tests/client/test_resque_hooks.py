"""Hooks run when a job is enqueued and dequeued, and may stop it."""

from typing import Any

import pytest
from told import Told, hook

from resque_fork import Job, NoQueueError, Resque, job

from .conftest import greet

pytestmark = pytest.mark.usefixtures("own_jobs")


# --- of a function: those of the classes that it names


def test_enqueue_hooks(resque: Resque, name: str, told: list[Any]) -> None:
    """The hooks run around the push, with the arguments as they travel."""

    class Hooks:
        before_enqueue = hook("before")

        @staticmethod
        def after_enqueue(*args: Any) -> None:
            told.append(("after", *args, resque.size("q")))

    resque.enqueue(job(name=name, queue="q", hooks=[Hooks])(greet), name="a")
    assert told == [("before", "a"), ("after", "a", 1)]


@pytest.mark.parametrize(("answer", "queued"), [(False, 0), (None, 1), (0, 1), ("", 1)])
def test_before_enqueue_may_stop_it(
    resque: Resque, name: str, told: list[Any], answer: Any, queued: int
) -> None:
    """Only False from a before_enqueue hook stops it; all of them run, and no after_enqueue."""

    class Hooks:
        before_enqueue_a = hook("a", answer)
        before_enqueue_b = hook("b")
        after_enqueue = hook("after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    assert resque.enqueue(declared, "x") is bool(queued)
    assert resque.enqueue_many(declared, [["x"]]) == queued
    assert resque.size("q") == 2 * queued
    once = [("a", "x"), ("b", "x")] + [("after", "x")] * queued
    assert told == once * 2


def test_dequeue_hooks(resque: Resque, name: str, told: list[Any]) -> None:
    """The hooks run around a dequeue too, also around one that removes nothing."""

    class Hooks:
        before_dequeue = hook("before")
        after_dequeue = hook("after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    assert resque.dequeue(declared, "x") == 0
    assert told == [("before", "x"), ("after", "x")]


def test_before_dequeue_may_stop_it(resque: Resque, name: str, told: list[Any]) -> None:
    """False from a before_dequeue hook removes nothing."""

    class Hooks:
        before_dequeue = hook("before", False)
        after_dequeue = hook("after")

    declared = job(name=name, queue="q", hooks=[Hooks])(greet)
    resque.enqueue(declared, "x")
    assert resque.dequeue(declared, "x") == 0
    assert resque.size("q") == 1
    assert told == [("before", "x")]


# --- of a class: its own


class Queued(Told, Job):
    """A job that tells of its way in and out of the queue."""

    queue = "email"
    before_enqueue_a = classmethod(lambda cls, *args: cls.tell("before", *args))
    after_enqueue_a = classmethod(lambda cls, *args: cls.tell("after", *args))
    before_dequeue_a = classmethod(lambda cls, *args: cls.tell("before out", *args))
    after_dequeue_a = classmethod(lambda cls, *args: cls.tell("after out", *args))

    @classmethod
    def perform(cls, *args: Any) -> None:
        cls.tell("work", *args)


def test_enqueue_hooks_run_around_the_push(resque: Resque, told: list[Any]) -> None:
    """before_enqueue runs before the push, after_enqueue after it, each with the arguments."""

    class Watched(Queued):
        before_enqueue_z = classmethod(lambda cls: cls.tell(resque.size("email")))
        after_enqueue_z = classmethod(lambda cls: cls.tell(resque.size("email")))

    assert resque.enqueue(Watched) is True
    assert told == ["before", 0, "after", 1]
    assert resque.enqueue(Queued, 7)
    assert told[-2:] == [("before", 7), ("after", 7)]


@pytest.mark.parametrize(("answer", "stopped"), [(False, True), (None, False), (0, False)])
def test_only_false_stops_and_all_run(
    resque: Resque, told: list[Any], answer: Any, stopped: bool
) -> None:
    """Only False itself keeps a job from being queued or removed; all the hooks run anyway."""

    class Stopping(Queued):
        before_enqueue_0 = staticmethod(lambda: answer)
        before_dequeue_0 = staticmethod(lambda: answer)

    assert resque.enqueue(Stopping) is not stopped
    assert told == (["before"] if stopped else ["before", "after"])
    resque.push("email", {"class": "Stopping"})
    told.clear()
    assert bool(resque.dequeue(Stopping)) is not stopped
    assert told == (["before out"] if stopped else ["before out", "after out"])
    assert bool(resque.size("email")) is stopped


def test_after_dequeue_runs(resque: Resque, told: list[Any]) -> None:
    """The dequeue hooks run with the arguments, also if nothing was there to be removed."""
    assert resque.dequeue(Queued, 7) == 0
    assert told == [("before out", 7), ("after out", 7)]


def test_bulk_enqueue_runs_the_hooks_of_each(resque: Resque, told: list[Any]) -> None:
    """Jobs that are enqueued in bulk have their hooks run each, and stopped ones are left out."""

    class Odd(Queued):
        before_enqueue_z = staticmethod(lambda number: number % 2 == 1)

    assert resque.enqueue_many(Odd, [[n] for n in range(4)]) == 2
    assert resque.size("email") == 2
    assert [word for word in told if word[0] == "after"] == [("after", 1), ("after", 3)]


def test_inline_runs_hooks_on_json_args(resque: Resque, told: list[Any]) -> None:
    """Performed in place, a job has all its hooks run, the inner ones on arguments from JSON."""
    resque.inline = True

    class Work(Queued):
        before_perform = classmethod(lambda cls, *args: cls.tell("before perform", *args))

    assert resque.enqueue(Work, (1, 2))
    assert told == [
        ("before", (1, 2)), ("before perform", [1, 2]), ("work", [1, 2]), ("after", (1, 2)),
    ]  # fmt: skip


def test_plain_pushes_run_no_hooks(resque: Resque, told: list[Any]) -> None:
    """Only what is enqueued runs hooks: a push, a reserve, a requeue, and a name without code
    do not."""
    resque.push("email", {"class": "Queued"})
    resque.reserve("email")
    entry = b'{"payload":{"class":"Queued","args":[]},"queue":"email"}'
    resque.redis.rpush("resque:failed", entry)
    assert resque.failed().requeue(resque.failed().page()) == 1
    assert resque.size("email") == 1
    assert told == []
    with pytest.raises(NoQueueError):
        resque.enqueue("Unheard")
    assert told == []
