"""What workers count of their jobs, and what they add up."""

from __future__ import annotations

from typing import Any

import pytest

from resque_fork import Resque

from .harness import Stage, until


def values(stage: Stage, name: str) -> dict[Any, Any]:
    resque = Resque(stage.url)
    try:
        (found,) = (metric.values for metric in resque.metrics() if metric.name == name)
        return dict(found)
    finally:
        resque.close()


def outcomes(stage: Stage) -> dict[Any, Any]:
    return values(stage, "resque_jobs_total")


@pytest.mark.parametrize("options", [(), ("--jobs-per-fork=10",)])
def test_each_end_is_counted(stage: Stage, options: tuple[str, ...]) -> None:
    """Jobs that return, raise, die, and cannot be read: each under its queue, class and outcome."""
    worker = stage.idle(*options, queues="jobs,low")
    stage.push("quick")
    stage.push("boom")
    stage.push("kill_self", 11)
    stage.push("leave", 3)
    stage.push("unheard-of", queue="low")
    stage.push_raw(b"no job", "low")
    stage.failed(5)
    assert worker.stop() == 0
    assert outcomes(stage) == {
        ("jobs", "quick", "done"): 1,
        ("jobs", "boom", "failed"): 1,
        ("jobs", "kill_self", "failed"): 1,
        ("jobs", "leave", "failed"): 1,
        ("low", "unheard-of", "failed"): 1,
        ("low", "(unreadable)", "failed"): 1,
    }
    deaths = {("kill_self", "SIGSEGV"): 1, ("leave", "exit"): 1}
    assert values(stage, "resque_job_deaths_total") == deaths
    took = values(stage, "resque_job_duration_seconds")
    assert {name: found.count for (name,), found in took.items()} == {
        "quick": 1,
        "boom": 1,
        "kill_self": 1,
        "leave": 1,
    }


def test_what_is_added_up_is_sent_while_it_is_idle(stage: Stage) -> None:
    """A worker that has nothing to do sends it all the same, without a look at its queues."""
    worker = stage.idle("--interval=600")
    stage.push("burn", 0.1)
    until(lambda: values(stage, "resque_job_duration_seconds"), lambda: worker.said)
    (user,) = (v for k, v in values(stage, "resque_job_cpu_seconds_total").items() if "user" in k)
    assert 0 < user < 60


def test_what_is_added_up_is_sent_while_a_job_runs(stage: Stage) -> None:
    """The next job may take hours."""
    worker = stage.idle()
    stage.push("quick")
    stage.push("hold")
    stage.told("begun", by=worker)
    until(lambda: ("quick",) in values(stage, "resque_job_duration_seconds"))
    assert outcomes(stage) == {("jobs", "quick", "done"): 1}
    stage.open_gate()
    assert worker.stop() == 0
    assert outcomes(stage)["jobs", "hold", "done"] == 1


def test_in_the_workers_own_process(stage: Stage) -> None:
    """Without a child what jobs take is known too."""
    stage.push("quick")
    assert stage.work("--no-fork-per-job", "--interval=0").ended() == 0
    assert outcomes(stage) == {("jobs", "quick", "done"): 1}
    assert values(stage, "resque_job_duration_seconds")["quick",].count == 1


@pytest.mark.parametrize(("on_lost", "outcome"), [("fail", "failed"), ("requeue", "lost")])
def test_the_job_of_a_killed_worker(stage: Stage, on_lost: str, outcome: str) -> None:
    """Whoever rescues it counts it: no outcome is lost with a worker."""
    dead, _ = stage.holding()
    dead.kill()
    worker = stage.work("--on-lost", on_lost, queues="other")
    until(lambda: outcomes(stage) == {("jobs", "hold", outcome): 1}, lambda: worker.said)
    assert values(stage, "resque_job_deaths_total") == {("hold", "worker"): 1}


def test_a_job_that_goes_back(stage: Stage) -> None:
    """An attempt that a stop has ended is counted as one that went back."""
    worker, _ = stage.holding("--on-term=requeue")
    assert worker.stop(15) == 0
    assert outcomes(stage) == {("jobs", "hold", "back"): 1}
    assert values(stage, "resque_job_deaths_total") == {}


def test_how_long_a_job_has_waited(stage: Stage) -> None:
    """The clock marks the last job of a queue, and the worker that takes it adds up its wait."""
    worker, _ = stage.holding()
    stage.push("quick")
    until(lambda: values(stage, "resque_queue_latency_seconds").get(("jobs",), 0) > 0)
    stage.open_gate()
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert values(stage, "resque_job_wait_seconds")["jobs",].count == 1
    assert stage.redis.keys("resque:fork:marks:*") == []
