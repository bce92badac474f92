"""Failed jobs: grouped, found by filters, and one with all that is known of it.

A list may have a million entries. They are read from the newest on, page by page, until a page is
full or the budget is used up; the reader then says to go on.
"""

from __future__ import annotations

import glob
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..client.failed import FailedJob, FailedJobs, Filter
from ..errors import StaleEntry
from ..ops.rows import Row
from ..text import parse_seconds
from .ask import PAGE, Ask, BadRequest, NotFound, Page

READ_AT_ONCE = 500  # entries
MOST_LOOKED_AT = 20_000  # entries of one request
MOST_SECONDS = 0.3
ENOUGH = 2000  # entries that are grouped once the page is full
NEARBY = 500  # places on each side in which an entry is looked for that has moved
MOST_GROUPS = 20

FILTERS = ("class", "queue", "exception", "text", "newer", "older")


@dataclass(frozen=True)
class Search:
    """What a request found: up to a page of `jobs`, and where the next one goes on."""

    jobs: Sequence[FailedJob]
    groups: Counter[tuple[str | None, str | None]]
    looked_at: int
    go_on_before: int | None


def search(jobs: FailedJobs, which: Filter, before: int) -> Search:
    """Look from the index `before` on towards the oldest."""
    late = time.monotonic() + MOST_SECONDS
    found: list[FailedJob] = []
    groups = Counter[tuple[str | None, str | None]]()
    place, now = before, time.time()
    while place > 0 and time.monotonic() < late:
        if before - place >= (ENOUGH if len(found) == PAGE else MOST_LOOKED_AT):
            break
        start = max(0, place - READ_AT_ONCE)
        page = [job for job in jobs.page(start, place - start) if which.matches(job, now)]
        groups.update((job.class_name, job.exception) for job in page)
        wanted = PAGE - len(found)
        found += reversed(page[-wanted:] if wanted else [])
        place = start
    last = found[-1].index if len(found) == PAGE else place
    return Search(found, groups, before - place, last if last > 0 else None)


def filter_of(ask: Ask) -> Filter:
    """Raises BadRequest."""
    return Filter(
        class_name=ask.text("class") or None,
        queue=ask.text("queue") or None,
        exception=ask.text("exception") or None,
        text=ask.text("text") or None,
        newer_than=_age(ask, "newer"),
        older_than=_age(ask, "older"),
    )


def _age(ask: Ask, name: str) -> float | None:
    if not (text := ask.text(name)):
        return None
    try:
        return parse_seconds(text)
    except ValueError as expected:
        raise BadRequest(f"{name}={text!r} is not valid: expected {expected}.") from None


def show_all(ask: Ask) -> Row:
    """A page of one list, the newest first."""
    name = ask.text("list") or "failed"
    jobs = ask.site.resque.failed(name)
    names = jobs.names()
    if name not in names:
        raise NotFound(f"There is no list of failed jobs {name!r}.")
    count = jobs.count()
    before = min(ask.number("before", count), count)
    found = search(jobs, filter_of(ask), before)
    groups = found.groups.most_common(MOST_GROUPS)
    return {
        "now": ask.site.workers.now(),
        "list": name,
        "lists": names,
        "count": count,
        "filter": {field: text for field in FILTERS if (text := ask.text(field))},
        "before": before,
        "looked_at": found.looked_at,
        "go_on_before": found.go_on_before,
        "groups": [
            {
                "class": class_name,
                "exception": exception,
                "jobs": number,
                "filter": {
                    "class": glob.escape(class_name) if class_name else None,
                    "exception": glob.escape(exception) if exception else None,
                },
            }
            for (class_name, exception), number in groups
        ],
        "jobs": [job_row(job) for job in found.jobs],
    }


def job_row(job: FailedJob) -> Row:
    """A failed job as it is listed and shown."""
    return {**job.to_dict(), "can_be_retried": job.can_be_requeued}


def find(jobs: FailedJobs, index: int, id: str) -> FailedJob:
    """The entry that was shown at an index, there or nearby. Raises StaleEntry."""
    start = max(0, index - NEARBY)
    nearby = [job for job in jobs.page(start, 2 * NEARBY) if job.id == id]
    if not nearby:
        raise StaleEntry(
            f"The failed job {index}:{id} is no longer as it was shown: it was removed or queued "
            "again, or has moved. Look for it in the list."
        )
    return min(nearby, key=lambda job: abs(job.index - index))


def show(ask: Ask) -> Row:
    """One failed job."""
    name = ask.text("list") or "failed"
    try:
        job = find(ask.site.resque.failed(name), ask.number("index"), ask.named("id"))
    except StaleEntry as error:
        raise NotFound(str(error)) from None
    return {"now": ask.site.workers.now(), "list": name, "job": job_row(job)}


PAGES = (Page("/failed", "failed.html", show_all), Page("/failure", "failure.html", show))
