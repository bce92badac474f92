"""TERM and limits reach a job wherever it is, and what becomes of one that leaves otherwise."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from .harness import SOURCES, Running, Stage, until

TERM = signal.SIGTERM
IN_PLACE = "--no-fork-per-job"
LIMIT = "The job ran longer than its limit of 0.3 seconds"
LOOPS = pytest.mark.parametrize("how", ["callback", "side_task", "gather", "waiting"])
MODES = pytest.mark.parametrize("mode", ["--fork-per-job", IN_PLACE])


def begun(stage: Stage, name: str, *args: Any, options: tuple[str, ...] = ()) -> Running:
    """A worker whose job has begun, and has time to put things in order."""
    stage.push(name, *args)
    worker = stage.work("--term-timeout", "30", *options, require="stopped_jobs")
    stage.told("begun", by=worker)
    return worker


@MODES
@LOOPS
def test_term_in_an_event_loop(stage: Stage, how: str, mode: str) -> None:
    """In a callback, a task, or while the loop waits: the job is stopped, and cleans up."""
    worker = begun(stage, "in_a_loop", how, options=(mode,))
    assert worker.stop(TERM) == 0
    stage.told("in order")
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


@LOOPS
def test_a_limit_in_an_event_loop(stage: Stage, how: str) -> None:
    """Likewise."""
    begun(stage, "in_a_loop", how, options=("--timeout", "0.3"))
    stage.told("in order")
    [entry] = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("ResqueFork::JobTimeout", LIMIT)


@MODES
def test_a_job_that_suppresses_system_exit_is_done(stage: Stage, mode: str) -> None:
    """It was stopped and returned all the same: a warning names it."""
    worker = begun(stage, "swallow_exit", options=(mode,))
    assert worker.stop(TERM) == 0
    stage.told("returned")
    said = "WARNING: (Job{jobs} | swallow_exit | []) was sent TERM and returned: it is done"
    assert said in worker.said
    assert stage.failed() == []
    assert stage.stat("processed") == 1


def test_a_limit_that_is_swallowed_is_a_failure(stage: Stage) -> None:
    """A job over its limit has failed, also if it returns; the entry shows where it was."""
    begun(stage, "swallow_exit", options=("--timeout", "0.3"))
    stage.told("returned")
    [entry] = stage.failed(1)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["error"] == f"{LIMIT} (sent: JobTimeout)"
    assert any("in swallow_exit" in line for line in entry["backtrace"])


def test_a_limit_that_is_swallowed_and_then_an_exit(stage: Stage) -> None:
    """What is no Exception does not hide the limit either."""
    begun(stage, "swallow_exit", "exit", options=("--timeout", "0.3"))
    assert stage.failed(1)[0]["exception"] == "ResqueFork::JobTimeout"


def test_an_error_after_a_limit_is_the_jobs_own(stage: Stage) -> None:
    """An ordinary exception says what went wrong when the job put things in order."""
    begun(stage, "swallow_exit", "raise", options=("--timeout", "0.3"))
    [entry] = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("ValueError", "for a reason")


def test_hooks_hear_of_a_swallowed_limit_once(stage: Stage) -> None:
    """on_failure has the JobTimeout."""
    stage.push("Sad")
    worker = stage.work("--timeout", "0.3", "--interval", "0", require="stopped_jobs")
    assert worker.ended() == 0
    [sad] = [message["error"] for message in stage.everything_told() if message["what"] == "sad"]
    assert sad == f"JobTimeout: {LIMIT} (sent: JobTimeout)"


def test_a_swallowed_term_is_not_the_next_jobs(stage: Stage) -> None:
    """With --jobs-per-fork the next job in the process hears TERM again."""
    stage.push("swallow_exit")
    stage.push("hold")
    worker = stage.work("--jobs-per-fork", "5", require="stopped_jobs")
    child = stage.told("begun", by=worker)["pid"]
    os.kill(child, TERM)
    stage.told("returned", by=worker)
    assert stage.told("begun", by=worker)["pid"] == child
    worker.send(signal.SIGUSR1)
    stage.told("stopped", by=worker)
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


@pytest.mark.parametrize("how", ["exit", "interrupt", "clean-up"])
@MODES
def test_what_a_stop_explains_goes_back(stage: Stage, how: str, mode: str) -> None:
    """A handler of the job's own that exits, and an error that comes of TermException: stopped."""
    options = ("--on-term", "requeue", mode)
    worker = begun(stage, "stop_in_words_of_its_own", how, options=options)
    assert worker.stop(TERM) == 0
    assert stage.failed() == []
    assert len(stage.queue()) == 1
    if how == "clean-up" and mode != IN_PLACE:
        assert "was stopped, and raised RuntimeError: in clean-up" in worker.said


@pytest.mark.parametrize(
    ("how", "error"),
    [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("clean-up", "RuntimeError")],
)
def test_what_a_stop_explains_fails_in_its_own_words(stage: Stage, how: str, error: str) -> None:
    """Without --on-term=requeue."""
    worker = begun(stage, "stop_in_words_of_its_own", how)
    assert worker.stop(TERM) == 0
    assert stage.failed(1)[0]["exception"] == error


