"""Which numbers there are, and by which names of queues and classes they are counted."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..text import printable

MOST_NAMES = 500  # queues or classes that are counted by themselves; see ``counting.lua``
OTHER = "other"  # the rest of them
UNREADABLE = "(unreadable)"  # queue or class of a job that cannot be read
LONGEST_NAME = 100  # characters


@functools.lru_cache(1024)
def label(name: str) -> str:
    """The name of a queue or class as it is counted: printable, and not too long."""
    text = printable(name[: LONGEST_NAME + 1]) or UNREADABLE
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


@dataclass(frozen=True, slots=True)
class Scale:
    """How values are kept: as whole numbers of a `unit`, and counted up to each of the `bounds`."""

    unit: float
    bounds: tuple[float, ...]

    def bucket(self, number: int) -> str:
        """The first of the bounds that is not below, as text."""
        place = bisect.bisect_left(self.bounds, number * self.unit)
        return str(self.bounds[place]) if place < len(self.bounds) else BEYOND


BEYOND = "+Inf"
SUM = "sum"
MIB = 1024 * 1024
MILLISECOND, KIB = 0.001, 1024

# What is added up in workers, by its name in Redis.
SCALES = {
    "duration": Scale(
        MILLISECOND, (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
    ),
    "growth": Scale(KIB, (MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB, 4096 * MIB)),
    "wait": Scale(MILLISECOND, (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)),
}


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values: how many are in each bucket, by its upper bound, the last without; and their sum."""

    buckets: Mapping[float, int]
    sum: float

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.buckets.values())

    def quantile(self, share: float) -> float | None:
        """What this share of the values does not exceed, estimated as Prometheus does it.

        Beyond the last bound that is known, that bound. None without values.
        """
        rest, below = share * self.count, 0.0
        for bound, number in self.buckets.items():
            if number and rest <= number:
                return below if math.isinf(bound) else below + (bound - below) * rest / number
            rest -= number
            below = below if math.isinf(bound) else bound
        return below if self.count else None


Value = float | Distribution


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus knows it: `values` by the values of its labels."""

    name: str
    kind: str  # counter, gauge or histogram
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], Value] = field(default_factory=dict)


METRICS = (
    Metric("resque_up", "gauge", "1 if Redis answers."),
    Metric(
        "resque_jobs_total",
        "counter",
        "Ends of attempts at jobs: done, killed, failed, later (a retry waits), back or lost "
        "(both go back to their queue).",
        ("queue", "class", "outcome"),
    ),
    Metric(
        "resque_job_deaths_total",
        "counter",
        "Jobs whose process died before they had ended, by what it died of.",
        ("class", "cause"),
    ),
    Metric(
        "resque_job_cpu_seconds_total",
        "counter",
        "Processor time of jobs, in user and in system mode.",
        ("class", "mode"),
    ),
    Metric("resque_job_duration_seconds", "histogram", "Time that jobs have taken.", ("class",)),
    Metric(
        "resque_job_memory_growth_bytes",
        "histogram",
        "Memory by which jobs have made their process grow.",
        ("class",),
    ),
    Metric(
        "resque_job_wait_seconds",
        "histogram",
        "Time that jobs have waited in their queue: a sample.",
        ("queue",),
    ),
    Metric("resque_queue_jobs", "gauge", "Jobs in a queue.", ("queue",)),
    Metric(
        "resque_queue_latency_seconds",
        "gauge",
        "For how long the next job of a queue has waited.",
        ("queue",),
    ),
    Metric("resque_queue_paused", "gauge", "1 if no worker takes jobs of a queue.", ("queue",)),
    Metric("resque_delayed_jobs", "gauge", "Jobs that wait for their time."),
    Metric(
        "resque_delayed_overdue_seconds",
        "gauge",
        "For how long the first delayed job is due and has not been moved to its queue.",
    ),
    Metric("resque_retrying_jobs", "gauge", "Jobs that have failed and are tried again."),
    Metric("resque_failed_jobs", "gauge", "Entries in all lists of failed jobs."),
    Metric(
        "resque_workers",
        "gauge",
        "Workers: working, idle, or silent, without a heartbeat for five minutes.",
        ("state",),
    ),
    Metric(
        "resque_longest_running_seconds",
        "gauge",
        "For how long the oldest of the running jobs has run.",
        ("class",),
    ),
)
