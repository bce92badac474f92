"""What the log says of each end of a job."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from resque_fork.failure import Failure
from resque_fork.job.reservation import Reservation
from resque_fork.job.retry import Retry
from resque_fork.policies import Action, Outcome
from resque_fork.wire.job import Payload
from resque_fork.worker.job_log import log_end

JOB = Reservation("mail", Payload.of("Charge", [7]))
USED = {"user_ms": 2, "system_ms": 1, "wall_ms": 312, "rss_growth_kb": 64}
FAILURE = Failure("ValueError", "no", ["/app/jobs.py:121:in charge", "/app/b.py:2:in run"], USED)


def told(
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome,
    action: Action,
    job: Reservation = JOB,
    level: int = logging.INFO,
) -> Any:
    caplog.clear()
    with caplog.at_level(level, "resque_fork"):
        log_end(job, outcome, action)
    return caplog.records[0] if caplog.records else None


def test_done(caplog: pytest.LogCaptureFixture) -> None:
    """How long it took; nothing without -v."""
    record = told(caplog, Outcome("done", used=USED), Action("done"))
    assert record.getMessage() == "done: (Job{mail} | Charge | [7]) in 0.312 s"
    assert record.fields == {
        "job": "(Job{mail} | Charge | [7])",
        "queue": "mail",
        "class": "Charge",
        "attempt": 1,
        "outcome": "done",
        "wall_ms": 312,
        "cpu_ms": 3,
        "rss_growth_kb": 64,
    }
    assert told(caplog, Outcome("done"), Action("done")).getMessage().endswith("[7])")
    assert told(caplog, Outcome("done"), Action("done"), level=logging.WARNING) is None


def test_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Where it failed, and with -v how it came there."""
    outcome, action = Outcome("failed", FAILURE), Action("failed", FAILURE)
    record = told(caplog, outcome, action)
    line = "(Job{mail} | Charge | [7]) failed: ValueError: no"
    assert record.getMessage() == f"{line} (jobs.py:121 in charge)"
    assert list(record.backtrace) == FAILURE.backtrace
    assert record.fields["exception"] == "ValueError"
    assert (record.fields["outcome"], record.fields["wall_ms"]) == ("failed", 312)
    assert not told(caplog, outcome, action, level=logging.WARNING).backtrace
    bare = replace(FAILURE, backtrace=["caused by X"])
    assert told(caplog, Outcome("failed", bare), Action("failed", bare)).getMessage() == line
    mute = replace(bare, exception="KeyboardInterrupt", error="")
    record = told(caplog, Outcome("failed", mute), Action("failed", mute))
    assert record.getMessage() == "(Job{mail} | Charge | [7]) failed: KeyboardInterrupt"


def test_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Which attempt it was, and when the next is."""
    job = replace(JOB, declared=Retry(5), failures=1)
    record = told(caplog, Outcome("failed", FAILURE), Action("later", FAILURE, 31.0), job)
    assert record.getMessage() == (
        "(Job{mail} | Charge | [7]) failed: ValueError: no. Attempt 2 of 6, again in 31 s "
        "(jobs.py:121 in charge)"
    )
    assert (record.levelno, record.fields["attempt"]) == (logging.WARNING, 2)
    sentence = replace(FAILURE, error="It is closed.", backtrace=[])
    record = told(caplog, Outcome("failed", sentence), Action("failed", sentence), job)
    assert record.getMessage().endswith("failed: ValueError: It is closed. Attempt 2 of 6")
