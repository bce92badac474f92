"""``status``: what has become of a tracked job."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from resque_fork import Receipt, Resque, job
from resque_fork.wire.status import status_text


@pytest.fixture
def receipt(redis_url: str, own_jobs: None) -> Receipt:
    """Of a job that was just queued."""

    @job(queue="reports", track=True)
    def report(month: str) -> None: ...

    found = Resque(redis_url).enqueue(report, "May")
    assert isinstance(found, Receipt)
    return found


def written(redis: Redis, receipt: Receipt, state: str, **more: Any) -> None:
    text = status_text(receipt.id, state, "report", "reports", **more)
    redis.set(f"resque:status:{receipt.id}", text)


def test_what_is_known(run: Any, receipt: Receipt) -> None:
    """Its state, its class and its queue, and since when."""
    lines = run("status", receipt.id).stdout.splitlines()
    assert lines[:4] == [
        f"id:          {receipt.id}",
        "state:       queued",
        "class:       report",
        "queue:       reports",
    ]
    assert lines[4].startswith("created at:  20")


def test_for_programs(run: Any, redis: Redis, receipt: Receipt) -> None:
    """All of it as an object, with times in ISO 8601."""
    written(redis, receipt, "failed", message="ValueError: no such month")
    found = json.loads(run("status", receipt.id, "--json").stdout)
    assert found.pop("created_at").endswith("Z")
    assert found == {
        "id": receipt.id,
        "state": "failed",
        "class": "report",
        "queue": "reports",
        "message": "ValueError: no such month",
        "due_at": None,
    }


def test_nothing_is_known(run: Any) -> None:
    """A sentence says why that may be."""
    said = run("status", "abc", status=1).stderr
    assert said == (
        "resque-fork: Nothing is known of a job abc: it is not tracked, or it has ended and its "
        "status has expired.\n"
    )


@pytest.mark.parametrize(("end", "status"), [("completed", 0), ("failed", 1), ("killed", 1)])
def test_followed_to_its_end(
    start: Any, redis: Redis, receipt: Receipt, end: str, status: int
) -> None:
    """Each change is shown once; the exit status says whether the job was completed."""
    process = start("status", receipt.id, "--follow", "--json", env={"PYTHONUNBUFFERED": "1"})
    assert json.loads(process.stdout.readline())["state"] == "queued"
    written(redis, receipt, "working")
    assert json.loads(process.stdout.readline())["state"] == "working"
    written(redis, receipt, end)
    assert json.loads(process.stdout.readline())["state"] == end
    assert process.stdout.read() == ""
    assert process.wait() == status


def test_a_hostile_status(run: Any, redis: Redis, receipt: Receipt) -> None:
    """What others have written cannot speak to the terminal."""
    written(redis, receipt, "failed", message="\x1b[31mred\n")
    assert "message:     \\x1b[31mred\\n" in run("status", receipt.id).stdout
