"""Jobs with ``retry=``, in real workers: every end of an attempt."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from .harness import Running, Stage, until

TERM, USR1, KILL = signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL
WAYS = pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"], ["--no-fork-per-job"]])


def work(stage: Stage, *options: str, queues: str = "jobs") -> Running:
    """A worker that performs what is there, and leaves."""
    worker = stage.work("--interval", "0", "-v", *options, require="retrying", queues=queues)
    assert worker.ended() == 0, worker.said
    return worker


def holding(stage: Stage, name: str, *options: str) -> tuple[Running, int]:
    return stage.holding(*options, job=name, require="retrying")


def state(stage: Stage) -> dict[str, str]:
    """Of the only job that is retried."""
    [digest] = stage.redis.zrange("resque:fork:retries", 0, -1)  # type: ignore[misc]
    found: Any = stage.redis.hgetall(f"resque:fork:retry:{digest.decode()}")
    return {key.decode(): value.decode() for key, value in found.items()}


def waiting(stage: Stage) -> list[Any]:
    """The items of the delayed set."""
    moments: Any = stage.redis.zrange("resque:delayed_queue_schedule", 0, -1)
    keys = [f"resque:delayed:{moment.decode()}" for moment in moments]
    return [json.loads(raw) for key in keys for raw in stage.redis.lrange(key, 0, -1)]


def nothing_left(stage: Stage) -> bool:
    return not stage.redis.exists("resque:fork:retries", "resque:queue:jobs") and not waiting(stage)


# --- exceptions


@WAYS
def test_attempts_until_it_succeeds(stage: Stage, options: list[str]) -> None:
    """It is performed again, and has never failed; on_retry runs, and not on_failure."""
    stage.push("Flaky", "a", 2)
    worker = work(stage, *options)
    told = [(m["what"], m.get("error"), m.get("seconds")) for m in stage.everything_told()]
    assert told == [
        ("attempt", None, None),
        ("retry", "ConnectionError: refused 1 times", 0),
        ("attempt", None, None),
        ("retry", "ConnectionError: refused 2 times", 0),
        ("attempt", None, None),
    ]
    assert stage.failed() == []
    assert (stage.stat("processed"), stage.stat("failed")) == (3, 0)
    assert nothing_left(stage)
    name = "(Job{jobs} | Flaky | ['a', 2])"
    for number in (1, 2):
        line = f"{name} failed: ConnectionError: refused {number} times. Attempt {number} of 3, "
        assert f"WARNING: {line}again at once" in worker.said
    assert f"done: {name}" in worker.said


@WAYS
def test_attempts_until_it_fails(stage: Stage, options: list[str]) -> None:
    """The last attempt has the failed entry, which tells of all; on_failure runs once."""
    stage.push("Flaky", "a")
    worker = work(stage, *options)
    told = [m["what"] for m in stage.everything_told()]
    assert told == ["attempt", "retry", "attempt", "retry", "attempt", "failure"]
    [entry] = stage.failed()
    assert (entry["exception"], entry["error"]) == ("ConnectionError", "refused 3 times")
    assert entry["payload"] == {"class": "Flaky", "args": ["a"]}
    assert entry["forensics"]["attempts"] == 3
    assert entry["forensics"]["first_failed_at"].endswith(" UTC")
    assert (stage.stat("processed"), stage.stat("failed")) == (3, 1)
    assert nothing_left(stage)
    assert "failed: ConnectionError: refused 3 times. Attempt 3 of 3 (retrying.py:" in worker.said


def test_delayed_attempt(stage: Stage) -> None:
    """It waits in the delayed set, as resque-scheduler would have it wait."""
    stage.push("patient", "ü", 1.0)
    worker = work(stage)
    assert waiting(stage) == [{"class": "patient", "args": ["ü", 1.0], "queue": "jobs"}]
    assert (state(stage)["attempt"], state(stage)["error"]) == ("1", "böom")
    assert "Attempt 1 of 4, again in 16 s" in worker.said
    assert stage.failed() == []


def test_what_others_cannot_read(stage: Stage) -> None:
    """It waits in a form that every scheduler reads, and is performed again as it was."""
    raw = b'{"class":"patient","args":["\\ud800"]}'
    stage.push_raw(raw)
    work(stage)
    [item] = waiting(stage)
    assert item["class"] == "ResqueFork::Unreadable"
    del item["queue"]
    stage.redis.delete("resque:delayed_queue_schedule")
    stage.push_raw(json.dumps(item).encode())
    work(stage)
    assert state(stage)["attempt"] == "2"


@WAYS
def test_large_payload(stage: Stage, options: list[str]) -> None:
    """A job that only its child reads is counted like others."""
    stage.push("Flaky", "x" * 200_000)
    work(stage, *options)
    [entry] = stage.failed()
    assert entry["forensics"]["attempts"] == 3
    assert [m["what"] for m in stage.everything_told()].count("attempt") == 3


def test_retry_later(stage: Stage) -> None:
    """The job says when; that is not an error in the log. In the last attempt it fails."""
    stage.push("come_back", 0)
    worker = work(stage)
    assert "(Job{jobs} | come_back | [0]) is performed again at once, as it asked" in worker.said
    assert "WARNING" not in worker.said
    [entry] = stage.failed()
    assert (entry["exception"], entry["error"]) == ("RetryLater", "again in 0 seconds")


def test_retry_later_that_does_not_count(stage: Stage) -> None:
    """It may do so for ever."""
    stage.push("come_back", "10m", False)
    work(stage)
    for _ in range(3):
        stage.push("come_back", "10m", False)
        work(stage)
    assert state(stage)["attempt"] == "0"
    assert len(waiting(stage)) == 4


def test_retry_later_without_retry(stage: Stage) -> None:
    """Fails, and says why."""
    stage.push("come_back_undeclared")
    work(stage)
    [entry] = stage.failed()
    told = "The job has failed: come_back_undeclared declares no retry=."
    assert entry["error"] == f"again in 600 seconds\n{told}"


def test_give_up(stage: Stage) -> None:
    """The first attempt is the last."""
    stage.push("give_up")
    worker = work(stage)
    [entry] = stage.failed()
    assert (entry["exception"], entry["error"]) == ("GiveUp", "no such address")
    assert entry["forensics"]["attempts"] == 1
    assert "Attempt 1 of 6 (retrying.py:" in worker.said


def test_requeued_by_hand(stage: Stage) -> None:
    """A job that has failed for good begins anew."""
    stage.push("Flaky", "a", 4)
    work(stage)
    stage.run("failed", "requeue", "--all")
    work(stage)
    assert [m["what"] for m in stage.everything_told()].count("attempt") == 5
    assert len(stage.failed()) == 1
    assert nothing_left(stage)


# --- deaths of the child


def test_killed_child(stage: Stage) -> None:
    """A job whose process dies is tried again, and fails with what is known of the last death."""
    stage.push("die")
    work(stage)
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["forensics"]["attempts"] == 2
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)


def test_retry_comes_before_on_lost(stage: Stage) -> None:
    """Whatever that says; what the job does not retry, it decides."""
    stage.push("die")
    work(stage, "--on-lost", "requeue")
    assert len(stage.failed()) == 1
    assert not stage.redis.exists("resque:fork:attempts")


def test_time_limit(stage: Stage) -> None:
    """JobTimeout is an exception like others."""
    stage.push("too_slow")
    work(stage)
    [entry] = stage.failed()
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert entry["forensics"]["attempts"] == 2


def test_another_queue(stage: Stage) -> None:
    """The retry goes where the job says; it is not lost where nobody serves that queue."""
    stage.push("elsewhere")
    work(stage)
    assert len(stage.queue("again")) == 1
    assert b"again" in stage.redis.smembers("resque:queues")  # type: ignore[operator]
    work(stage, queues="again")
    assert stage.failed()[0]["queue"] == "again"


# --- stops


@pytest.mark.parametrize("whom", ["the worker", "the group"])
@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("on_term", ["fail", "requeue"])
def test_deploy_costs_no_attempt(stage: Stage, attempt: int, whom: str, on_term: str) -> None:
    """A job that is stopped with its worker goes to the front of its queue, also in the last
    attempt, and on_failure does not run."""
    if attempt == 2:
        stage.push("held")
        worker, child = holding(stage, "held")
        os.kill(child, KILL)
        child = stage.told("begun", by=worker)["pid"]
    else:
        worker, child = holding(stage, "held", "--on-term", on_term)
    if whom == "the group":  # the worker sees the end of its child together with its own signal
        worker.send(signal.SIGSTOP)
        os.kill(child, TERM)
        stage.told("stopped", by=worker)
    worker.send(TERM, signal.SIGCONT)
    assert worker.ended() == 0
    assert len(stage.queue()) == attempt
    assert stage.failed() == []
    assert stage.redis.exists("resque:fork:retries") == attempt - 1


def test_in_place_deploy(stage: Stage) -> None:
    """Without a child the job is stopped in the worker, and goes back too."""
    stage.push("held")
    worker = stage.work("--no-fork-per-job", require="retrying")
    stage.told("begun", by=worker)
    assert worker.stop(TERM) == 0
    assert len(stage.queue()) == 1
    assert stage.failed() == []


def test_stopped_by_a_person(stage: Stage) -> None:
    """USR1 stops this job, and it fails."""
    worker, _ = holding(stage, "held")
    worker.send(USR1)
    [entry] = stage.failed(1)
    assert entry["exception"] == "Resque::TermException"
    assert worker.stop() == 0
    assert nothing_left(stage)


def test_term_from_somebody_else(stage: Stage) -> None:
    """Is an exception like others: the job is tried again."""
    worker, child = holding(stage, "held")
    os.kill(child, TERM)
    again = stage.told("begun", by=worker)
    assert again["pid"] != child
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0
    assert stage.failed() == []


def test_quit_waits_for_the_attempt(stage: Stage) -> None:
    """A job that fails of itself while its worker stops has used up an attempt."""
    worker, _ = holding(stage, "held_and_fail")
    worker.send(signal.SIGQUIT)
    worker.until_said("Exiting")
    stage.open_gate()
    assert worker.ended() == 0
    assert state(stage)["attempt"] == "1"
    assert len(stage.queue()) == 1


# --- deaths of the worker


@pytest.mark.parametrize("on_lost", ["fail", "requeue"])
@pytest.mark.parametrize("require", ["retrying", "jobs"], ids=["ours", "another application"])
def test_killed_worker(stage: Stage, require: str, on_lost: str) -> None:
    """Whoever rescues the job applies what it declares, also without having loaded it."""
    worker, _ = holding(stage, "held")
    worker.kill()
    other = stage.idle("--on-lost", on_lost, queues="other", require=require)
    assert "its job is retried later" in other.said
    assert len(stage.queue()) == 1
    assert state(stage)["attempt"] == "1"
    assert stage.failed() == []
    assert other.stop() == 0
    again, _ = holding(stage, "nothing_more")
    again.kill()
    last = stage.idle("--on-lost", on_lost, queues="other", require=require)
    [entry] = stage.failed()
    assert entry["forensics"]["attempts"] == 2
    assert "its job is in the failed list" in last.said


def test_killed_worker_whose_job_is_not_retried(stage: Stage) -> None:
    """Of errors that the job does not retry, ``--on-lost`` decides."""
    worker, _ = holding(stage, "only_os_errors")
    worker.kill()
    other = stage.idle("--on-lost", "requeue", queues="other", require="jobs")
    assert "its job is back in its queue" in other.said
    assert not stage.redis.exists("resque:fork:retries")
    assert len(stage.queue()) == 1
    assert other.stop() == 0


def test_hooks_of_a_rescued_job(stage: Stage) -> None:
    """on_retry runs where its class is known."""
    raw = json.dumps({"class": "Flaky", "args": ["a"]})
    stage.redis.sadd("resque:workers", "gone:1:jobs")
    stage.redis.hset("resque:workers:heartbeat", "gone:1:jobs", "2020-01-01T00:00:00+00:00")
    record = f'{{"queue":"jobs","run_at":"2020-01-01T00:00:00Z","payload":{raw}}}'
    stage.redis.set("resque:worker:gone:1:jobs", record)
    worker = stage.idle(queues="other", require="retrying")
    told = stage.told("retry", by=worker)
    assert told["error"].startswith("PruneDeadWorkerDirtyExit: Worker gone:1:jobs did not ")
    assert until(lambda: stage.queue()) == [raw.encode()]


def test_declarations_of_another_type(stage: Stage) -> None:
    """A key in the way is named, and keeps no worker from its jobs."""
    stage.redis.set("resque:fork:jobs", "in the way")
    stage.push("give_up")
    worker = work(stage)
    assert "The Redis key 'resque:fork:jobs' does not hold what Resque keeps there" in worker.said
    assert len(stage.failed()) == 1