@MODES
def test_an_error_of_the_jobs_own_handler_is_a_failure(stage: Stage, mode: str) -> None:
    """An ordinary exception that does not come of TermException is the job's own."""
    options = ("--on-term", "requeue", mode)
    worker = begun(stage, "stop_in_words_of_its_own", "raise", options=options)
    assert worker.stop(TERM) == 0
    assert stage.failed(1)[0]["exception"] == "RuntimeError"
    assert stage.queue() == []


def test_an_exit_without_a_stop_is_a_failure(stage: Stage) -> None:
    """sys.exit() in a job fails, whatever --on-term says, and also while its worker waits."""
    stage.push("exit_with", 0)
    worker = stage.work("--on-term", "requeue", "--interval", "0")
    assert worker.ended() == 0
    assert stage.failed(1)[0]["exception"] == "SystemExit"


@pytest.mark.parametrize(("name", "failed"), [("wrong_report", False), ("right_report", True)])
@pytest.mark.parametrize("limit", [False, True])
def test_what_the_page_shows(stage: Stage, name: str, failed: bool, limit: bool) -> None:
    """A job that swallows SystemExit does not notice a stop; one as on the page does."""
    page = (SOURCES / "docs" / "signals.md").read_text("utf-8")
    [code] = [code for code in re.findall(r"```python\n(.*?)```", page, re.S) if name in code]
    (stage.directory / "shown.py").write_text(code, "utf-8")
    stage.push(name, queue="reports")
    options = ("--timeout", "0.5") if limit else ()
    worker = stage.work("--term-timeout", "30", *options, queues="reports", require="shown")
    worker.until_said("reporting")
    if limit:
        assert stage.failed(1)[0]["exception"] == "ResqueFork::JobTimeout"
        return
    assert worker.stop(TERM) == 0
    assert [entry["exception"] for entry in stage.failed()] == ["Resque::TermException"] * failed
    assert ("was sent TERM and returned" in worker.said) is not failed


# --- somebody else in the worker's process waits for its children


def robbed(stage: Stage, *options: str) -> Running:
    env = stage.environment(LIFE_REAPER="1")
    return stage.work(*options, require="stopped_jobs", env=env)


@pytest.mark.parametrize("more", [[], ["--jobs-per-fork", "3"], ["--no-fork-ahead"]])
def test_a_child_whose_end_is_not_known(stage: Stage, more: list[str]) -> None:
    """What was performed is done, once; why its end is not known is said once."""
    for number in range(5):
        stage.push("quick", number)
    worker = robbed(stage, "--interval", "0", "--on-lost", "requeue", *more)
    assert worker.ended() == 0
    told = [message["args"] for message in stage.everything_told() if message["what"] == "quick"]
    assert told == [[number] for number in range(5)]
    assert stage.failed() == []
    assert stage.stat("processed") == 5
    assert worker.said.count("waits for its children") <= 1  # the worker may have been faster


def test_a_death_that_is_not_known(stage: Stage) -> None:
    """Without a report the job is lost, and no exit status is made up."""
    stage.push("leave", 0)
    stage.push("FailureHook", "die")
    env = stage.environment(LIFE_REAPER="faster")
    worker = stage.work("--interval", "0", require="stopped_jobs", env=env)
    assert worker.ended() == 0
    assert stage.told("on_failure")["error"].startswith("DirtyExit: ")
    for entry in stage.failed(2):
        assert entry["exception"] == "Resque::DirtyExit"
        assert "its exit status is not known: something else in the worker's" in entry["error"]
        assert "exit_status" not in entry["forensics"]
        assert "user_ms" not in entry["forensics"]
    assert worker.said.count("waits for its children") == 1


@pytest.mark.parametrize("job", ["hold", "deaf"])
def test_a_stop_whose_end_is_not_known(stage: Stage, job: str) -> None:
    """A child that was told to stop, and killed, has been stopped."""
    stage.push(job)
    worker = robbed(stage, "--on-term", "requeue")
    stage.told("begun", by=worker)
    assert worker.stop(TERM) == 0
    assert len(stage.queue()) == 1
    assert stage.failed() == []


def test_a_supervisor_whose_workers_ends_are_not_known(stage: Stage) -> None:
    """It leaves with 0 when they have left, and workers that have emptied the queues stay away."""
    for number in range(4):
        stage.push("quick", number)
    supervisor = robbed(stage, "--count", "2", "--interval", "0")
    assert supervisor.ended() == 0
    assert stage.stat("processed") == 4
    assert supervisor.said.count("is starting") == 2


def test_a_supervisor_replaces_a_worker_whose_end_is_not_known(stage: Stage) -> None:
    """One that dies is started again, and a stop ends them all."""
    supervisor = robbed(stage, "--count", "2")
    until(lambda: len(stage.workers()) == 2)
    worker = int(stage.workers()[0].split(":")[1])
    os.kill(worker, signal.SIGKILL)
    until(lambda: supervisor.said.count("is starting") == 3)
    assert supervisor.stop(TERM) == 0
