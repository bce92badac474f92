"""Every number is read from Redis, whatever stands there."""

from __future__ import annotations

import time
from typing import Any

import pytest

from resque_fork import Resque
from resque_fork.metrics.collect import SILENT_SECONDS, down
from resque_fork.metrics.names import METRICS, MOST_NAMES, OTHER, Distribution
from resque_fork.wire.record import WorkerRecord
from resque_fork.wire.times import run_time

M = "resque:fork:metrics"


def values(resque: Resque, name: str) -> dict[Any, Any]:
    (found,) = (metric.values for metric in resque.metrics() if metric.name == name)
    return dict(found)


def test_of_nothing(resque: Resque) -> None:
    """An empty Redis has all metrics, in their order, and 0 for what can be counted."""
    found = resque.metrics()
    assert [metric.name for metric in found] == [metric.name for metric in METRICS]
    single = {metric.name: metric.values[()] for metric in found if metric.values.keys() == {()}}
    assert single == {
        "resque_up": 1,
        "resque_delayed_jobs": 0,
        "resque_delayed_overdue_seconds": 0,
        "resque_retrying_jobs": 0,
        "resque_failed_jobs": 0,
    }
    assert values(resque, "resque_workers") == {("working",): 0, ("idle",): 0, ("silent",): 0}


def test_without_redis() -> None:
    """All that is known then is that it does not answer."""
    assert [(metric.name, metric.values) for metric in down()] == [("resque_up", {(): 0})]


def test_counts(resque: Resque) -> None:
    """Counts stand in a hash, a field each; what is none of them is passed over."""
    fields = {
        "jobs\tmail\tsend\tdone": 3,
        "deaths\tsend\tSIGSEGV": 1,
        "cpu\tsend\tuser": 1500,
        "duration\tsend\t0.5": 2,
        "duration\tsend\t+Inf": 1,
        "duration\tsend\tsum": 4200,
        "growth\tsend\tsum": 2,
        "wait\tmail\t60": 1,
        "jobs\tmail": 7,
        "else\ta\tb": 7,
        "": 7,
        "jobs\tmail\tsend\tfailed": "seven",
    }
    resque.redis.hset(M, mapping=fields)
    assert values(resque, "resque_jobs_total") == {("mail", "send", "done"): 3}
    assert values(resque, "resque_job_deaths_total") == {("send", "SIGSEGV"): 1}
    assert values(resque, "resque_job_cpu_seconds_total") == {("send", "user"): 1.5}
    took = values(resque, "resque_job_duration_seconds")[("send",)]
    assert isinstance(took, Distribution)
    assert (took.count, took.sum, took.buckets[0.5]) == (3, 4.2, 2)
    assert values(resque, "resque_job_memory_growth_bytes")[("send",)].sum == 2048
    assert values(resque, "resque_job_wait_seconds")[("mail",)].buckets[60] == 1


def test_more_counts_than_are_read_at_once(resque: Resque) -> None:
    """Counts of 250,000 pairs of queue and class would be read in pages too."""
    resque.redis.hset(M, mapping={f"jobs\tq\tc{i}\tdone": i for i in range(1, 5000)})
    assert sum(values(resque, "resque_jobs_total").values()) == 4999 * 2500


def test_queues(resque: Resque) -> None:
    """Sizes and pauses of all queues, and how long the first marked job of each has waited."""
    resque.push("a", {"class": "A", "args": []})
    resque.redis.sadd("resque:queues", "empty", "odd")
    resque.redis.set("resque:queue:odd", "no list")
    resque.redis.hset("resque:fork:marks:a", "marks", f"{round(time.time() * 1000) - 60_000} 3 1")
    resque.redis.hset("resque:fork:marks:empty", "marks", "1")
    assert values(resque, "resque_queue_jobs") == {("a",): 1, ("empty",): 0, ("odd",): 0}
    latency = values(resque, "resque_queue_latency_seconds")
    assert 60 <= latency.pop(("a",)) < 600
    assert latency == {("empty",): 0, ("odd",): 0}
    assert set(values(resque, "resque_queue_paused").values()) == {0}
    resque.pause()
    assert set(values(resque, "resque_queue_paused").values()) == {1}


def test_latency_that_is_not_known(resque: Resque) -> None:
    """Where no clock marks jobs nothing is said of it; with one, a job has just come."""
    resque.push("a", {"class": "A", "args": []})
    assert values(resque, "resque_queue_latency_seconds") == {}
    resque.redis.set("resque:fork:clock", "somebody")
    assert values(resque, "resque_queue_latency_seconds") == {("a",): 0}


def test_more_queues_than_are_told(resque: Resque) -> None:
    """Those beyond so many are one, with all their jobs."""
    resque.redis.sadd("resque:queues", *(f"q{i:04}" for i in range(MOST_NAMES + 2)))
    resque.redis.rpush(f"resque:queue:q{MOST_NAMES:04}", "a")
    resque.redis.rpush(f"resque:queue:q{MOST_NAMES + 1:04}", "a", "b")
    sizes = values(resque, "resque_queue_jobs")
    assert len(sizes) == MOST_NAMES + 1
    assert sizes[OTHER,] == 3


def test_delayed_jobs(resque: Resque) -> None:
    """How many wait, and how late the first is."""
    moment = int(time.time()) - 100
    resque.redis.zadd("resque:delayed_queue_schedule", {str(moment): moment, "9999999999": 1e10})
    resque.redis.rpush(f"resque:delayed:{moment}", "a", "b")
    resque.redis.rpush("resque:delayed:9999999999", "a")
    resque.redis.rpush("resque:failed", "a")
    resque.redis.zadd("resque:fork:retries", {"digest": 1})
    assert values(resque, "resque_delayed_jobs") == {(): 3}
    assert 100 <= values(resque, "resque_delayed_overdue_seconds")[()] < 600
    assert values(resque, "resque_failed_jobs") == {(): 1}
    assert values(resque, "resque_retrying_jobs") == {(): 1}


def test_workers(resque: Resque) -> None:
    """Those at work, those that wait, and those of which nothing was heard for long."""
    now = time.time()
    ids = ["a:1:q", "b:1:q", "c:1:q", "d:1:q"]
    resque.redis.sadd("resque:workers", *ids)
    for worker_id, age in zip(ids, (1, 30, SILENT_SECONDS + 60), strict=False):
        resque.redis.hset("resque:workers:heartbeat", worker_id, run_time(now - age))
    record = WorkerRecord("q", run_time(now - 90), b'{"class":"Report","args":[]}')
    resque.redis.set("resque:worker:a:1:q", record.to_json())
    resque.redis.set("resque:worker:c:1:q", "{}")
    states = {("working",): 1, ("idle",): 2, ("silent",): 1}
    assert values(resque, "resque_workers") == states
    running = values(resque, "resque_longest_running_seconds")
    assert running.keys() == {("Report",)}
    assert 89 <= running["Report",] < 600


@pytest.mark.parametrize("minutes", [1, 250])
def test_by_minute(resque: Resque, minutes: int) -> None:
    """As many minutes as were asked for, the present one last, each with its outcomes."""
    before = int(time.time()) // 60 * 60
    for second in (before, before + 60):
        resque.redis.hset(f"{M}:{second}", "jobs\tmail\tsend\tdone", 2)
    found = resque.jobs_by_minute(minutes)
    assert len(found) == minutes
    assert [*found] == [*range([*found][-1] - 60 * (minutes - 1), [*found][-1] + 1, 60)]
    assert [*found][-1] in (before, before + 60)
    assert found[[*found][-1]] == {("mail", "send", "done"): 2}
