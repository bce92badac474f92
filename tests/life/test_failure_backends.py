"""``--failure-backend``: where failures go, and that none is lost when a backend fails itself."""

from __future__ import annotations

import json
import signal
import time

import pytest

from .harness import Running, Stage, is_alive

BACKEND = "--failure-backend"


def drained(stage: Stage, backends: str, *options: str) -> Running:
    """A worker with such backends that has done all jobs."""
    worker = stage.work("--interval", "0", BACKEND, backends, *options, require="more_jobs")
    assert worker.ended(30) == 0, worker.said
    return worker


def test_a_backend_of_the_users_takes_the_failure(stage: Stage) -> None:
    """It gets the live exception in the child; the failed list gets nothing, the counter one."""
    stage.push("boom", "for a reason")
    worker = drained(stage, "more_jobs:Telling")
    saved = stage.told("saved")
    assert saved["parent"] == worker.pid
    assert (saved["exception"], saved["error"]) == ("ValueError", "for a reason")
    assert saved["traceback"]
    assert saved["worker"] == stage.id_of(worker)
    assert saved["queue"] == "jobs"
    assert saved["payload"] == {"class": "boom", "args": ["for a reason"]}
    assert stage.failed() == []
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 1)
    stage.assert_left(worker)


def test_a_dead_child_is_told_too(stage: Stage) -> None:
    """In a short-lived child, with the exception that tells of the death, once."""
    stage.push("kill_self", 9)
    worker = drained(stage, "more_jobs:Telling")
    saved = stage.told("saved")
    assert saved["parent"] == worker.pid
    assert saved["exception"] == "DirtyExit"
    assert "SIGKILL (signal 9)" in saved["error"]
    assert stage.nothing_told("saved")
    assert stage.failed() == []
    assert stage.stat("failed") == 1


@pytest.mark.parametrize(
    "raw", [b"no job", b'{"class":"Unheard","args":[]}'], ids=["unreadable", "unknown"]
)
def test_what_is_no_job_is_told_too(stage: Stage, raw: bytes) -> None:
    """Also failures for which no child was ever forked."""
    stage.push_raw(raw)
    drained(stage, "more_jobs:Telling")
    saved = stage.told("saved")
    assert saved["exception"] in ("UnreadablePayload", "UnknownJob")
    assert saved["payload"].get("raw", "no job") == "no job"
    assert stage.failed() == []
    assert stage.stat("failed") == 1


def test_a_stopped_job_is_told_too(stage: Stage) -> None:
    """TERM is a failure like any other."""
    stage.push("hold")
    worker = stage.work(BACKEND, "more_jobs:Telling", require="more_jobs")
    stage.told("begun", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.told("saved")["exception"] == "TermException"
    assert stage.failed() == []


@pytest.mark.parametrize("job", ["boom", "kill_self"])
def test_a_backend_that_raises_loses_nothing(stage: Stage, job: str) -> None:
    """The failure goes to the failed list, the log says why, and the worker goes on."""
    stage.push(job, 9)
    stage.push("quick")
    worker = drained(stage, "more_jobs:Refusing")
    stage.told("quick")
    assert "The failure backend Refusing raised OSError('the tracker is down')" in worker.said
    [entry] = stage.failed()
    assert entry["payload"] == {"class": job, "args": [9]}
    assert entry["exception"] == ("ValueError" if job == "boom" else "Resque::DirtyExit")
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)


@pytest.mark.parametrize("job", ["boom", "kill_self"])
def test_a_backend_that_takes_its_process_with_it_loses_nothing(stage: Stage, job: str) -> None:
    """The first report of the failure holds, whatever came after."""
    stage.push(job, 9)
    stage.push("quick")
    drained(stage, "more_jobs:Leaving")
    stage.told("quick")
    [entry] = stage.failed()
    assert entry["payload"] == {"class": job, "args": [9]}
    assert entry["exception"] == ("ValueError" if job == "boom" else "Resque::DirtyExit")
    assert stage.stat("failed") == 1


