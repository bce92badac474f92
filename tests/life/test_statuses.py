"""What is known of tracked jobs, in real workers: true however the job or its worker ends."""

from __future__ import annotations

import datetime
import json
import os
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


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"]])
def test_progress(stage: Stage, client: Resque, options: list[str]) -> None:
    """A job says it as often as it likes, and within seconds its status shows what it said last."""
    receipt = enqueued(client, "counts", 5, 8, "half way")
    worker = begun(stage, receipt, *options)
    status = until(lambda: (now := receipt.status()).message and now, lambda: worker.said)
    assert (status.state, status.num, status.total) == ("working", 5, 8)
    assert (status.percent, status.message) == (62, "half way")
    stage.open_gate()
    done = receipt.wait()
    assert (done.state, done.num, done.total, done.message) == ("completed", 5, 8, "")
    assert worker.stop() == 0


def test_progress_of_the_dead(stage: Stage, client: Resque) -> None:
    """Where a job was when its process was killed is known."""
    receipt = enqueued(client, "counts", 5, 8)
    worker = begun(stage, receipt)
    os.kill(worker.children[0], signal.SIGKILL)
    failed = receipt.wait()
    assert (failed.state, failed.percent) == ("failed", 62)
    assert worker.stop() == 0


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"], ["--no-fork-per-job"]])
def test_result(stage: Stage, client: Resque, options: list[str]) -> None:
    """What a job has returned is kept as long as it was declared."""
    receipt = enqueued(client, "returns", {"ü": [1, None]})
    work(stage, *options)
    assert (receipt.status().state, receipt.status().result) == ("completed", {"ü": [1, None]})
    assert 3500 < stage.redis.ttl(f"resque:status:{receipt.id}") <= 3600  # type: ignore[operator]


@pytest.mark.parametrize(
    ("value", "why"), [("set", "Object of type set"), ("long", "it has 70002")]
)
def test_result_that_cannot_be_kept(stage: Stage, client: Resque, value: str, why: str) -> None:
    """The job has failed, and says why."""
    receipt = enqueued(client, "returns", value)
    work(stage)
    status = receipt.status()
    assert (status.state, status.result) == ("failed", None)
    assert status.message.startswith(f"ResultError: The result of returns cannot be kept: {why}")
    assert stage.failed(1)[0]["exception"] == "ResultError"


def killed(receipt: Receipt) -> Status:
    """What is known once it has been killed, which takes seconds."""
    asked = receipt.kill()
    assert asked.state in ("working", "killed")
    return receipt.wait(60)


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"]])
def test_kill(stage: Stage, client: Resque, options: list[str]) -> None:
    """A running job gets an exception, and has not failed; the worker goes on."""
    receipt = enqueued(client, "clings", "nothing")
    worker = begun(stage, receipt, *options)
    status = killed(receipt)
    assert status.state == "killed"
    assert status.message == "ResqueFork::JobKilled: The job was killed on request"
    stage.told("told to end")
    stage.assert_goes_on(worker)
    assert (stage.failed(0), stage.stat("processed")) == ([], 2)
    assert not stage.redis.exists("resque:_kill")
    assert "was killed on request" in worker.said
    assert worker.stop() == 0


def test_kill_of_one_that_clings(stage: Stage, client: Resque) -> None:
    """A job that goes on all the same is sent TERM, and then is killed."""
    receipt = enqueued(client, "clings", "life")
    worker = begun(stage, receipt, "--term-timeout", "0.2")
    assert killed(receipt).message == (
        "ResqueFork::JobKilled: The job was killed on request (sent: JobKilled, TERM, KILL)"
    )
    stage.told("told to end")
    stage.told("told again")
    assert stage.failed(0) == []
    assert worker.stop() == 0


def test_kill_of_one_that_fails(stage: Stage, client: Resque) -> None:
    """A job that raises something else has failed of that."""
    receipt = enqueued(client, "clings", "another error")
    worker = begun(stage, receipt)
    status = killed(receipt)
    assert (status.state, status.message) == ("failed", "ValueError: no")
    assert not stage.redis.exists("resque:_kill")
    assert worker.stop() == 0


@pytest.mark.parametrize("delay", [0, 3600])
def test_kill_of_one_that_waits(stage: Stage, client: Resque, delay: int) -> None:
    """It is taken out of its queue, or of the delayed set."""
    others = [enqueued(client, "works") for _ in range(2)]
    receipt = client.enqueue_in(delay, known_as("works"))
    assert isinstance(receipt, Receipt)
    assert receipt.kill().state == "killed"
    assert len(stage.queue()) == 2
    assert stage.redis.zcard("resque:delayed_queue_schedule") == 0
    assert not stage.redis.exists("resque:_kill")
    assert [other.status().state for other in others] == ["queued", "queued"]
    assert 86000 < stage.redis.ttl(f"resque:status:{receipt.id}") <= 86400  # type: ignore[operator]


def test_kill_of_one_that_is_just_taken(stage: Stage, client: Resque) -> None:
    """A worker that takes a job finds the mark, whoever made it, and does not begin it."""
    receipt = enqueued(client, "works")
    stage.redis.sadd("resque:_kill", receipt.id)
    work(stage)
    assert receipt.status().state == "killed"
    assert stage.nothing_told("begun")
    assert not stage.redis.exists("resque:_kill")


def test_kill_of_one_that_has_ended(stage: Stage, client: Resque) -> None:
    """Nothing is done about it, nor about what nobody knows."""
    receipt = enqueued(client, "refuses")
    work(stage)
    assert receipt.kill().state == "failed"
    assert client.kill("0" * 32).state == "unknown"
    assert not stage.redis.exists("resque:_kill")


def test_kill_does_not_hurt_the_next(stage: Stage, client: Resque) -> None:
    """A mark is of one job: those that follow in the same child are performed."""
    receipt = enqueued(client, "clings", "nothing")
    worker = begun(stage, receipt, "--jobs-per-fork", "5")
    assert killed(receipt).state == "killed"
    following = enqueued(client, "works")
    stage.open_gate()
    assert following.wait(60).state == "completed"
    assert worker.stop() == 0


def test_dequeued(stage: Stage, client: Resque) -> None:
    """A job that is taken out of its queue was killed."""
    receipt, other = enqueued(client, "works", 1), enqueued(client, "works", 2)
    assert client.dequeue(known_as("works"), 1) == 1
    assert (receipt.status().state, other.status().state) == ("killed", "queued")


@pytest.mark.parametrize("options", [[], ["--no-fork-per-job"]])
def test_result_of_a_job_that_a_hook_calls_twice(
    stage: Stage, client: Resque, options: list[str]
) -> None:
    """It is that of the last call."""
    receipt = enqueued(client, "Twice")
    work(stage, *options)
    assert (receipt.status().state, receipt.status().result) == ("completed", 2)


def test_kill_where_the_failed_list_is_something_else(stage: Stage, client: Resque) -> None:
    """A killed job needs no failed list."""
    receipt = enqueued(client, "works")
    stage.redis.set("resque:failed", "x")
    stage.redis.sadd("resque:_kill", receipt.id)
    work(stage)
    assert receipt.status().state == "killed"


def test_kill_of_one_that_waits_for_its_retry(stage: Stage, client: Resque) -> None:
    """It is not tried again."""
    receipt = enqueued(client, "Returns")
    work(stage)
    assert receipt.status().state == "delayed"
    assert receipt.kill().state == "killed"
    assert stage.redis.zcard("resque:delayed_queue_schedule") == 0
    assert json.loads(stage.run("retries", "--json")) == []
