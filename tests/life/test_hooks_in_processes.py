"""Every hook runs in the process where the docs say, at its station, and fails what it may fail."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from .harness import Running, Stage, until

WORKER_HOOKS = {"before_first_fork", "before_fork", "queue_empty", "shutdown", "worker_exit"}


def drained(stage: Stage, *options: str, require: str = "hooked") -> tuple[Running, list[Any]]:
    """A worker that has done all jobs, and what was said in the meantime."""
    worker = stage.work("--interval", "0", "--require", "more_jobs", *options, require=require)
    assert worker.ended() == 0, worker.said
    return worker, stage.everything_told()


def names(told: list[dict[str, Any]]) -> list[str]:
    return [message["what"] for message in told]


def test_a_job_from_beginning_to_end(stage: Stage) -> None:
    """Worker hooks run in the worker, job hooks and after_fork in the child, in this order."""
    stage.push("Hooked", "fine", 7)
    worker, told = drained(stage)
    assert names(told) == [
        "before_first_fork",
        "before_fork",
        "after_fork",
        "before_perform_a",
        "before_perform_b",
        "around begins",
        "perform",
        "around ends",
        "after_perform",
        "queue_empty",
        "worker_exit",
    ]
    children = {message["pid"] for message in told if message["what"] not in WORKER_HOOKS}
    workers = {message["pid"] for message in told if message["what"] in WORKER_HOOKS}
    assert workers == {worker.pid}
    assert len(children) == 1
    assert children != workers
    given = {message["what"]: message.get("args") for message in told}
    assert given["before_first_fork"] == given["queue_empty"] == given["worker_exit"] == []
    assert given["before_fork"] == given["after_fork"] == ["Reservation"]
    assert given["perform"] == ["fine", 7]


def test_a_series_of_jobs(stage: Stage) -> None:
    """before_first_fork runs once before all, the fork hooks for each, queue_empty once after."""
    for number in range(3):
        stage.push("quick", number)
    worker, told = drained(stage)
    each = ["before_fork", "after_fork", "quick"]
    assert names(told) == ["before_first_fork", *each * 3, "queue_empty", "worker_exit"]
    children = [message["pid"] for message in told if message["what"] == "quick"]
    assert children == [message["pid"] for message in told if message["what"] == "after_fork"]
    assert len({*children, worker.pid}) == 4


def test_a_pause_after_a_job_is_no_empty_queue(stage: Stage) -> None:
    """Paused with jobs in its queue it has not run out of them: queue_empty waits for that."""
    worker, _ = stage.holding(require="hooked")
    stage.push("quick")
    worker.send(signal.SIGUSR2)
    stage.told("before_pause", by=worker)
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_title("Paused")
    assert stage.nothing_told("queue_empty")
    worker.send(signal.SIGCONT)
    stage.told("quick", by=worker)
    stage.told("queue_empty", by=worker)


def test_a_shutdown_has_its_hook(stage: Stage) -> None:
    """Told to stop, however often, it runs once in the worker, and worker_exit is the last."""
    worker = stage.idle(require="hooked")
    worker.send(signal.SIGQUIT, signal.SIGTERM)
    assert worker.ended() == 0
    told = stage.everything_told()
    assert names(told) == ["before_first_fork", "shutdown", "worker_exit"]
    assert {message["pid"] for message in told} == {worker.pid}
    assert told[1]["args"] == ["Worker"]


def test_a_pause_has_its_hooks(stage: Stage) -> None:
    """USR2 and CONT run theirs in the worker."""
    worker = stage.idle(require="hooked")
    worker.send(signal.SIGUSR2)
    before = stage.told("before_pause", by=worker)
    worker.until_title("Paused")
    worker.send(signal.SIGCONT)
    after = stage.told("after_pause", by=worker)
    assert before["pid"] == after["pid"] == worker.pid
    assert before["args"] == after["args"] == ["Worker"]


def test_queue_empty_runs_once_each_time(stage: Stage) -> None:
    """Once for each time that the worker ran out of jobs, not for each look."""
    worker = stage.idle("--interval", "0.01", require="hooked")
    assert stage.nothing_told("queue_empty")
    for _ in range(2):
        stage.push("quick")
        assert stage.told("queue_empty", by=worker)["pid"] == worker.pid
        until(lambda: worker.title.endswith("Waiting for jobs"))
    assert stage.nothing_told("queue_empty")


def test_a_failing_job_has_on_failure_once(stage: Stage) -> None:
    """It runs in the same child, after the job; after_perform does not run."""
    stage.push("Hooked", "raise", 1)
    _, told = drained(stage)
    assert "after_perform" not in names(told)
    [performed] = [message for message in told if message["what"] == "perform"]
    [on_failure] = [message for message in told if message["what"] == "on_failure"]
    assert on_failure["pid"] == performed["pid"]
    assert on_failure["error"] == "ValueError: for a reason"
    assert on_failure["args"] == ["raise", 1]
    assert stage.failed(1)[0]["error"] == "for a reason"


def test_a_dead_child_has_on_failure_once(stage: Stage) -> None:
    """It runs in a short-lived child of the worker, with the exception that tells of the death
    and has its wait status."""
    stage.push("Hooked", "die", 2)
    worker, told = drained(stage)
    [performed] = [message for message in told if message["what"] == "perform"]
    [on_failure] = [message for message in told if message["what"] == "on_failure"]
    assert on_failure["pid"] not in (performed["pid"], worker.pid)
    assert on_failure["parent"] == worker.pid
    assert on_failure["args"] == ["die", 2]
    assert on_failure["status"] == signal.SIGKILL
    [entry] = stage.failed()
    assert on_failure["error"] == f"DirtyExit: {entry['error']}"
    assert str(performed["pid"]) in entry["error"]
    assert stage.stat("failed") == 1


def test_a_stopped_job_has_on_failure_once(stage: Stage) -> None:
    """TERM is a failure like any other."""
    stage.push("Hooked", "hold")
    worker = stage.work(require="more_jobs")
    child = stage.told("perform", by=worker)["pid"]
    assert worker.stop(signal.SIGTERM) == 0
    on_failure = stage.told("on_failure")
    assert on_failure["pid"] == child
    assert on_failure["error"] == "TermException: SIGTERM"
    assert stage.nothing_told("on_failure")
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


def test_a_skipped_job_has_no_failure(stage: Stage) -> None:
    """DontPerform: no further hook of the job runs, and nothing has failed."""
    stage.push("Hooked", "skip")
    _, told = drained(stage)
    assert names(told)[3:] == ["before_perform_a", "before_perform_b", "queue_empty", "worker_exit"]
    assert stage.failed() == []
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 0)


@pytest.mark.parametrize("hook", ["before_fork", "after_fork"])
def test_a_fork_hook_that_raises_fails_its_job_only(stage: Stage, hook: str) -> None:
    """The job is not performed and fails with what the hook raised; the next one is done."""
    stage.push("Hooked", hook)
    stage.push("Hooked", "fine")
    worker, told = drained(stage, require="more_jobs")
    performed = [message["args"] for message in told if message["what"] == "perform"]
    assert performed == [["fine"]]
    [on_failure] = [message for message in told if message["what"] == "on_failure"]
    assert on_failure["error"] == f"LookupError: in {hook}"
    assert on_failure["parent"] == worker.pid
    [entry] = stage.failed()
    assert entry["exception"] == "LookupError"
    assert entry["payload"] == {"class": "Hooked", "args": [hook]}
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)


def test_a_fork_hook_that_exits_fails_its_job_only(stage: Stage) -> None:
    """The worker does not leave because a hook would."""
    stage.push("Hooked", "exit")
    stage.push("Hooked", "fine")
    _, told = drained(stage, require="more_jobs")
    assert [m["args"] for m in told if m["what"] == "perform"] == [["fine"]]
    [entry] = stage.failed()
    assert entry["exception"] == "SystemExit"
    assert entry["payload"] == {"class": "Hooked", "args": ["exit"]}


@pytest.mark.parametrize("hook", ["queue_empty", "shutdown", "before_pause", "worker_exit"])
def test_a_hook_without_a_job_that_raises_is_logged(stage: Stage, hook: str) -> None:
    """The worker goes on, and leaves in order."""
    (stage.directory / "raising.py").write_text(
        f"import jobs, resque_fork\n@resque_fork.{hook}\ndef fall(*args):\n    1 / 0\n"
    )
    worker = stage.idle(require="raising")
    stage.push("quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    worker.send(signal.SIGUSR2)
    worker.until_title("Paused")
    worker.send(signal.SIGCONT)
    worker.until_idle()
    assert worker.stop() == 0
    assert f"The hook {hook} raised ZeroDivisionError" in worker.said
    assert "Traceback" not in worker.said
    stage.assert_left(worker)


def test_a_first_hook_that_raises_is_no_start(stage: Stage) -> None:
    """An application that cannot be set up has no worker: worker_exit runs, exit 1, and nothing
    is left."""
    (stage.directory / "raising.py").write_text(
        "import jobs, resque_fork\n@resque_fork.before_first_fork\ndef fall():\n    1 / 0\n"
    )
    worker = stage.work("--require", "raising", require="hooked")
    assert worker.ended() == 1
    told = stage.everything_told()
    assert names(told) == ["before_first_fork", "worker_exit"]
    assert {message["pid"] for message in told} == {worker.pid}
    assert "ZeroDivisionError" in worker.said
    stage.assert_left(worker)


def test_fork_hooks_run_for_every_job_of_a_child(stage: Stage) -> None:
    """With --jobs-per-fork both run before each job, each in its process."""
    for number in range(3):
        stage.push("quick", number)
    worker, told = drained(stage, "--jobs-per-fork", "3")
    before = [message["pid"] for message in told if message["what"] == "before_fork"]
    after = [message["pid"] for message in told if message["what"] == "after_fork"]
    quick = [message["pid"] for message in told if message["what"] == "quick"]
    assert before == [worker.pid] * 3
    assert after == quick == [quick[0]] * 3


def run_in_application(stage: Stage, code: str) -> Running:
    """Some other program that uses the jobs."""
    program = f"import more_jobs, resque_fork\nr = resque_fork.Resque({stage.url!r})\n{code}"
    running = stage.start(sys.executable, "-c", program)
    assert running.ended() == 0, running.said
    return running


def test_enqueue_hooks_run_in_the_application(stage: Stage) -> None:
    """Before and after the push; False from the former stops it."""
    program = run_in_application(
        stage, "r.enqueue(more_jobs.Hooked, 'fine')\nr.enqueue(more_jobs.Hooked, 'refused')"
    )
    told = stage.everything_told()
    assert names(told) == ["before_enqueue", "after_enqueue", "before_enqueue"]
    assert {message["pid"] for message in told} == {program.pid}
    assert stage.queue() == [b'{"class":"Hooked","args":["fine"]}']


def test_dequeue_hooks_run_in_the_application(stage: Stage) -> None:
    """Before and after the removal; False from the former stops it."""
    stage.push("Hooked", "fine")
    stage.push("Hooked", "kept")
    program = run_in_application(
        stage, "r.dequeue(more_jobs.Hooked, 'fine')\nr.dequeue(more_jobs.Hooked, 'kept')"
    )
    told = stage.everything_told()
    assert names(told) == ["before_dequeue", "after_dequeue", "before_dequeue"]
    assert {message["pid"] for message in told} == {program.pid}
    assert stage.queue() == [b'{"class":"Hooked","args":["kept"]}']


@pytest.mark.parametrize("others", [0, 2], ids=["the last job", "others follow"])
def test_job_whose_child_dies_too_often(stage: Stage, others: int) -> None:
    """Its on_failure hooks run once, when it is given up, with the error that its entry has."""
    stage.push("FailureHook", "die")
    for number in range(others):
        stage.push("FailureHook", "raise", number)
    worker = stage.work("--on-lost", "requeue", "--max-attempts", "2", "--interval", "0")
    assert worker.ended() == 0, worker.said
    told = [m["error"] for m in stage.everything_told() if m["what"] == "on_failure"]
    poison = [e["error"] for e in stage.failed() if e["exception"] == "ResqueFork::PoisonPill"]
    assert len(poison) == 1
    assert told.count(f"PoisonPill: {poison[0]}") == 1
    assert len(told) == 1 + others