def test_a_backend_that_hangs_is_cut_off(stage: Stage) -> None:
    """Its process is killed after a while, the failure is in the list, the next job is done."""
    stage.push("boom", "for a reason")
    stage.push("quick")
    worker = stage.work(BACKEND, "more_jobs:Hanging", require="more_jobs")
    child = stage.told("hanging", by=worker)["pid"]
    began = time.monotonic()
    stage.told("quick", by=worker)
    assert time.monotonic() - began > 5
    assert not is_alive(child)
    [entry] = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("ValueError", "for a reason")
    assert worker.stop() == 0


def test_several_of_which_one_raises(stage: Stage) -> None:
    """The others get the failure all the same, and the list has it once."""
    stage.push("boom", "for a reason")
    drained(stage, "more_jobs:Refusing,more_jobs:Telling,redis")
    assert stage.told("saved")["error"] == "for a reason"
    assert len(stage.failed()) == 1
    assert stage.stat("failed") == 1


def test_redis_and_log(stage: Stage) -> None:
    """Both: an entry in the list, and a line in the log."""
    stage.push("boom", "for a reason")
    stage.push("kill_self", 9)
    worker = drained(stage, "redis, log")
    raised, killed = stage.failed(2)
    assert raised["error"] == "for a reason"
    assert f"boom on jobs ({stage.id_of(worker)}) failed: ValueError: for a reason" in worker.said
    assert f"kill_self on jobs ({stage.id_of(worker)}) failed: " in worker.said
    assert worker.said.count(f") failed: Resque::DirtyExit: {killed['error']}") >= 1


def test_log_alone(stage: Stage) -> None:
    """Nothing in the list, only the counter."""
    stage.push("boom", "for a reason")
    worker = drained(stage, "log")
    assert "failed: ValueError: for a reason" in worker.said
    assert stage.failed() == []
    assert stage.stat("failed") == 1


def test_a_list_for_each_queue(stage: Stage) -> None:
    """redis_multi_queue: ``<queue>_failed``, named in ``failed_queues``; nothing in ``failed``."""
    stage.push("boom", "one", queue="jobs")
    stage.push("kill_self", 9, queue="other")
    worker = stage.work(
        *("--interval", "0", BACKEND, "redis_multi_queue"), queues="jobs,other", require="more_jobs"
    )
    assert worker.ended() == 0
    assert stage.redis.smembers("resque:failed_queues") == {b"jobs_failed", b"other_failed"}
    [raised] = map(json.loads, stage.redis.lrange("resque:jobs_failed", 0, -1))
    [killed] = map(json.loads, stage.redis.lrange("resque:other_failed", 0, -1))
    assert (raised["error"], raised["queue"]) == ("one", "jobs")
    assert (killed["exception"], killed["queue"]) == ("Resque::DirtyExit", "other")
    assert stage.failed() == []
    assert stage.stat("failed") == 2


def test_a_killed_workers_job_goes_to_the_list_of_its_queue(stage: Stage) -> None:
    """The worker that rescues it has the same backend."""
    stage.push("kill_worker")
    options = (BACKEND, "redis_multi_queue")
    worker = stage.work(*options, require="more_jobs")
    assert worker.ended() == -9
    stage.work(*options, "--interval", "0", require="more_jobs").ended()
    [entry] = map(json.loads, stage.redis.lrange("resque:jobs_failed", 0, -1))
    assert entry["error"] == "Job still being processed"
    assert stage.failed() == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("redsi", "No failure backend is called 'redsi'"),
        ("more_jobs:Nobody", "'more_jobs:Nobody' cannot be loaded"),
        ("nowhere:Nobody", "'nowhere:Nobody' cannot be loaded"),
        ("more_jobs:tell", "'more_jobs:tell' is not a class with a save method"),
    ],
)
def test_one_that_cannot_be_loaded(stage: Stage, name: str, words: str) -> None:
    """The worker does not start: one sentence, and not exit 0."""
    worker = stage.work(BACKEND, name, require="more_jobs")
    assert worker.ended() in (1, 2)
    assert words in worker.said
    assert "Traceback" not in worker.said
    assert stage.workers() == []
