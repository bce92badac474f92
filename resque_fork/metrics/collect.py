"""Every number there is of one Resque, read from Redis as values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..settings import RUBY_PRUNES_AFTER
from ..store.delayed_jobs import DelayedJobs
from ..store.failures import count_all
from ..store.metrics import Fields, StoredMetrics
from ..store.queues import Queues
from ..store.retried_jobs import Retries
from ..store.work import look
from ..store.workers import Workers
from ..wire.delayed import is_second
from ..wire.keys import Keys
from .names import (
    BEYOND,
    METRICS,
    MOST_NAMES,
    OTHER,
    SCALES,
    SUM,
    Distribution,
    Metric,
    Scale,
    Value,
    label,
)

if TYPE_CHECKING:
    from ..store.client import Client

Values = dict[Any, Value]  # by the values of the labels, a tuple
JobLabels = tuple[str, str, str]  # queue, class, outcome

SILENT_SECONDS = RUBY_PRUNES_AFTER


def collect(redis: Client, keys: Keys) -> list[Metric]:
    """All metrics with their values."""
    stored = StoredMetrics(redis, keys)
    now = Workers(redis, keys).now()
    found: dict[str, Values] = {
        "resque_up": {(): 1},
        **of_jobs(stored.counted()),
        **_of_queues(Queues(redis, keys), stored, now),
        **_of_delayed(DelayedJobs(redis, keys), now),
        "resque_retrying_jobs": {(): Retries(redis, keys).count()},
        "resque_failed_jobs": {(): count_all(redis, keys)},
        **_of_workers(redis, keys, now),
    }
    return [replace(metric, values=found[metric.name]) for metric in METRICS]


def by_minute(redis: Client, keys: Keys, minutes: int) -> dict[int, Mapping[JobLabels, int]]:
    """How jobs ended in each of the last minutes, by when it began; the newest is the last."""
    now = int(Workers(redis, keys).now())
    last = now - now % 60
    began = range(last - 60 * (minutes - 1), last + 60, 60)
    found = StoredMetrics(redis, keys).minutes(began)
    return {second: jobs_of(counted) for second, counted in zip(began, found, strict=True)}


def latencies(stored: StoredMetrics, sizes: Mapping[str, int], now: float) -> dict[str, float]:
    """For how many seconds the next job of each queue has waited, where that is known."""
    waiting = [queue for queue, size in sizes.items() if size]
    has_clock = stored.has_clock()  # without one, a queue that is not marked says nothing
    found = {queue: 0.0 for queue, size in sizes.items() if not size or has_clock}
    for queue, marked in zip(waiting, stored.marked(waiting), strict=True):
        if marked is not None:
            found[queue] = max(0.0, now - marked)
    return found


def down() -> list[Metric]:
    """What is known where Redis does not answer."""
    return [replace(metric, values={(): 0}) for metric in METRICS if metric.name == "resque_up"]


def jobs_of(counted: Fields) -> dict[JobLabels, int]:
    """Of all that is counted, how jobs ended."""
    return {
        (field[1], field[2], field[3]): number
        for field, number in counted.items()
        if field[0] == "jobs" and len(field) == 4
    }


def of_jobs(counted: Fields) -> dict[str, Values]:
    """The metrics of jobs that have ended, by name."""
    sums: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)  # by measure and name
    deaths: Values = {}
    cpu: Values = {}
    for field, number in counted.items():
        match field:
            case ("deaths", class_name, cause):
                deaths[class_name, cause] = number
            case ("cpu", class_name, mode):
                cpu[class_name, mode] = number / 1000
            case (measured, name, what) if measured in SCALES:
                sums[measured, name][what] = number

    def distributions(measured: str) -> Values:
        scale = SCALES[measured]
        return {(name,): _distribution(scale, s) for (m, name), s in sums.items() if m == measured}

    return {
        "resque_jobs_total": {**jobs_of(counted)},
        "resque_job_deaths_total": deaths,
        "resque_job_cpu_seconds_total": cpu,
        "resque_job_duration_seconds": distributions("duration"),
        "resque_job_memory_growth_bytes": distributions("growth"),
        "resque_job_wait_seconds": distributions("wait"),
    }


def _distribution(scale: Scale, counts: Mapping[str, int]) -> Distribution:
    bounds = {str(bound): bound for bound in scale.bounds} | {BEYOND: math.inf}
    buckets = {bound: counts.get(text, 0) for text, bound in bounds.items()}
    return Distribution(buckets, counts.get(SUM, 0) * scale.unit)


def _of_queues(queues: Queues, stored: StoredMetrics, now: float) -> dict[str, Values]:
    sizes = queues.sizes()
    paused = set(sizes if queues.all_paused() else queues.paused())
    latency = latencies(stored, sizes, now)
    return {
        "resque_queue_jobs": _bounded(sizes.items(), sum),
        "resque_queue_latency_seconds": _bounded(latency.items(), max),
        "resque_queue_paused": _bounded(((name, int(name in paused)) for name in sizes), min),
    }


def _of_delayed(delayed: DelayedJobs, now: float) -> dict[str, Values]:
    first = next(filter(is_second, delayed.times(0, 1)), None)
    overdue = 0.0 if first is None else max(0.0, now - int(first))
    return {
        "resque_delayed_jobs": {(): delayed.count_jobs()},
        "resque_delayed_overdue_seconds": {(): overdue},
    }


def _of_workers(redis: Client, keys: Keys, now: float) -> dict[str, Values]:
    workers = Workers(redis, keys)
    beats, works = workers.heartbeats(), look(redis, keys, workers.all_ids())
    states = {"working": 0, "idle": 0, "silent": 0}
    for worker_id, work in works.items():
        beat = beats.get(worker_id) or work.beat  # Ruby may have removed one of ours
        silent = beat is not None and now - beat > SILENT_SECONDS
        states["silent" if silent else "working" if work.job else "idle"] += 1
    jobs = [work.job for work in works.values() if work.job]
    running = [(job.class_name, max(0.0, now - job.since)) for job in jobs if job.since is not None]
    return {
        "resque_workers": {(state,): number for state, number in states.items()},
        "resque_longest_running_seconds": _bounded(running, max),
    }


def _bounded(
    values: Iterable[tuple[str, float]], merged: Callable[[Iterable[float]], float]
) -> Values:
    """Values by label; those of names that have the same label, or beyond so many, are one."""
    by_label: dict[str, list[float]] = defaultdict(list)
    for name, value in values:
        by_label[label(name)].append(value)
    found: dict[str, list[float]] = defaultdict(list)
    for place, name in enumerate(sorted(by_label)):
        found[name if place < MOST_NAMES else OTHER] += by_label[name]
    return {(name,): merged(values) for name, values in found.items()}
