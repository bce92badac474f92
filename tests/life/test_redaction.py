"""A job's secret arguments reach the job, and stand in no record of its failure."""

from __future__ import annotations

import json

import pytest

from resque_fork.job.redaction import REDACTED

from .harness import Running, Stage, until

ARGS = ("hunter2", {"user": "ada", "password": "hunter2"})
SHOWN = [REDACTED, {"user": "ada", "password": REDACTED}]


def work(stage: Stage, *options: str) -> Running:
    return stage.work("-vv", *options, require="more_jobs")


@pytest.mark.parametrize("options", [(), ("--jobs-per-fork", "3"), ("--no-fork-per-job",)])
def test_a_job_that_fails(stage: Stage, options: tuple[str, ...]) -> None:
    """Its failed entry shows neither argument nor key of that name, nor does the log."""
    stage.push("login", "fail", *ARGS)
    worker = work(stage, *options)
    assert stage.told("login", by=worker)["password"] == "hunter2"
    [entry] = stage.failed(1)
    assert entry["payload"] == {"class": "login", "args": ["fail", *SHOWN]}
    assert worker.stop() == 0
    assert "login" in worker.said
    assert "hunter2" not in worker.said


def test_a_job_that_dies(stage: Stage) -> None:
    """Its parent, who records it, hides as much; as a poison pill, too."""
    stage.push("login", "die", *ARGS)
    stage.push("login", "die", *ARGS)
    worker = work(stage, "--on-lost", "requeue", "--max-attempts", "2")
    stage.told("login", by=worker)
    for entry in stage.failed(2):
        assert entry["exception"] == "ResqueFork::PoisonPill"
        assert entry["payload"]["args"] == ["die", *SHOWN]
    assert worker.stop() == 0


@pytest.mark.parametrize("backend", ["redis", "more_jobs:Telling"])
def test_a_job_that_was_rescued(stage: Stage, backend: str) -> None:
    """So does another worker that has loaded the same application."""
    stage.push("login", "hold", *ARGS)
    worker = work(stage)
    stage.told("login", by=worker)
    worker.until_title("Forked")
    worker.kill()
    other = work(stage, "--failure-backend", backend)
    [entry] = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["payload"]["args"] == ["hold", *SHOWN]
    assert other.stop() == 0


def test_other_backends(stage: Stage) -> None:
    """What goes to a tracker is as bare."""
    stage.push("login", "fail", *ARGS)
    stage.push("login", "die", *ARGS)
    worker = work(stage, "--failure-backend", "more_jobs:Telling")
    for how in ("fail", "die"):
        assert stage.told("saved", by=worker)["payload"]["args"] == [how, *SHOWN]
    assert worker.stop() == 0


def test_a_dashboard_queues_it_again(stage: Stage) -> None:
    """Without its arguments it is not performed, but fails and says why."""
    stage.push("login", "fail", *ARGS)
    worker = work(stage)
    stage.told("login", by=worker)
    [entry] = stage.failed(1)
    stage.push_raw(json.dumps(entry["payload"]).encode())  # as Ruby's Resque::Failure.requeue
    again = stage.failed(2)[1]
    assert again["exception"] == "ResqueFork::UnreadablePayload"
    assert again["error"] == (
        "The payload cannot be performed: it was queued again from a failed entry in which "
        "arguments are redacted. Enqueue the job with its own arguments."
    )
    assert again["payload"] == entry["payload"]
    assert stage.nothing_told("login")
    until(lambda: stage.stat("failed") == 2)
    assert worker.stop() == 0
