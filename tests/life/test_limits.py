"""Limits of time, CPU and memory: a job that goes over them is stopped, and told why."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from resque_fork.system import process

from .harness import Running, Stage, is_alive, until

TIMEOUT = "The job ran longer than its limit of"
CPU = "The job used more CPU than its limit of"
MEMORY = "The job needed more memory than its limit of"


def limited(stage: Stage, *options: str) -> Running:
    return stage.work(*options, require="more_jobs")


def failure(stage: Stage) -> dict[str, Any]:
    """The one failure; the next job is done by the same worker."""
    [entry] = stage.failed(1)
    stage.push("quick")
    stage.told("quick")
    return entry


def test_a_timeout_raises_in_the_job(stage: Stage) -> None:
    """JobTimeout, with the limit in its text, and the line where the job was."""
    stage.push("endless")
    limited(stage, "--timeout", "0.2")
    assert stage.told("ended")["error"] == f"JobTimeout: {TIMEOUT} 0.2 seconds"
    entry = failure(stage)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["error"] == f"{TIMEOUT} 0.2 seconds"
    assert any("more_jobs.py" in line and "in endless" in line for line in entry["backtrace"])
    assert any("more_jobs.py" in line for line in entry["forensics"]["stack"])
    assert entry["forensics"]["wall_ms"] >= 150  # told by the child, which began a little later


def test_the_stack_is_that_of_the_timeout(stage: Stage) -> None:
    """However often it was asked for before."""
    stage.push("endless")
    worker = limited(stage, "--timeout", "0.5")
    child = stage.told("begun", by=worker)["pid"]
    for _ in range(40):
        os.kill(child, process.DUMP_SIGNAL)
    [entry] = stage.failed(1)
    assert sum("in endless" in line for line in entry["forensics"]["stack"]) == 1


def test_a_timeout_in_a_loop_of_python(stage: Stage) -> None:
    """A job that never waits is interrupted too."""
    stage.push("spin")
    limited(stage, "--timeout", "0.2")
    assert failure(stage)["exception"] == "ResqueFork::JobTimeout"


def test_a_job_within_its_limits_is_done(stage: Stage) -> None:
    """Limits that are not reached change nothing."""
    stage.push("burn", 0.05)
    stage.push("eat", 1)
    limits = ("--timeout", "30", "--cpu", "30", "--memory", "256M", "--interval", "0")
    assert limited(stage, *limits).ended() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 2


def test_a_jobs_own_limit_wins(stage: Stage) -> None:
    """Shorter or longer, what a job declares counts, and not the worker's."""
    stage.push("with_timeout")
    stage.push("with_long_timeout")
    worker = limited(stage, "--timeout", "0.6")
    stage.told("ended", by=worker)
    stage.told("begun", by=worker)
    assert stage.failed(1)[0]["error"] == f"{TIMEOUT} 0.2 seconds"
    stage.push("endless")
    stage.open_gate()
    stage.told("done", by=worker)
    stage.told("ended", by=worker)
    assert stage.failed(2)[1]["error"] == f"{TIMEOUT} 0.6 seconds"


def test_cpu_is_limited(stage: Stage) -> None:
    """Time on the processor counts, and is told apart from time on the clock."""
    stage.push("spin")
    limited(stage, "--cpu", "0.2", "--timeout", "30")
    entry = failure(stage)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["error"] == f"{CPU} 0.2 seconds"
    assert entry["forensics"]["user_ms"] + entry["forensics"]["system_ms"] >= 150


def test_cpu_as_declared(stage: Stage) -> None:
    stage.push("with_cpu")
    limited(stage)
    assert failure(stage)["error"] == f"{CPU} 0.2 seconds"


def test_waiting_is_no_use_of_cpu(stage: Stage) -> None:
    """A job may wait as long as it likes."""
    worker, _ = stage.holding("--cpu", "0.1")
    stage.push("burn", 0)
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert stage.failed() == []


