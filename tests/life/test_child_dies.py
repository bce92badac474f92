"""A child dies: its failed entry says how and where, and the next job is not harmed."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from .harness import Stage, title_of


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGABRT, signal.SIGFPE, signal.SIGXCPU, signal.SIGPIPE],
    ids=lambda number: number.name,
)
def test_killed_child_explained(stage: Stage, number: signal.Signals) -> None:
    """A child killed by a signal fails as DirtyExit in Ruby's words, with the signal's name."""
    if number == signal.SIGPIPE:  # Python ignores it, so it takes another to die of it
        entry = stage.failure_of("die_of_sigpipe")
    else:
        entry = stage.failure_of("kill_self", int(number))
    assert entry["exception"] == "Resque::DirtyExit"
    assert re.fullmatch(
        rf"Child process received unhandled signal pid \d+ {number.name} \(signal {int(number)}\)",
        entry["error"],
    )
    assert entry["backtrace"] == []
    assert (stage.stat("processed"), stage.stat("failed")) == (
        2,
        1,
    )  # the other is `quick`
    assert entry["forensics"]["signal"] == number.name
    assert "exit_status" not in entry["forensics"]


def test_killed_by_a_realtime_signal(stage: Stage) -> None:
    """It has no name of its own, only a number."""
    entry = stage.failure_of("kill_self", int(signal.SIGRTMIN) + 3)
    assert entry["forensics"]["signal"] in ("SIGRTMIN+3", f"SIG{int(signal.SIGRTMIN) + 3}")


@pytest.mark.parametrize("status", [0, 1, 3, 70, 255])
def test_leaving_without_a_report_is_a_failure(stage: Stage, status: int) -> None:
    """``os._exit`` in a job, or a library's ``exit``: no report, no success, 0 included."""
    entry = stage.failure_of("leave", status)
    assert entry["exception"] == "Resque::DirtyExit"
    assert re.fullmatch(
        rf"Child process exited without finishing its job pid \d+ exit {status}", entry["error"]
    )
    assert entry["forensics"]["exit_status"] == status
    assert "signal" not in entry["forensics"]


@pytest.mark.parametrize("status", [0, 3, "no"])
def test_sys_exit_fails_as_system_exit(stage: Stage, status: object) -> None:
    """As in Resque, whatever the status."""
    entry = stage.failure_of("exit_with", status)
    assert entry["exception"] == "SystemExit"
    assert entry["error"] == str(status)
    assert entry["backtrace"][0].startswith(os.path.dirname(__file__))


def test_a_base_exception_is_a_failure(stage: Stage) -> None:
    """Recorded under its own name like any other."""
    entry = stage.failure_of("raise_base_exception")
    assert (entry["exception"], entry["error"]) == ("Unusual", "not an Exception")


def test_an_exception_has_its_backtrace(stage: Stage) -> None:
    """Innermost first, without our frames, with what the job used."""
    entry = stage.failure_of("boom", "böom\nsecond line")
    assert (entry["exception"], entry["error"]) == ("ValueError", "böom\nsecond line")
    assert re.fullmatch(r".*/tests/life/jobs/everyday\.py:\d+:in boom", entry["backtrace"][0])
    assert not any("/resque_fork/" in line for line in entry["backtrace"])
    assert set(entry["forensics"]) == {"rss_growth_kb", "user_ms", "system_ms", "wall_ms"}
    assert all(type(value) is int for value in entry["forensics"].values())


def test_a_segfault_names_the_python_line(stage: Stage) -> None:
    """The stack of the crash, from faulthandler, down to the job's own frame and no further."""
    entry = stage.failure_of("segfault")
    assert entry["forensics"]["signal"] == "SIGSEGV"
    stack = entry["forensics"]["stack"]
    assert stack[0] == "Fatal Python error: Segmentation fault"
    assert any(re.search(r'dying\.py", line \d+ in segfault', line) for line in stack)
    assert not any("/resque_fork/" in line for line in stack)
    assert "stderr" not in entry["forensics"]


def test_a_stack_is_not_told_twice(stage: Stage) -> None:
    """What one child left is forgotten when the next one dies of something else."""
    worker = stage.idle()
    stage.push("segfault")
    stage.push("kill_self", 9)
    first, second = stage.failed(2)
    assert "stack" in first["forensics"]
    assert "stack" not in second["forensics"]
    assert worker.stop() == 0


def test_the_wall_clock_is_told(stage: Stage) -> None:
    """What the kernel knows of the dead child: times in milliseconds."""
    worker, child = stage.holding()
    began = time.monotonic()
    time.sleep(0.2)  # not to synchronise: to be measured
    os.kill(child, signal.SIGKILL)
    [entry] = stage.failed(1)
    lasted = (time.monotonic() - began) * 1000
    told = entry["forensics"]
    assert 200 <= told["wall_ms"] <= lasted + 1000
    assert told["user_ms"] >= 0
    assert told["system_ms"] >= 0
    assert worker.stop() == 0


@pytest.mark.parametrize("name", ["close_everything", "close_everything_and_open"])
def test_a_job_that_closes_every_descriptor(stage: Stage, name: str) -> None:
    """It can say nothing any more, so it has failed, and disturbs nobody."""
    entry = stage.failure_of(name)
    assert entry["exception"] == "Resque::DirtyExit"
    junk = stage.directory / "junk"
    assert not junk.exists() or junk.read_bytes() == b""


def test_the_title_of_a_dead_child_is_not_shown_for_long(stage: Stage) -> None:
    """When the outcome is written, the child has been reaped."""
    worker, child = stage.holding()
    os.kill(child, signal.SIGKILL)
    stage.failed(1)
    assert title_of(child) == ""
    assert worker.stop() == 0
