"""A child that is stopped instead of ending: it is seen, and its worker is not stuck with it."""

from __future__ import annotations

import os
import pty
import signal
import sys

import psutil
import pytest

from .harness import Stage, until


def test_no_child_has_a_terminal(stage: Stage) -> None:
    """A job that asks the terminal fails, and is not stopped by the kernel for ever."""
    stage.push("ask_the_terminal")
    command = stage.command("--interval", "0")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(stage.directory)
        os.execve(sys.executable, command, stage.environment())
    [entry] = stage.failed(1)
    assert entry["exception"] == "OSError"
    assert "/dev/tty" in entry["error"]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU, signal.SIGTSTP])
def test_signals_of_a_terminal_stop_none(stage: Stage, number: int) -> None:
    """Without a terminal there is nobody who could let it go on, so the kernel drops them."""
    stage.push("stop_itself", number)
    stage.open_gate()
    worker = stage.work()
    stage.told("goes on", by=worker)
    assert worker.stop() == 0
    assert "was stopped" not in worker.said


def test_it_is_said_once(stage: Stage) -> None:
    """What stopped it, and how it goes on; it may be stopped again and again."""
    stage.push("stop_itself")
    worker = stage.work()
    child = stage.told("begun", by=worker)["pid"]
    worker.until_said(f"Child {child} was stopped by SIGSTOP and does nothing until it gets")
    os.kill(child, signal.SIGCONT)
    stage.told("goes on", by=worker)
    os.kill(child, signal.SIGSTOP)
    os.kill(child, signal.SIGCONT)
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)
    worker.until_title("Waiting for")
    assert worker.said.count(" was stopped by ") == 1
    assert worker.stop() == 0
    assert stage.failed() == []


def test_its_time_limit_holds(stage: Stage) -> None:
    """It is woken for its exception, and can clean up."""
    stage.push("stop_itself")
    worker = stage.work("--timeout", "0.5")
    stage.told("begun", by=worker)
    [entry] = stage.failed(1)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert worker.stop() == 0


def test_term_wakes_it(stage: Stage) -> None:
    """So that the job can act on it, and is not killed for want of an answer."""
    stage.push("stop_itself")
    worker = stage.work("--term-timeout", "10")
    stage.told("begun", by=worker)
    worker.until_said("was stopped by")
    worker.send(signal.SIGTERM)
    stage.told("stopped", by=worker)
    assert worker.ended() == 0
    assert stage.failed(1)[0]["error"] == "SIGTERM"


def test_without_term_it_is_killed(stage: Stage) -> None:
    """KILL needs nobody's help."""
    stage.push("stop_itself")
    worker = stage.work("--no-term-child")
    stage.told("begun", by=worker)
    worker.until_said("was stopped by")
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::DirtyExit"


def test_quit_does_not_wait_in_silence(stage: Stage) -> None:
    """It says what it waits for; the job goes on when somebody lets it."""
    stage.push("stop_itself")
    worker = stage.work()
    child = stage.told("begun", by=worker)["pid"]
    worker.until_said("was stopped by")
    worker.send(signal.SIGQUIT)
    worker.until_said(f"The worker waits for child {child}, which was stopped: kill -CONT {child}")
    os.kill(child, signal.SIGCONT)
    stage.open_gate()
    assert worker.ended() == 0
    assert stage.failed() == []


def test_a_job_that_stops_itself_can_be_ended(stage: Stage) -> None:
    """SIGSTOP sent by a job to itself: it hangs, and USR1 ends it."""
    worker = stage.idle()
    stage.push("kill_self", int(signal.SIGSTOP))
    worker.until_title("Forked")
    child = int(worker.title.split()[2])
    until(lambda: psutil.Process(child).status() == psutil.STATUS_STOPPED)
    worker.send(signal.SIGUSR1)
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert worker.stop() == 0
