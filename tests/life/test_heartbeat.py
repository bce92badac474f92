"""Heartbeats: a worker that was removed by mistake comes back, and knows its name."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest

from .harness import Running, Stage, is_alive, until

BEAT = ("--heartbeat-interval", "0.2")
HEARTBEATS = "resque:workers:heartbeat"


def beat_of(stage: Stage, worker: Running) -> bytes | None:
    beat: bytes | None = stage.redis.hget(HEARTBEATS, stage.id_of(worker))
    return beat


def forget(stage: Stage, worker: Running) -> None:
    """What a peer does with a worker that it takes for dead."""
    stage.redis.srem("resque:workers", stage.id_of(worker))
    stage.redis.hdel(HEARTBEATS, stage.id_of(worker))


def test_it_beats_while_idle_and_while_busy(stage: Stage) -> None:
    """In Ruby's format, by the server's clock."""
    worker = stage.idle(*BEAT)
    first = beat_of(stage, worker)
    assert first is not None
    seconds = datetime.fromisoformat(first.decode()).timestamp()
    assert abs(seconds - stage.redis.time()[0]) <= 2
    until(lambda: beat_of(stage, worker) != first)
    stage.push("hold")
    stage.told("begun", by=worker)
    second = beat_of(stage, worker)
    until(lambda: beat_of(stage, worker) != second)
    stage.open_gate()
    stage.told("done", by=worker)


def test_it_beats_while_it_only_fails_jobs(stage: Stage) -> None:
    """Jobs that need no child to fail follow each other fast, and may be many."""
    worker = stage.idle(*BEAT)
    count = 20_000
    stage.redis.rpush("resque:queue:jobs", *[b'{"class":"Nobody","args":[]}'] * count)
    until(lambda: stage.redis.llen("resque:failed") > 0)
    forget(stage, worker)
    until(lambda: beat_of(stage, worker) is not None)
    assert stage.redis.llen("resque:failed") < count
    assert worker.stop() == 0


def test_an_idle_worker_registers_again(stage: Stage) -> None:
    """At its next heartbeat it is back, with all that belongs to it, and takes jobs."""
    worker = stage.idle(*BEAT)
    forget(stage, worker)
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert beat_of(stage, worker) is not None
    stage.assert_goes_on(worker)


def test_a_busy_worker_registers_again(stage: Stage) -> None:
    """Its job stays on record and is counted once."""
    worker, _ = stage.holding(*BEAT)
    forget(stage, worker)
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert stage.redis.get(f"resque:worker:{stage.id_of(worker)}") is not None
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    assert stage.failed() == []
    stage.assert_left(worker)


def test_everything_of_it_is_deleted(stage: Stage) -> None:
    """Also with the keys that are ours alone, as by ``resque-fork remove``."""
    worker = stage.idle(*BEAT)
    forget(stage, worker)
    stage.redis.delete(f"resque:fork:{stage.id_of(worker)}")
    stage.redis.delete(f"resque:worker:{stage.id_of(worker)}:started")
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert stage.redis.hget(f"resque:fork:{stage.id_of(worker)}", "token") is not None
    assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}:started")
    stage.assert_goes_on(worker)


def test_the_database_is_emptied(stage: Stage) -> None:
    """FLUSHALL under an idle worker: it registers again."""
    worker = stage.idle(*BEAT)
    stage.redis.flushall()
    until(lambda: stage.workers() == [stage.id_of(worker)])
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_the_token_of_another(stage: Stage) -> None:
    """Another process works under our id: we leave with a sentence, and touch nothing of its."""
    worker = stage.idle(*BEAT)
    stage.redis.hset(f"resque:fork:{stage.id_of(worker)}", "token", "another's")
    assert worker.ended() == 1
    assert f"Another process has taken the worker id '{stage.id_of(worker)}'" in worker.said
    assert "Give each its own host name." in worker.said
    assert "Traceback" not in worker.said
    assert stage.workers() == [stage.id_of(worker)]
    assert stage.redis.hget(f"resque:fork:{stage.id_of(worker)}", "token") == b"another's"


def test_the_token_of_another_during_a_job(stage: Stage) -> None:
    """The child does not outlive the worker that leaves so."""
    worker, child = stage.holding(*BEAT)
    stage.redis.hset(f"resque:fork:{stage.id_of(worker)}", "token", "another's")
    assert worker.ended() == 1
    assert "Another process has taken the worker id" in worker.said
    until(lambda: not is_alive(child))


@pytest.mark.parametrize("seconds", ["300", "1000"])
def test_an_interval_that_others_would_not_wait_for(stage: Stage, seconds: str) -> None:
    """Ruby peers prune after 300 seconds: an interval as long is refused."""
    worker = stage.work("--heartbeat-interval", seconds)
    assert worker.ended() in (1, 2)
    assert "300" in worker.said
    assert "Traceback" not in worker.said
    assert stage.workers() == []


def test_a_worker_that_is_stopped_and_continued(stage: Stage) -> None:
    """Frozen and removed with its job meanwhile: it comes back."""
    stage.push("hold")
    worker = stage.work(*BEAT)
    stage.told("begun", by=worker)
    worker.send(signal.SIGSTOP)
    record = f"resque:worker:{stage.id_of(worker)}"
    forget(stage, worker)
    fork = f"resque:fork:{stage.id_of(worker)}"
    token, step = stage.redis.hmget(fork, "token", "step")
    stage.redis.set(b"resque:fork:rescued:" + token, step)
    stage.redis.delete(record, fork)
    worker.send(signal.SIGCONT)
    until(lambda: stage.workers() == [stage.id_of(worker)])
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_idle()
    worker.until_said("nothing is counted")
    assert stage.stat("processed") == 0
    assert worker.stop() == 0
    stage.assert_left(worker)
