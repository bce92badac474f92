"""What a job forks, what the next job finds, and what runs at the end: each has its own."""

from __future__ import annotations

import os
import signal

import pytest

from .harness import Running, Stage, until


def work(stage: Stage, *options: str) -> Running:
    return stage.work(*options, require="stopped_jobs")


# --- processes that a job forks


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("target", ["nap", "stubborn"])
def test_terminate(stage: Stage, target: str, at_once: bool) -> None:
    """Process.terminate() ends it as outside of a worker, without a word; also right away."""
    stage.push("terminate", target, at_once)
    worker = work(stage, "--interval", "0")
    assert stage.told("terminated", by=worker)["status"] == -signal.SIGTERM
    assert worker.ended() == 0
    assert "Traceback" not in worker.said
    assert stage.failed() == []


def test_a_handler_of_its_own_stays(stage: Stage) -> None:
    """What the process sets itself is its own."""
    stage.push("terminate", "handles_term")
    assert stage.told("terminated", by=work(stage))["status"] == 7


def test_how_a_fork_takes_signals(stage: Stage) -> None:
    """As Python does; nothing is blocked."""
    stage.push("tell_of_a_fork")
    fork = stage.told("fork", by=work(stage))
    handlers = dict.fromkeys(["TERM", "QUIT", "HUP", "USR1", "USR2"], "SIG_DFL")
    assert fork["handlers"] == {**handlers, "INT": "default_int_handler"}
    assert fork["blocked"] == []


# --- many jobs in one process


def test_the_next_job_finds_signals_as_they_were(stage: Stage) -> None:
    """Handlers, timers, the mask, the wake-up descriptor, and what was pending."""
    stage.push("find_signals")
    stage.push("leave_signals")
    stage.push("find_signals")
    worker = work(stage, "--jobs-per-fork", "5")
    before, after = stage.told("found", by=worker), stage.told("found", by=worker)
    assert after == before
    assert after["late"] == after["blocked"] == []
    assert (after["child"], after["timers"], after["wakeup"]) == ("SIG_DFL", [0.0] * 3, -1)
    until(lambda: stage.stat("processed") == 3)
    assert stage.failed() == []


def test_the_next_job_is_stopped_and_asked_as_ever(stage: Stage) -> None:
    """After a job that has taken every signal: TERM, the limit, and the stack at a crash."""
    for name, args in (("leave_signals", []), ("segfault", []), ("leave_signals", [])):
        stage.push(name, *args)
    stage.push("hold")
    work(stage, "--jobs-per-fork", "2", "--timeout", "2")
    [crash] = stage.failed(1)
    assert crash["forensics"]["signal"] == "SIGSEGV"
    assert any("in segfault" in line for line in crash["forensics"]["stack"])
    timeout = stage.failed(2)[1]
    assert timeout["exception"] == "ResqueFork::JobTimeout"
    assert any("in hold" in line for line in timeout["forensics"]["stack"])


def test_a_timer_that_a_job_leaves_hits_nobody(stage: Stage) -> None:
    """Neither what follows the job in its process, nor with --no-fork-per-job the worker."""
    for mode in ("--fork-per-job", "--no-fork-per-job"):
        stage.push("leave_a_timer", 0.2)
        stage.push("find_signals")
        worker = work(stage, mode, "--interval", "0")
        assert worker.ended() == 0
        assert "of the job before" not in worker.said
    assert stage.failed() == []
    assert stage.stat("processed") == 4


# --- limits


@pytest.mark.parametrize(
    "how", ["fork", "spawn", "subprocess", "asyncio", "posix_spawn", "system", "thread"]
)
def test_a_limit_of_memory_is_the_jobs_alone(stage: Stage, how: str) -> None:
    """What a job starts may need more; the job itself may not, after that either."""
    stage.push("need_memory_elsewhere", how)
    stage.push("eat", 128)
    worker = stage.work("--jobs-per-fork", "2", "--interval", "0", require="limited_jobs")
    assert stage.told("ran", by=worker)["status"] == 0
    assert stage.told("eaten", by=worker)
    assert worker.ended() == 0
    [entry] = stage.failed()
    assert entry["error"] == "The job needed more memory than its limit of 64M"


# --- exit functions


def test_only_what_a_job_registered_runs_at_its_exit(stage: Stage) -> None:
    """With --run-at-exit-hooks the worker's own are left for its own end."""
    for _ in range(3):
        stage.push("use_scratch")
    worker = work(stage, "--run-at-exit-hooks", "--interval", "0")
    assert worker.ended() == 0
    assert stage.failed() == []
    told = stage.everything_told()
    exits = [message for message in told if message["what"] == "at exit"]
    assert len({message["pid"] for message in exits}) == 3
    assert not any(os.path.exists(message["own"]) for message in exits)
    assert [m["pid"] for m in told if m["what"] == "at exit of the worker"] == [worker.pid]


def test_exit_functions_run_once_for_many_jobs(stage: Stage) -> None:
    """At the end of their process."""
    for _ in range(3):
        stage.push("use_scratch")
    worker = work(stage, "--run-at-exit-hooks", "--jobs-per-fork", "5", "--interval", "0")
    assert worker.ended() == 0
    told = [message["what"] for message in stage.everything_told()]
    assert told == [*["written"] * 3, *["at exit"] * 3, "at exit of the worker"]


# --- logging handlers


def test_a_handler_that_waits_for_a_thread_of_the_worker(stage: Stage) -> None:
    """Flushing it is given up after a second, the job is done, and the handler is named."""
    stage.push("log_to", "Shipper")
    worker = work(stage, "--interval", "0")
    assert worker.ended() == 0
    assert "WARNING: Flushing the logging handler stopped_jobs.Shipper took longer" in worker.said
    assert "was killed after its job was done" not in worker.said
    assert stage.failed() == []


def test_a_handler_that_cannot_be_flushed(stage: Stage) -> None:
    """It does not undo the job."""
    stage.push("log_to", "Refusing")
    worker = work(stage, "--interval", "0")
    assert worker.ended() == 0
    said = "Flushing the logging handler stopped_jobs.Refusing raised RuntimeError('nobody takes"
    assert said in worker.said
    assert stage.failed() == []
