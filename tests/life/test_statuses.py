"""What is known of tracked jobs, in real workers: true however the job or its worker ends."""

from __future__ import annotations

import datetime
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from resque_fork import Receipt, Resque, Status, job

from .harness import Running, Stage, until

pytestmark = pytest.mark.usefixtures("own_jobs")


@pytest.fixture
def client(stage: Stage) -> Iterator[Resque]:
    client = Resque(stage.url)
    yield client
    client.close()


def known_as(name: str) -> Any:
    """A job of `tracked.py`, as a producer declares it."""

    def elsewhere(*args: Any) -> None: ...

    return job(queue="jobs", name=name, track=True)(elsewhere)


def enqueued(client: Resque, name: str, *args: Any) -> Receipt:
    receipt = client.enqueue(known_as(name), *args)
    assert isinstance(receipt, Receipt)
    return receipt


def work(stage: Stage, *options: str) -> Running:
    """A worker that performs what is there, and leaves."""
    worker = stage.work("--interval", "0", *options, require="tracked")
    assert worker.ended() == 0, worker.said
    return worker


def begun(stage: Stage, receipt: Receipt, *options: str) -> Running:
    """A worker in the middle of the job."""
    worker = stage.work(*options, require="tracked")
    stage.told("begun", by=worker)
    assert receipt.status().state == "working"
    return worker


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"], ["--no-fork-per-job"]])
def test_a_life(stage: Stage, client: Resque, options: list[str]) -> None:
    """queued, working, completed: in resque-status' keys, and expired after a day."""
    receipt = enqueued(client, "works", 7)
    assert receipt.status().state == "queued"
    worker = begun(stage, receipt, *options)
    stage.open_gate()
    done = receipt.wait()
    assert (done.state, done.name, done.queue, done.message) == ("completed", "works", "jobs", "")
    raw: Any = stage.redis.get(f"resque:status:{receipt.id}")
    assert json.loads(raw)["uuid"] == receipt.id
    assert stage.redis.zscore("resque:_statuses", receipt.id)
    assert 86000 < stage.redis.ttl(f"resque:status:{receipt.id}") <= 86400  # type: ignore[operator]
    assert worker.stop() == 0


def test_failed(stage: Stage, client: Resque) -> None:
    """A job that raised says why."""
    receipt = enqueued(client, "refuses")
    work(stage)
    assert (receipt.status().state, receipt.status().message) == (
        "failed",
        "ValueError: no såch thing",
    )


@pytest.mark.parametrize(
    ("name", "reason"), [("dies", "Resque::DirtyExit: "), ("too_slow", "ResqueFork::JobTimeout: ")]
)
def test_killed_child(stage: Stage, client: Resque, name: str, reason: str) -> None:
    """A job whose process died or that ran out of time has failed, and does not work for ever."""
    receipt = enqueued(client, name)
    work(stage)
    status = receipt.status()
    assert (status.state, status.message[: len(reason)]) == ("failed", reason)


@pytest.mark.parametrize(("on_lost", "state"), [("fail", "failed"), ("requeue", "queued")])
def test_killed_worker(stage: Stage, client: Resque, on_lost: str, state: str) -> None:
    """A worker that has not loaded the application tells what became of a dead one's job."""
    receipt = enqueued(client, "works")
    begun(stage, receipt).kill()
    rescuer = stage.idle("--on-lost", on_lost, queues="others")
    assert receipt.status().state == state
    assert receipt.status().name == "works"
    assert rescuer.stop() == 0


def test_poison(stage: Stage, client: Resque) -> None:
    """A job that is lost too often has failed, although it was to come back."""
    receipt = enqueued(client, "dies")
    work(stage, "--on-lost", "requeue", "--max-attempts", "2")
    status = receipt.status()
    assert (status.state, status.message[:23]) == ("failed", "ResqueFork::PoisonPill:")


def test_retried(stage: Stage, client: Resque) -> None:
    """A job that is retried says when and where to, and fails when it has no retries left."""
    receipt = enqueued(client, "Returns")
    work(stage)
    status = receipt.status()
    assert (status.state, status.queue) == ("delayed", "later")
    assert status.message == "ConnectionError: refused"
    due: Any = stage.redis.zrange("resque:delayed_queue_schedule", 0, -1)
    assert status.due == datetime.datetime.fromtimestamp(int(due[0]), datetime.UTC)
    stage.run("delayed", "now", due[0].decode())
    assert receipt.status().state == "queued"
    worker = stage.work("--interval", "0", require="tracked", queues="later")
    assert worker.ended() == 0, worker.said
    assert receipt.status().state == "failed"


def test_retried_at_once(stage: Stage, client: Resque) -> None:
    """A job that is retried without a delay is queued in between."""
    receipt = enqueued(client, "at_once")
    worker = stage.work(require="tracked")
    assert receipt.wait().state == "failed"
    assert receipt.status().message == "ConnectionError: refused"
    assert len(stage.failed(1)) == 1
    assert worker.stop() == 0


def test_delayed(stage: Stage, client: Resque) -> None:
    """The clock of a worker has a delayed job queued, and then it is performed."""
    receipt = client.enqueue_in(1, known_as("refuses"))
    assert isinstance(receipt, Receipt)
    assert receipt.status().state == "delayed"
    worker = stage.work(queues="others", require="tracked")
    until(lambda: stage.queue(), lambda: worker.said)
    assert receipt.status().state == "queued"
    assert receipt.status().due is None
    work(stage)
    assert receipt.status().state == "failed"
    assert worker.stop() == 0


def test_put_back(stage: Stage, client: Resque) -> None:
    """A job that goes back to its queue because its worker stops is queued."""
    receipt = enqueued(client, "works")
    worker = begun(stage, receipt, "--on-term", "requeue")
    assert worker.stop(signal.SIGTERM) == 0
    assert receipt.status().state == "queued"


def test_large(stage: Stage, client: Resque) -> None:
    """A job that only its child reads is tracked too."""
    receipt = enqueued(client, "works", "x" * 100_000)
    worker = begun(stage, receipt)
    stage.open_gate()
    assert (receipt.wait().state, receipt.status().name) == ("completed", "works")
    assert worker.stop() == 0


def test_rescued_meanwhile(stage: Stage, client: Resque) -> None:
    """A worker whose job another has rescued does not overwrite what became of it."""
    receipt = enqueued(client, "works")
    worker = begun(stage, receipt)
    stage.run("remove", stage.id_of(worker), "--force")
    assert receipt.status().state == "failed"
    stage.open_gate()
    worker.until_said("was rescued by another")
    assert receipt.status().state == "failed"
    assert worker.stop() == 0


@pytest.mark.parametrize("kind", ["set", "text"])
def test_garbage(stage: Stage, client: Resque, kind: str) -> None:
    """What others put where statuses stand costs no job."""
    stage.redis.lpush("resque:_statuses", "x")
    stage.redis.lpush("resque:fork:statuses", "x")
    receipt = enqueued(client, "works")
    key = f"resque:status:{receipt.id}"
    stage.redis.delete(key)
    if kind == "set":
        stage.redis.sadd(key, "x")
    else:
        stage.redis.set(key, b"\xff{")
    assert receipt.status() == Status(receipt.id)
    worker = begun(stage, receipt)
    stage.open_gate()
    assert receipt.wait().state == "completed"
    assert worker.stop() == 0
