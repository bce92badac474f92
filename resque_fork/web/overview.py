"""The first page: the numbers, which queue grows, which job hangs, and what a check-up finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import RedisUnavailable, ResqueError
from ..ops.checks import OK
from ..ops.rows import Row
from ..store.delayed_jobs import DelayedJobs
from ..store.failures import count_all
from ..store.retried_jobs import Retries
from .ask import Ask, Page
from .lines import lines
from .queues import queue_rows
from .workers import worker_rows

MOST_QUEUES = 15
MOST_JOBS = 8
MOST_TIMES = 1000  # times of delayed jobs whose jobs are counted


def show(ask: Ask) -> Row:
    """What an operator has to know first; what cannot be read is None or empty, and said."""
    problems: list[str] = []

    def read(look: Callable[[], Any], default: Any) -> Any:
        try:
            return look()
        except RedisUnavailable:
            raise
        except ResqueError as error:
            problems.append(str(error))
            return default

    resque = ask.site.resque
    queues = read(lambda: queue_rows(ask), None)
    workers = read(lambda: worker_rows(ask.site), None)
    working = [row for row in workers or () if row["state"] == "working"]
    delayed = read(lambda: delayed_numbers(ask), {"times": None, "jobs": None})
    check_up = ask.memory.check_up
    check_up.refresh()
    return {
        "now": ask.site.workers.now(),
        "paused": read(resque.paused, False),
        "numbers": {
            "pending": None if queues is None else sum(row["size"] for row in queues),
            "working": None if workers is None else len(working),
            "delayed": delayed["jobs"],
            "delayed_times": delayed["times"],
            "retrying": read(lambda: Retries(resque.client, resque.key_names).count(), None),
            "failed": read(lambda: count_all(resque.client, resque.key_names), None),
            "processed": read(lambda: resque.stats.get("processed"), None),
            "workers": None if workers is None else len(workers),
            "queues": None if queues is None else len(queues),
        },
        "lines": read(lambda: lines(ask.memory.minutes.last_day()), []),
        "queues": sorted(queues or (), key=_urgency)[:MOST_QUEUES],
        "longest": sorted(working, key=lambda row: -(row["running_seconds"] or 0))[:MOST_JOBS],
        "findings": _bad(check_up.findings),
        "checked_at": check_up.checked_at,
        "problems": problems,
    }


def delayed_numbers(ask: Ask) -> Row:
    """How many jobs wait for their time: ``jobs`` is None if that would take too long to tell."""
    resque = ask.site.resque
    jobs = DelayedJobs(resque.client, resque.key_names)
    times = jobs.count_times()
    counted = sum(jobs.sizes(jobs.times(0, MOST_TIMES))) if times <= MOST_TIMES else None
    return {"times": times, "jobs": counted}


def _urgency(row: Row) -> tuple[int, int, str]:
    """Those that have grown most first, then the longest."""
    return -max(0, row["change"] or 0), -row["size"], row["queue"]


def _bad(findings: list[Row] | None) -> list[Row] | None:
    return None if findings is None else [row for row in findings if row["result"] != OK]


PAGES = (Page("/", "overview.html", show, "/overview.json"),)
