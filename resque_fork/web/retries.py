"""Jobs that have failed and are tried again."""

from __future__ import annotations

from ..ops.retried import RetriedJobs
from ..ops.rows import Row
from .ask import PAGE, Ask, Page

MOST_ITEMS = 500  # of one second, among which the items of a job are looked for


def show_all(ask: Ask) -> Row:
    """Those that are due next first."""
    start = ask.number("start")
    found = RetriedJobs(ask.site)
    jobs = found.retries.page(start, PAGE + 1)
    rows = [
        {"digest": job.digest, **found.row(job, found.items_of(job, MOST_ITEMS))}
        for job in jobs[:PAGE]
    ]
    return {
        "now": ask.site.workers.now(),
        "count": found.retries.count(),
        "start": start,
        "next": start + PAGE if len(jobs) > PAGE else None,
        "previous": max(0, start - PAGE) if start else None,
        "jobs": rows,
    }


PAGES = (Page("/retries", "retries.html", show_all),)
