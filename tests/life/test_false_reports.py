"""A job, or a copy of its child, writes into the report pipe: only the child itself reports."""

from __future__ import annotations

import json
import re
import signal

import pytest

from .harness import Stage, until


def test_a_job_that_forks_and_returns_twice(stage: Stage) -> None:
    """One job, one outcome: the copy has nothing to say."""
    worker = stage.idle()
    stage.push("return_twice")
    until(lambda: stage.stat("processed") == 1)
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.failed()) == (2, [])


def test_what_a_copy_of_the_child_says_does_not_count(stage: Stage) -> None:
    """Only the process that was forked for a job can say how it went."""
    entry = stage.failure_of("copy_fails")
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["forensics"]["signal"] == "SIGKILL"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"report":"performed"}',
        '{"report":"failed","final":true,"leaving":false,"used":{},"exception":5}',
        '{"report":"handled","saved":true,"exception":"E","error":"e","backtrace":[[]]}',
        '{"report":["performed"]}',
    ],
)
def test_a_report_that_is_none(stage: Stage, text: str) -> None:
    """A job that speaks for its child, but not its language, dies, and its worker does not."""
    stage.push("babble", text)
    stage.push("quick")
    worker = stage.work(require="more_jobs")
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    assert "sent something that is no report: not" in worker.said
    (entry,) = stage.failed(1)
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert re.fullmatch(
        r"Child process \d+ was killed: what it sent to its worker is not a report \(not .*\)",
        entry["error"],
    )
    assert worker.stop() == 0


USED = {"rss_growth_kb": 0, "user_ms": 0, "system_ms": 0, "wall_ms": 0}
PERFORMED = json.dumps({"report": "performed", "used": USED, "result": ""})
FAILED = json.dumps(
    {
        "report": "failed",
        "final": False,
        "leaving": False,
        "after_term": False,
        "left_to_worker": False,
        "action": "",
        "seconds": 0.0,
        "counts": True,
        "exception": "E",
        "error": "e",
        "used": USED,
        "backtrace": [],
    }
)
HANDLED = json.dumps(
    {"report": "handled", "saved": True, "exception": "E", "error": "e", "backtrace": []}
)
READ = json.dumps({"report": "read", "class": "quick", "portable": True})


@pytest.mark.parametrize(
    "bodies",
    [
        [PERFORMED, PERFORMED],
        [PERFORMED, "garbage"],
        [PERFORMED, FAILED],
        [PERFORMED, HANDLED],
        [HANDLED],
        [READ, PERFORMED],
        ["garbage", PERFORMED],
    ],
    ids=lambda bodies: " ".join(body[12:21] for body in bodies),
)
def test_reports_that_do_not_follow(stage: Stage, bodies: list[str]) -> None:
    """A second outcome, or one of another job: killed and failed, whatever was said before."""
    stage.push("frames", *bodies)
    stage.push("quick")
    worker = stage.work("--on-lost", "requeue", require="more_jobs")
    stage.told("quick", by=worker)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert "what it sent to its worker is not a report" in entry["error"]
    assert worker.stop() == 0
    assert stage.stat("processed") == 2


def test_reports_between_two_jobs(stage: Stage) -> None:
    """A child that performs many and says more than it should performs no other job."""
    stage.push("frames", PERFORMED, "garbage")
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "9", require="more_jobs")
    first = stage.told("begun", by=worker)["pid"]
    assert stage.told("quick", by=worker)["pid"] != first
    worker.until_said("sent something that is no report: ")
    assert worker.stop() == 0


def test_failure_that_was_told_stays(stage: Stage) -> None:
    """Garbage behind it does not make it another one."""
    stage.push("frames", FAILED, FAILED)
    worker = stage.work(require="more_jobs")
    (entry,) = stage.failed(1)
    assert (entry["exception"], entry["error"]) == ("E", "e")
    assert worker.stop() == 0


def test_beginning_of_a_message(stage: Stage) -> None:
    """Bytes that are no message, in front of the child's own report, make it none."""
    stage.push("unfinished_frame")
    stage.push("quick")
    worker = stage.work(require="more_jobs")
    stage.told("quick", by=worker)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert worker.stop() == 0


@pytest.mark.parametrize("stop", [signal.SIGQUIT, signal.SIGTERM, None])
def test_who_goes_on_talking_is_stopped(stage: Stage, stop: int | None) -> None:
    """It escapes neither its limit of time nor the worker's end, however often it says "done"."""
    stage.push("talk_on")
    worker = stage.work("--timeout", "60", "--term-timeout", "30", require="more_jobs")
    stage.told("begun", by=worker)
    (entry,) = stage.failed(1)
    assert (
        "what it sent to its worker is not a report ('performed' after 'performed')"
        in entry["error"]
    )
    assert worker.stop(stop or signal.SIGQUIT) == 0
