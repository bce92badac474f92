"""A worker goes on with the next job while the child of the last one exits."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from .harness import Running, Stage, is_alive, until

# An application whose processes take their time to exit, and do not exit well.
APPLICATION = """
import os
import jobs
from jobs import *
from resque_fork import after_fork
from resque_fork.system import process


def leave(status):
    jobs.tell("exiting", pid=os.getpid())
    jobs.wait_at_gate()
    os._exit({status})


@after_fork
def exit_slowly(job):
    process.leave = leave
"""


def exiting(stage: Stage, *options: str, jobs: Sequence[str], status: int = 0) -> Running:
    """A worker whose first child has said its last word, and has not exited."""
    (stage.directory / "slow_exits.py").write_text(APPLICATION.format(status=status))
    for job in jobs:
        stage.push(job)
    worker = stage.work("--no-pin-pages", "--no-fork-ahead", *options, require="slow_exits")
    child = stage.told("exiting", by=worker)["pid"]
    assert is_alive(child)
    assert worker.children == [child]
    return worker


def test_the_outcome_is_written_while_the_child_exits(stage: Stage) -> None:
    """And the next job is reserved, which begins once that child has ended."""
    worker = exiting(stage, jobs=["quick", "tell_surroundings"])
    until(lambda: stage.stat("processed") == 1 and not stage.queue(), lambda: worker.said)
    (first,) = worker.children
    assert stage.nothing_told("found")
    stage.open_gate()
    second = stage.told("found", by=worker)["pid"]
    assert (worker.children, is_alive(first)) == ([second], False)
    stage.open_gate()
    assert worker.until_idle().stop() == 0
    assert (stage.stat("processed"), stage.failed()) == (2, [])
    stage.assert_left(worker)


def test_an_idle_worker_has_no_children(stage: Stage) -> None:
    """It waits for the end of the last one before it sleeps."""
    worker = exiting(stage, jobs=["quick"])
    until(lambda: stage.stat("processed") == 1, lambda: worker.said)
    worker.until_title("Forked")
    stage.open_gate()
    worker.until_idle()
    assert worker.stop() == 0


def test_told_to_wait_for_the_exit(stage: Stage) -> None:
    """With --no-overlap nothing is known of a job before its child has ended."""
    worker = exiting(stage, "--no-overlap", jobs=["quick", "quick"])
    assert (stage.stat("processed"), len(stage.queue())) == (0, 1)
    for _ in range(2):
        stage.open_gate()
    until(lambda: stage.stat("processed") == 2, lambda: worker.said)
    assert worker.stop() == 0


def test_a_death_after_the_last_word(stage: Stage) -> None:
    """The job is done, and the log tells of the death."""
    worker = exiting(stage, jobs=["quick"], status=7)
    until(lambda: stage.stat("processed") == 1, lambda: worker.said)
    (child,) = worker.children
    stage.open_gate()
    worker.until_said(f"Child {child} ended with status 7 when it had finished")
    assert (stage.stat("failed"), stage.failed()) == (0, [])
    assert worker.stop() == 0


def test_a_failure_and_a_death_after_the_last_word(stage: Stage) -> None:
    """The failed entry says what the job raised."""
    worker = exiting(stage, jobs=["chained"], status=7)
    [entry] = stage.failed(1)
    assert entry["exception"] == "RuntimeError"
    stage.open_gate()
    worker.until_said("ended with status 7 when it had finished")
    assert worker.stop() == 0
    assert len(stage.failed()) == 1


def test_a_death_that_is_waited_for(stage: Stage) -> None:
    """With --no-overlap a child that does not exit well has lost its job."""
    worker = exiting(stage, "--no-overlap", jobs=["quick"], status=7)
    stage.open_gate()
    [entry] = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["error"].endswith("exit 7")
    assert worker.stop() == 0
    assert "when it had finished" not in worker.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_stopped_while_a_child_exits(stage: Stage, number: signal.Signals) -> None:
    """The job that was reserved and not begun goes back to its queue."""
    worker = exiting(stage, jobs=["quick", "hold"])
    until(lambda: stage.stat("processed") == 1 and not stage.queue(), lambda: worker.said)
    worker.send(number)
    worker.until_said("Exiting...")
    stage.open_gate()
    assert worker.ended() == 0, worker.said
    assert len(stage.queue()) == 1
    assert (stage.stat("processed"), stage.failed()) == (1, [])
    assert "(Job{jobs} | hold | []) was stopped and goes back to its queue" in worker.said
    stage.assert_left(worker)


def test_killed_while_a_child_exits(stage: Stage) -> None:
    """The job whose child exits is done, the reserved one is rescued like any other."""
    worker = exiting(stage, jobs=["quick", "hold"])
    until(lambda: stage.stat("processed") == 1 and not stage.queue(), lambda: worker.said)
    worker.kill()
    stage.idle()
    [entry] = stage.failed(1)
    assert entry["payload"]["class"] == "hold"
    assert stage.stat("processed") == 1
