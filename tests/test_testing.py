"""Applications can test their jobs on a Redis of their own, without a worker."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from resque_fork import DontPerform, RedisUnavailable, Resque, UnreadablePayload, job
from resque_fork.job.registry import registry
from resque_fork.testing import perform_queued, temporary_resque


@pytest.fixture
def name() -> Iterator[str]:
    """A wire name of the test's own, forgotten afterwards."""
    name = f"job_{uuid.uuid4().hex}"
    yield name
    registry.forget(name)


@pytest.fixture
def client(redis_url: str) -> Iterator[Resque]:
    """A client of the server, which is empty."""
    client = Resque(redis_url)
    yield client
    client.close()


def test_temporary_resque(name: str) -> None:
    """A temporary Resque is empty, works, and is gone afterwards."""
    told: list[int] = []
    with temporary_resque("mine") as resque:
        assert resque.keys() == []
        assert resque.key_names.namespace == "mine"
        resque.enqueue(job(name=name, queue="q")(told.append), 1)
        assert [r.class_name for r in perform_queued(resque)] == [name]
    assert told == [1]
    with pytest.raises(RedisUnavailable, match="does not answer"):
        resque.queues()


def test_temporary_resques_are_apart() -> None:
    """Two at a time know nothing of each other, and one goes with its test's exception."""
    with temporary_resque() as one, temporary_resque() as other:
        one.enqueue_to("q", "A")
        assert (one.queues(), other.queues()) == (["q"], [])
    with pytest.raises(ZeroDivisionError), temporary_resque():
        _ = 1 / 0


def test_performs_in_a_workers_order(client: Resque, name: str) -> None:
    """Jobs run queue by queue in the order given, oldest first; others stay where they are."""
    told: list[Any] = []
    noted = job(name=name)(told.append)
    for queue, what in (("low", 1), ("high", 2), ("low", 3), ("other", 4), ("high", 5)):
        client.enqueue_to(queue, noted, what)
    performed = perform_queued(client, "high", "l*")
    assert told == [2, 5, 1, 3]
    assert [(r.queue, r.args) for r in performed] == [
        ("high", [2]), ("high", [5]), ("low", [1]), ("low", [3]),
    ]  # fmt: skip
    assert client.size("other") == 1
    perform_queued(client)
    assert told[-1] == 4
    assert perform_queued(client) == []


def test_performs_what_jobs_enqueue(client: Resque, name: str) -> None:
    """What a job enqueues while it runs is performed as well, the more important queue first."""
    told: list[int] = []

    def down(n: int) -> None:
        told.append(n)
        if n:
            client.enqueue_to("a", declared, n - 1)

    declared = job(name=name, queue="b")(down)
    client.enqueue(declared, 2)
    client.enqueue(declared, 0)
    assert len(perform_queued(client)) == 4
    assert told == [2, 1, 0, 0]


def test_hooks_run_and_errors_are_raised(client: Resque, name: str) -> None:
    """Hooks run as in a worker; what a job raises is raised, and the rest stays queued."""
    failures: list[Any] = []

    class Hooks:
        @staticmethod
        def before_perform(n: int) -> None:
            if n < 0:
                raise DontPerform

        @staticmethod
        def on_failure(error: BaseException, n: int) -> None:
            failures.append((type(error), n))

    declared = job(name=name, queue="q", hooks=[Hooks])(lambda n: 1 / n)
    for n in (-1, 0, 1):
        client.enqueue(declared, n)
    with pytest.raises(ZeroDivisionError):
        perform_queued(client)
    assert failures == [(ZeroDivisionError, 0)]
    assert [r.args for r in perform_queued(client)] == [[1]]


def test_what_is_no_job_is_an_error(client: Resque, redis: Any) -> None:
    """A payload that cannot be read is an error of the test."""
    client.enqueue_to("q", "A")
    redis.lset("resque:queue:q", 0, "oops")
    with pytest.raises(UnreadablePayload, match="it is not JSON"):
        perform_queued(client)
