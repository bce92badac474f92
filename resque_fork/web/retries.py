"""Jobs that have failed and are tried again."""

from __future__ import annotations

from ..errors import ResqueError
from ..ops.retried import SHOWN, RetriedJobs
from ..ops.rows import Row
from ..store.delayed import Item
from ..store.retried_jobs import Retried
from ..text import counted
from .ask import PAGE, Action, Ask, Done, Page, slice_of
from .search import MOST_LOOKED_AT

LOOKED_AT = 500  # items of one second, among which those of a page are looked for


def show_all(ask: Ask) -> Row:
    """Those that are due next first; ``waits`` is None of one that was not found among many."""
    start = ask.number("start")
    found = RetriedJobs(ask.site)
    jobs = found.retries.page(start, PAGE + 1)
    items = found.items_of_each(jobs[:PAGE], LOOKED_AT)
    return {
        "now": ask.site.workers.now(),
        "count": found.retries.count(),
        **slice_of(start, more=len(jobs) > PAGE),
        "jobs": [
            {
                "digest": job.digest,
                "waits": None if waiting is None else bool(waiting),
                **found.row(job, waiting or []),
            }
            for job, waiting in zip(jobs, items, strict=False)
        ],
    }


def now(ask: Ask) -> Done:
    """Queue a job that waits, and all that equal it."""
    found, job, items = _named(ask)
    done = sum(found.delayed.enqueue(item) for item in items)
    if not done:
        raise ResqueError(f"{job.digest[:SHOWN]} does not wait: it is in its queue or runs.")
    return Done(f"Queued {counted(done, 'job')}.", "/retries")


def remove(ask: Ask) -> Done:
    """Remove a job that waits, and all that equal it."""
    found, job, items = _named(ask)
    done = sum(found.delayed.remove(item) for item in items)
    found.retries.forget(job.digest)
    return Done(f"Removed {counted(done, 'job')}.", "/retries")


def _named(ask: Ask) -> tuple[RetriedJobs, Retried, list[Item]]:
    """The job that the address names, and what waits for it. Raises ResqueError."""
    found = RetriedJobs(ask.site)
    job = found.named(ask.named("id"))
    items = found.items_of(job, MOST_LOOKED_AT)
    if not items and found.is_beyond(job, MOST_LOOKED_AT):
        id = job.digest[:SHOWN]
        raise ResqueError(
            f"More than {MOST_LOOKED_AT:,} jobs are due in the second of {id}, too many to look "
            f"for it here: resque-fork retries now {id} and retries remove {id} find it."
        )
    return found, job, items


def _job(ask: Ask) -> str:
    job = RetriedJobs(ask.site).named(ask.named("id"))
    return f"the job {job.digest[:SHOWN]}, which failed with {job.exception or '?'},"


PAGES = (Page("/retries", "retries.html", show_all),)
ACTIONS = (
    Action("/retries/now", "Run now", now, "Queue {} now?", _job),
    Action("/retries/remove", "Remove", remove, "Remove {} for good?", _job),
)
