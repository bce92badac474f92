"""Jobs that have failed and are tried again."""

from __future__ import annotations

from ..errors import ResqueError
from ..ops.retried import SHOWN, RetriedJobs
from ..ops.rows import Row
from ..text import counted
from .ask import PAGE, Action, Ask, Done, Page

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


def now(ask: Ask) -> Done:
    """Queue a job that waits, and all that equal it."""
    found = RetriedJobs(ask.site)
    job = found.named(ask.named("id"))
    done = sum(found.delayed.enqueue(item) for item in found.items_of(job, MOST_ITEMS))
    if not done:
        raise ResqueError(f"{job.digest[:SHOWN]} does not wait: it is in its queue or runs.")
    return Done(f"Queued {counted(done, 'job')}.", "/retries")


def remove(ask: Ask) -> Done:
    """Remove a job that waits, and all that equal it."""
    found = RetriedJobs(ask.site)
    job = found.named(ask.named("id"))
    done = sum(found.delayed.remove(item) for item in found.items_of(job, MOST_ITEMS))
    found.retries.forget(job.digest)
    return Done(f"Removed {counted(done, 'job')}.", "/retries")


def _job(ask: Ask) -> str:
    job = RetriedJobs(ask.site).named(ask.named("id"))
    return f"the job {job.digest[:SHOWN]}, which failed with {job.exception or '?'},"


PAGES = (Page("/retries", "retries.html", show_all),)
ACTIONS = (
    Action("/retries/now", "Run now", now, lambda ask: f"Queue {_job(ask)} now?"),
    Action("/retries/remove", "Remove", remove, lambda ask: f"Remove {_job(ask)} for good?"),
)
