"""Redis loses keys, or holds something else under them, while a job runs: its outcome is written.

Whatever the key and however the job ends, the outcome is in one place, once.
"""

from __future__ import annotations

import itertools
import signal

import pytest

from .harness import Running, Stage, until

KEYS = {
    "fork": "fork:{}",
    "record": "worker:{}",
    "unread": "fork:unread:{}",
    "started": "worker:{}:started",
    "workers": "workers",
    "own workers": "fork:workers",
    "heartbeats": "workers:heartbeat",
    "attempts": "fork:attempts",
    "queues": "queues",
    "queue": "queue:jobs",
    "failed": "failed",
    "processed": "stat:processed",
    "failures": "stat:failed",
    "everything": "",
}
OWN = ("fork", "record")  # held by the worker alone: what stands there instead is replaced
SHARED = {"failed": ("raised", "killed", "TERM"), "queue": ("requeue",)}  # waited for
ENTRIES = {
    "raised": "ValueError",
    "killed": "Resque::DirtyExit",
    "TERM": "Resque::TermException",
}
ACCIDENTS = ("deleted", "of the wrong type")
CASES = [
    case for case in itertools.product(KEYS, ACCIDENTS) if case != ("everything", ACCIDENTS[1])
]


def befall(stage: Stage, worker: Running, key: str, accident: str) -> str:
    """The accident happens; the key that it happens to."""
    name = "resque:" + KEYS[key].format(stage.id_of(worker))
    if key == "everything":
        stage.redis.flushall()
    else:
        stage.redis.delete(name)
    if accident == "of the wrong type":
        stage.redis.zadd(name, {"somebody else's": 1})
    return name


def repair(stage: Stage, worker: Running, key: str, accident: str, end: str, name: str) -> None:
    """Wait until the worker has named a key that it cannot go on without, and take it away."""
    if accident == "of the wrong type":
        if key in OWN:
            worker.until_said(f"The Redis key {name!r} held something else")
        if end in SHARED.get(key, ()):
            worker.until_said(f"The Redis key {name!r} does not hold what Resque keeps there")
            stage.redis.delete(name)


def check(stage: Stage, end: str, before: int) -> None:
    """The job has ended so, once."""
    if end in ENTRIES:
        until(lambda: stage.redis.llen("resque:failed") > before, stage._all_said)
        exceptions = [entry["exception"] for entry in stage.failed()[before:]]
        assert exceptions == [ENTRIES[end]]
    if stage.redis.type("resque:queue:jobs") != b"zset":
        assert len(stage.queue()) == (1 if end == "requeue" else 0)


@pytest.mark.parametrize(("key", "accident"), CASES)
def test_job_that_ends_by_itself(stage: Stage, key: str, accident: str) -> None:
    """Done, raised or killed: what became of it is written, and the worker goes on."""
    worker = stage.idle(require="more_jobs")
    for number, end in enumerate(("done", "raised", "killed"), 1):
        stage.push("hold_and", end)
        stage.told("begun", by=worker)
        before = stage.redis.llen("resque:failed") if key not in ("failed", "everything") else 0
        name = befall(stage, worker, key, accident)
        stage.open_gate()
        repair(stage, worker, key, accident, end, name)
        check(stage, end, int(before))
        if key not in ("processed", "everything"):
            until(lambda number=number: stage.stat("processed") == number, stage._all_said)
        worker.until_idle()
        if accident == "of the wrong type":
            stage.redis.delete(name)
    assert "Traceback" not in worker.said
    assert worker.stop() == 0
    assert [k for k in stage.keys_of(worker) if b"unread" not in k] == []


@pytest.mark.parametrize("on_term", ["fail", "requeue"])
@pytest.mark.parametrize(("key", "accident"), CASES)
def test_job_that_is_stopped(stage: Stage, key: str, accident: str, on_term: str) -> None:
    """Told to stop, the worker writes what became of its job before it leaves."""
    end = "requeue" if on_term == "requeue" else "TERM"
    worker, _ = stage.holding("--on-term", on_term, "--term-timeout", "30")
    name = befall(stage, worker, key, accident)
    worker.send(signal.SIGTERM)
    repair(stage, worker, key, accident, end, name)
    assert worker.ended() == 0, worker.said
    check(stage, end, 0)
    assert "Traceback" not in worker.said


def test_two_keys_at_once(stage: Stage) -> None:
    """Both the registration and the record are gone: nothing is lost, and nothing doubled."""
    worker, _ = stage.holding()
    stage.redis.delete(*stage.redis.keys(f"resque:*{stage.id_of(worker)}*"))
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)
    worker.until_said("The worker was no longer registered in Redis: it registers anew")
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_large_job_that_redis_forgot(stage: Stage) -> None:
    """Megabytes are put back as well, byte for byte."""
    raw = b'{"class":"large","args":["' + b"x" * 1_000_000 + b'"]}'
    worker = stage.idle("--on-term", "requeue", "--term-timeout", "30")
    stage.push_raw(raw)
    stage.told("begun", by=worker)
    stage.redis.delete(*stage.redis.keys("resque:fork:*"))
    worker.send(signal.SIGTERM)
    assert worker.ended() == 0
    assert stage.queue() == [raw]


def test_rescued_by_one_of_ours_and_forgotten(stage: Stage) -> None:
    """Who was pruned alive finds a mark of it, although Redis has forgotten everything else."""
    worker, _ = stage.holding()
    stage.run("remove", "--force", stage.id_of(worker))
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    stage.open_gate()
    worker.until_said("The job was rescued by another while it ran: nothing is counted")
    stage.assert_goes_on(worker)
    assert len(stage.failed()) == 1


def test_nothing_to_put_back(stage: Stage) -> None:
    """An idle worker that Redis has forgotten registers anew and takes the next job."""
    worker = stage.idle()
    stage.redis.flushall()
    stage.assert_goes_on(worker)
