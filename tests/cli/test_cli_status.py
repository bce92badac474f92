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
        "num": None,
        "total": None,
        "percent": None,
        "result": None,
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


def test_progress(run: Any, redis: Redis, receipt: Receipt) -> None:
    """How far a job is, as a bar and in numbers."""
    written(redis, receipt, "working", message="pages", num=1500, total=4000)
    lines = run("status", receipt.id).stdout.splitlines()
    assert lines[4:6] == [
        "progress:    [###########...................] 37 %, 1500 of 4000",
        "message:     pages",
    ]
    found = json.loads(run("status", receipt.id, "--json").stdout)
    assert (found["num"], found["total"], found["percent"]) == (1500, 4000, 37)


def test_result(run: Any, redis: Redis, receipt: Receipt) -> None:
    """What the job has returned, as JSON; nothing where no result is kept."""
    written(redis, receipt, "completed", result={"ü": ["\x1b"]})
    assert 'result:      {"ü": ["\\u001b"]}' in run("status", receipt.id).stdout
    assert json.loads(run("status", receipt.id, "--json").stdout)["result"] == {"ü": ["\x1b"]}
    written(redis, receipt, "completed")
    assert "result" not in run("status", receipt.id).stdout


def test_kill(run: Any, redis: Redis, receipt: Receipt) -> None:
    """A job that waits is taken out at once; one that runs is marked for its worker."""
    assert "state:       killed" in run("status", receipt.id, "--kill").stdout
    assert redis.llen("resque:queue:reports") == 0
    written(redis, receipt, "working")
    ended = run("status", receipt.id, "--kill")
    assert "state:       working" in ended.stdout
    assert ended.stderr == ("Its worker ends the job within seconds; status --follow shows when.\n")
    assert redis.smembers("resque:_kill") == {receipt.id.encode()}


@pytest.mark.parametrize(("end", "status"), [("killed", 0), ("completed", 1)])
def test_killed_and_followed(
    start: Any, redis: Redis, receipt: Receipt, end: str, status: int
) -> None:
    """Then the job is to end as killed."""
    written(redis, receipt, "working")
    options = ("--kill", "--follow", "--json")
    process = start("status", receipt.id, *options, env={"PYTHONUNBUFFERED": "1"})
    assert json.loads(process.stdout.readline())["state"] == "working"
    written(redis, receipt, end)
    assert json.loads(process.stdout.readline())["state"] == end
    assert process.wait() == status


def test_kill_of_one_that_has_ended(run: Any, redis: Redis, receipt: Receipt) -> None:
    """It says that nothing was done."""
    written(redis, receipt, "failed")
    ended = run("status", receipt.id, "--kill")
    assert ended.stderr == "The job had ended already: nothing was done.\n"
    assert not redis.exists("resque:_kill")