def test_cpu_of_jobs_before_does_not_count(stage: Stage) -> None:
    """With --jobs-per-fork each job has its limit for itself."""
    for number in range(1, 5):
        stage.push("burn", number * 0.15)  # of the process: 0.15 seconds each
    limits = ("--cpu", "0.4", "--jobs-per-fork", "4", "--interval", "0")
    assert limited(stage, *limits).ended() == 0
    assert stage.failed() == []


def test_timeout_of_jobs_before_does_not_count(stage: Stage) -> None:
    """Nor the time that they took; and a child may go on after a timeout or not."""
    stage.push("hold")
    stage.push("endless")
    stage.push("quick")
    worker = limited(stage, "--timeout", "0.6", "--jobs-per-fork", "3")
    stage.told("begun", by=worker)
    stage.open_gate()
    stage.told("done", by=worker)
    stage.told("ended", by=worker)
    stage.told("quick", by=worker)
    assert stage.failed(1)[0]["payload"]["class"] == "endless"


def test_memory_is_limited(stage: Stage) -> None:
    """More than allowed is refused as a MemoryError that names the limit."""
    stage.push("eat", 128)
    limited(stage, "--memory", "64M")
    entry = failure(stage)
    assert entry["exception"] == "MemoryError"
    assert entry["error"] == f"{MEMORY} 64M"


def test_memory_as_declared(stage: Stage) -> None:
    """What a job declares counts, and is given back afterwards."""
    stage.push("with_memory", 128)
    stage.push("eat", 128)
    worker = limited(stage, "--jobs-per-fork", "2")
    assert stage.told("eaten", by=worker)["length"] == 128 * 1024 * 1024
    assert stage.failed(1)[0]["error"] == f"{MEMORY} 32M"


def test_a_memory_error_in_the_jobs_words(stage: Stage) -> None:
    """Its own text stays, and the limit follows."""
    stage.push("eat_in_other_words", 128)
    limited(stage, "--memory", "64M")
    entry = failure(stage)
    assert entry["exception"] == "NoRoom"
    assert entry["error"] == f"there is no room for an array\n{MEMORY} 64M"


@pytest.mark.parametrize("job", ["share_for_ever", "share_in_c"])
def test_memory_that_the_kernel_does_not_refuse(stage: Stage, job: str) -> None:
    """The parent sees it, kills the job, and tells the limit and where the job was."""
    stage.push(job, 256)
    limited(stage, "--memory", "64M", "--on-lost", "requeue")
    entry = failure(stage)
    assert entry["exception"] == "MemoryError"
    assert entry["error"] == f"{MEMORY} 64M (sent: KILL)"
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert entry["forensics"]["rss_growth_kb"] > 64 * 1024
    assert any("more_jobs.py" in line for line in entry["forensics"]["stack"])
    assert "oom" not in entry["forensics"]
    assert stage.queue() == []


def test_memory_of_a_child_that_was_forked_ahead(stage: Stage) -> None:
    """It is held to the same, and so is the next."""
    for _ in range(3):
        stage.push("share_for_ever", 256)
    limited(stage, "--memory", "64M", "--fork-ahead")
    assert {entry["error"] for entry in stage.failed(3)} == {f"{MEMORY} 64M (sent: KILL)"}


def test_memory_of_jobs_before_does_not_count(stage: Stage) -> None:
    """With --jobs-per-fork each job may add so much; the first that adds more is the one killed."""
    for _ in range(3):
        stage.push("share", 40)
    stage.push("share_for_ever", 256)
    worker = limited(stage, "--memory", "64M", "--jobs-per-fork", "4")
    [child] = {stage.told("shared", by=worker)["pid"] for _ in range(3)}
    assert failure(stage)["error"] == f"{MEMORY} 64M (sent: KILL)"
    assert not is_alive(child)


