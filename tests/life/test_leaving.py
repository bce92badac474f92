"""A job has been performed, and its child has yet to leave: exit functions, handlers, threads."""

from __future__ import annotations

import pytest

from .harness import Stage, is_alive, until


@pytest.mark.parametrize(("how", "told"), [("kill", "SIGKILL"), ("exit", 7)])
def test_a_death_after_performed_is_a_failure(stage: Stage, how: str, told: object) -> None:
    """Performed, and then dead before it had flushed: that is not done."""
    entry = stage.failure_of("die_while_leaving", how)
    assert entry["exception"] == "Resque::DirtyExit"
    assert told in (entry["forensics"].get("signal"), entry["forensics"].get("exit_status"))


def test_a_child_that_does_not_leave_is_killed_and_done(stage: Stage) -> None:
    """Performed, and then in no hurry to exit: it is killed at the deadline, with a warning."""
    worker = stage.idle(env=stage.environment(LIFE_LEAVE_SECONDS="0.3"), require="impatient")
    stage.push("leave_late")
    child = stage.told("flushing", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    assert f"Child {child} was killed after its job was done" in worker.said
    assert not is_alive(child)
    assert stage.failed() == []
    assert worker.stop() == 0
    assert stage.stat("processed") == 2


def test_a_stop_does_not_wait_for_ever_for_a_child_to_leave(stage: Stage) -> None:
    """Told to stop meanwhile, the worker still leaves in order."""
    worker = stage.idle(env=stage.environment(LIFE_LEAVE_SECONDS="0.5"), require="impatient")
    stage.push("leave_late")
    stage.told("flushing", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 1


def test_a_job_that_leaves_a_thread_behind(stage: Stage) -> None:
    """A thread does not keep the child from leaving."""
    worker = stage.idle()
    stage.push("with_threads")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 2


def test_exit_hooks_skipped_by_default(stage: Stage) -> None:
    """atexit functions are the parent's business."""
    worker = stage.idle()
    stage.push("register_exit_hook")
    stage.push("quick")
    messages = []
    until(lambda: messages.extend(stage.everything_told()) or "quick" in str(messages))
    assert "at exit" not in str(messages)
    assert worker.stop() == 0


def test_exit_hooks_run_when_asked(stage: Stage) -> None:
    """With --run-at-exit-hooks they run in the child, and are no failure."""
    worker = stage.idle("--run-at-exit-hooks")
    stage.push("register_exit_hook")
    message = stage.told("at exit", by=worker)
    assert message["parent"] == worker.pid
    worker.until_idle()
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_an_exit_hook_that_raises_is_no_failure(stage: Stage) -> None:
    """The job had been performed; what its exit hooks do is shown, and that is all."""
    worker = stage.idle("--run-at-exit-hooks")
    stage.push("register_exit_hook", "raise")
    stage.told("at exit", by=worker)
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    assert stage.failed() == []
