"""Ctrl-C where a worker was started by hand: the first finishes the job, the second stops it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from terminal import Terminal

from .harness import Running, Stage, until

FINISHING = "Finishing the running job; Ctrl-C again stops it"


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def holding(stage: Stage, terminal: Terminal, *options: str) -> Running:
    """A worker in the terminal, in the middle of a job."""
    stage.push("hold")
    worker = stage.work_in(terminal, *options)
    stage.told("begun", by=worker)
    return worker


def test_the_first_ctrl_c_finishes_the_job(stage: Stage, terminal: Terminal) -> None:
    """The worker says so, takes no other job, and leaves when the job is done."""
    worker = holding(stage, terminal)
    stage.push("quick")
    terminal.press_ctrl_c()
    worker.until_said(FINISHING)
    stage.open_gate()
    assert worker.ended() == 0
    assert (stage.stat("processed"), stage.failed(), len(stage.queue())) == (1, [], 1)


def test_the_second_ctrl_c_stops_the_job(stage: Stage, terminal: Terminal) -> None:
    """As TERM does: the job is in the failed list."""
    worker = holding(stage, terminal)
    terminal.press_ctrl_c()
    worker.until_said(FINISHING)
    terminal.press_ctrl_c()
    assert worker.ended() == 0
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]


def test_ctrl_c_ends_an_idle_worker(stage: Stage, terminal: Terminal) -> None:
    """At once, and without a word about a job."""
    worker = stage.work_in(terminal).until_idle()
    terminal.press_ctrl_c()
    assert worker.ended() == 0
    assert FINISHING not in worker.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_elsewhere_the_first_one_stops_the_job(
    stage: Stage, terminal: Terminal, number: int
) -> None:
    """TERM is never softened, and neither is INT outside a terminal's foreground."""
    if number == signal.SIGTERM:
        worker = holding(stage, terminal)
    else:
        worker, _ = stage.holding()
    worker.send(number)
    assert worker.ended() == 0
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]
    assert FINISHING not in worker.said


def test_without_a_child_ctrl_c_stops_the_job(stage: Stage, terminal: Terminal) -> None:
    """With --no-fork-per-job it is raised in the job, as in any program."""
    worker = holding(stage, terminal, "--no-fork-per-job")
    terminal.press_ctrl_c()
    assert worker.ended() == 0
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]


def test_a_supervisor_decides_for_its_workers(stage: Stage, terminal: Terminal) -> None:
    """The first Ctrl-C finishes the jobs of all, the second stops those that still run."""
    stage.push("hold")
    stage.push("hold")
    supervisor = stage.work_in(terminal, "--count=2")
    stage.told("begun", by=supervisor)
    stage.told("begun", by=supervisor)
    terminal.press_ctrl_c()
    supervisor.until_said("Finishing the running jobs; Ctrl-C again stops them")
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1, lambda: supervisor.said)
    terminal.press_ctrl_c()
    assert supervisor.ended() == 0
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]