def test_a_crash_close_to_the_limit_of_memory(stage: Stage) -> None:
    """It is a crash, for that is what can be told; and that the limit was close."""
    stage.push("crash_when_refused")
    limited(stage, "--memory", "64M")
    entry = failure(stage)
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["error"].endswith("SIGSEGV (signal 11), close to its limit of memory of 64M")


def test_term_follows(stage: Stage) -> None:
    """A job that minds no JobTimeout gets TERM, and fails as JobTimeout nevertheless."""
    stage.push("yielding")
    limited(stage, "--timeout", "0.1", "--term-timeout", "0.2")
    stage.told("refused")
    entry = failure(stage)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["error"] == f"{TIMEOUT} 0.1 seconds (sent: JobTimeout, TERM)"


@pytest.mark.parametrize("job", ["stubborn", "deaf"])
def test_kill_follows(stage: Stage, job: str) -> None:
    """A job that stops for nothing is killed, and its entry says what was sent."""
    stage.push(job)
    worker = limited(stage, "--timeout", "0.1", "--term-timeout", "0.2")
    child = stage.told("begun", by=worker)["pid"]
    entry = failure(stage)
    assert not is_alive(child)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["error"] == f"{TIMEOUT} 0.1 seconds (sent: JobTimeout, TERM, KILL)"
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert "oom" not in entry["forensics"]


def test_a_timeout_is_never_requeued(stage: Stage) -> None:
    """It would only run into it again."""
    stage.push("stubborn")
    limited(
        stage,
        *("--timeout", "0.1", "--term-timeout", "0.1"),
        *("--on-lost", "requeue", "--on-term", "requeue"),
    )
    assert failure(stage)["exception"] == "ResqueFork::JobTimeout"
    assert stage.queue() == []


# --- where a job is


def stacks(stage: Stage, worker: Running, *options: str) -> Running:
    command = ("-m", "resque_fork", "--redis", stage.url, "stacks", stage.id_of(worker), *options)
    return stage.start(sys.executable, *command)


def test_stacks_of_a_running_job(stage: Stage) -> None:
    """They name the line where it waits, and it is not disturbed, however often one asks."""
    worker, child = stage.holding()
    for _ in range(3):
        asked = stacks(stage, worker)
        assert asked.ended() == 0, asked.said
        assert asked.said.count("in wait_at_gate") == 1
        assert "everyday.py" in asked.said
        assert "in hold" in asked.said
        assert "resque_fork/" not in asked.said
    assert is_alive(child)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_stacks_in_json(stage: Stage) -> None:
    """One job, one entry: a child that waits for the next job is none."""
    worker, child = stage.holding()
    asked = stacks(stage, worker, "--json")
    assert asked.ended() == 0, asked.said
    [found] = json.loads(asked.said)
    assert found["child"] == child
    assert any("in wait_at_gate" in line for line in found["stack"])


def test_stacks_of_a_job_that_blocks_signals(stage: Stage) -> None:
    """It cannot answer: exit 1, one sentence."""
    worker, child = stage.holding(job="deaf")
    asked = stacks(stage, worker)
    assert asked.ended() == 1
    assert f"Process {child} did not answer within 2 seconds." in asked.said


def test_stacks_of_an_idle_worker(stage: Stage) -> None:
    """There is no job, and that is fine."""
    worker = stage.idle()
    asked = stacks(stage, worker)
    assert asked.ended() == 0
    assert "has no job at the moment" in asked.said


def test_stacks_of_a_worker_that_is_not_here(stage: Stage) -> None:
    """A worker that does not exist, or is of another host, cannot be asked: exit 1."""
    for worker_id in (f"{os.uname().nodename}:1:jobs", "elsewhere:1:jobs"):
        command = ("-m", "resque_fork", "--redis", stage.url, "stacks", worker_id)
        asked = stage.start(sys.executable, *command)
        assert asked.ended() == 1
        assert "Traceback" not in asked.said
