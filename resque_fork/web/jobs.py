"""The classes of jobs: how often each was performed, what it takes, and how it is retried."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import WrongKeyType
from ..job.retry import Retry
from ..metrics.collect import of_jobs
from ..metrics.names import MOST_NAMES, SCALES, Distribution, label
from ..ops.rows import Row
from ..store.metrics import StoredMetrics
from ..text import counted, exact_duration
from .ask import Ask, Page

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
UNKNOWN = "Retried, in a way that this version does not know."


def show_all(ask: Ask) -> Row:
    """Every class that has been performed or is retried, the most frequent first."""
    resque, problems = ask.site.resque, []
    try:
        declared = ask.site.workers.declared_retries()
    except WrongKeyType as problem:
        declared, problems = {}, [str(problem)]
    found = of_jobs(StoredMetrics(resque.client, resque.key_names).counted())
    retries = {label(name): text for name, text in declared.items()}
    rows = _rows(found, retries)
    return {
        "problems": problems,
        "count": len(rows),
        "longest": {measured: scale.bounds[-1] for measured, scale in SCALES.items()},
        "jobs": sorted(rows, key=lambda row: (-row["runs"], row["class"]))[:MOST_NAMES],
    }


def _rows(found: Mapping[str, Mapping[Any, Any]], retries: Mapping[str, bytes]) -> list[Row]:
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    deaths: dict[str, Counter[str]] = defaultdict(Counter)
    cpu: Counter[str] = Counter()
    for (_, name, outcome), number in found["resque_jobs_total"].items():
        outcomes[name][outcome] += number
    for (name, cause), number in found["resque_job_deaths_total"].items():
        deaths[name][cause] += number
    for (name, _), seconds in found["resque_job_cpu_seconds_total"].items():
        cpu[name] += seconds
    took, growth = found["resque_job_duration_seconds"], found["resque_job_memory_growth_bytes"]
    return [
        {
            "class": name,
            "runs": outcomes[name].total(),
            "failed": outcomes[name]["failed"],
            "again": outcomes[name]["later"] + outcomes[name]["lost"],
            "deaths": dict(deaths[name].most_common()),
            "seconds": _quantiles(took.get((name,))),
            "memory_growth": _quantiles(growth.get((name,))),
            "cpu_seconds": _mean(cpu[name], took.get((name,))),
            "retries": retry_in_words(retries[name]) if name in retries else None,
        }
        for name in {*outcomes, *retries}
    ]


def _quantiles(values: Distribution | None) -> dict[str, float | None]:
    return {name: values.quantile(share) if values else None for name, share in QUANTILES.items()}


def _mean(total: float, values: Distribution | None) -> float | None:
    return total / values.count if total and values and values.count else None


def retry_in_words(declared: bytes) -> str:
    """How jobs are tried again, as a worker has declared it."""
    retry = Retry.from_json(declared)
    return UNKNOWN if retry is None else f"{'; '.join(_parts(retry))}."


def _parts(retry: Retry) -> Iterator[str]:
    yield f"Tried again up to {counted(retry.attempts, 'time')}, {_delays(retry)}"
    if retry.on:
        yield f"only after {_kinds(retry.on)}"
    if retry.never:
        yield f"never after {_kinds(retry.never)}"
    if retry.within is not None:
        yield f"for at most {_time(retry.within)} after it first failed"
    if retry.queue:
        yield f"on the queue {retry.queue}"


def _delays(retry: Retry) -> str:
    shown = min(retry.attempts, 6)
    first = [_time(retry.seconds_before(n, lambda low, high: low)) for n in range(1, shown + 1)]
    if len({*first}) == 1:
        text = first[0] if retry.attempts == 1 else f"{first[0]} each"
    else:
        text = ", ".join(first) + ("" if shown == retry.attempts else " and so on")
    jitter = f" and up to {retry.jitter:.0%} more" if retry.jitter else ""
    return f"after {text}{jitter}"


def _time(seconds: Any) -> str:
    """Of a Retry; what it holds was checked when it was made."""
    return exact_duration(round(seconds))


def _kinds(kinds: Any) -> str:
    return ", ".join(str(kind).removeprefix("builtins.") for kind in kinds)


PAGES = (Page("/jobs", "jobs.html", show_all),)
