"""Failed jobs: grouped, found by filters, and one with all that is known of it.

A list may have a million entries. They are read from the newest on, page by page, until a page is
full or the budget is used up; the reader then says to go on.
"""

from __future__ import annotations

import glob
import re
import time
from collections import Counter
from collections.abc import Collection

from ..client.failed import FailedJob, FailedJobs, Filter
from ..errors import StaleEntry
from ..ops.how_far import of_changes
from ..ops.rows import Row
from ..text import counted, parse_seconds
from .ask import Action, Ask, BadRequest, Done, NotFound, Page, Shown, saying_how_far
from .search import MOST_LOOKED_AT, MOST_SECONDS, search

READ_AT_ONCE = 500  # entries
ENOUGH = 2000  # entries that are grouped once the page is full
NEARBY = 500  # places on each side in which an entry is looked for that has moved
MOST_GROUPS = 20
SLICE = 500  # entries that one request acts on

QUEUED, REMOVED = "queued again", "removed"
FILTERS = ("class", "queue", "exception", "text", "newer", "older")


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
    jobs = list_of(ask)
    count = jobs.count()
    before = min(ask.number("before", count), count)
    which, now = filter_of(ask), time.time()
    groups = Counter[tuple[str | None, str | None]]()
    found = search(
        jobs.page,
        lambda job: which.matches(job, now),
        before,
        at_once=READ_AT_ONCE,
        enough=ENOUGH,
        matched=lambda job: groups.update([(job.class_name, job.exception)]),
    )
    return {
        "now": ask.site.workers.now(),
        "list": jobs.name,
        "lists": jobs.names(),
        "count": count,
        "filter": ask.filled(FILTERS),
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
            for (class_name, exception), number in groups.most_common(MOST_GROUPS)
        ],
        "jobs": [job_row(job) for job in found.entries],
    }


def job_row(job: FailedJob) -> Row:
    """A failed job as it is listed and shown."""
    return {**job.to_dict(), "can_be_retried": job.can_be_requeued}


def list_of(ask: Ask) -> FailedJobs:
    """The list that is asked for, and no other list in Redis. Raises NotFound."""
    jobs = ask.site.resque.failed(ask.text("list") or "failed")
    if jobs.name not in jobs.names():
        raise NotFound(f"There is no list of failed jobs {jobs.name!r}.")
    return jobs


def find(jobs: FailedJobs, shown: Collection[tuple[int, str]]) -> list[FailedJob]:
    """The entries that were shown at an index under an id, there or nearby.

    Raises StaleEntry, and BadRequest if they are too far apart to have been on one page.
    """
    indexes = [index for index, _ in shown]
    start, stop = max(0, min(indexes) - NEARBY), max(indexes) + NEARBY
    if stop - start > MOST_LOOKED_AT:
        raise BadRequest("The failed jobs that are selected are too far apart.")
    found: dict[str, list[FailedJob]] = {}
    for job in jobs.page(start, stop - start):
        found.setdefault(job.id, []).append(job)
    for index, id in shown:
        if id not in found:
            raise StaleEntry(
                f"The failed job {index}:{id} is no longer as it was shown: it was removed or "
                "queued again, or has moved. Look for it in the list."
            )
    return [min(found[id], key=lambda job: abs(job.index - index)) for index, id in shown]


def show(ask: Ask) -> Row:
    """One failed job."""
    jobs = list_of(ask)
    try:
        [job] = find(jobs, [(ask.number("index"), ask.named("id"))])
    except StaleEntry as error:
        raise NotFound(str(error)) from None
    return {"now": ask.site.workers.now(), "list": jobs.name, "job": job_row(job)}


def _chosen(ask: Ask) -> tuple[FailedJobs, list[FailedJob]]:
    """The entries that were selected, and their list. Raises BadRequest, StaleEntry."""
    names = [re.fullmatch(r"(\d{1,15}):([0-9a-f]{8})", text) for text in ask.query.get("entry", ())]
    shown = {(int(name[1]), name[2]) for name in names if name}
    if not shown:
        raise BadRequest("No failed job is selected.")
    jobs = list_of(ask)
    return jobs, find(jobs, shown)


def _back(ask: Ask) -> Row:
    """The fields of the page that an action was started from."""
    return ask.filled(("list", *FILTERS))


def retry(ask: Ask) -> Done:
    """Queue the selected jobs again."""
    jobs, chosen = _chosen(ask)
    with saying_how_far(of_changes("failed job", QUEUED)):
        done = jobs.requeue(chosen)
    left = len(chosen) - done
    why = f"; left out {left}: gone, redacted, or without a queue or class" if left else ""
    return Done(f"Queued {counted(done, 'failed job')} again{why}.", "/failed", _back(ask))


def remove(ask: Ask) -> Done:
    """Remove the selected entries."""
    jobs, chosen = _chosen(ask)
    with saying_how_far(of_changes("failed job", REMOVED)):
        done = jobs.remove(chosen)
    return Done(f"Removed {counted(done, 'failed job')}.", "/failed", _back(ask))


def _on_all(path: str, button: str, question: str, *, removes: bool) -> Action:
    """Acts on all that match, one slice a request, the oldest first.

    It answers with a page that goes on with the next. Where it has come to stands in that page's
    form: `at` and `until` are indexes.
    """

    def do(ask: Ask) -> Done | Shown:
        jobs = list_of(ask)
        at, until = ask.sent("at"), ask.sent("until", jobs.count())
        chosen, place = _slice(jobs, filter_of(ask), at, until, skip_retried=not removes)
        before = ask.sent("done")
        with saying_how_far(of_changes("failed job", REMOVED if removes else QUEUED, before)):
            done = jobs.remove(chosen) if removes else jobs.requeue(chosen)
        total = before + done
        changed = counted(total, "failed job")
        said = f"Removed {changed}." if removes else f"Queued {changed} again."
        if place >= until:
            return Done(said, "/failed", _back(ask))
        gone = done if removes else 0  # what stood behind them has moved up
        looked_at, of = place + ask.sent("gone"), until + ask.sent("gone")
        values = {
            "fields": _back(ask),
            "path": path,
            "button": button,
            "progress": f"{said} Looked at {looked_at:,} of {of:,}.",
            "looked_at": looked_at,
            "of": of,
            "sent": {
                "at": place - gone,
                "until": until - gone,
                "done": total,
                "gone": ask.sent("gone") + gone,
            },
        }
        return Shown(said, "progress.html", values)

    return Action(path, button, do, question, _matching)


def _slice(
    jobs: FailedJobs, which: Filter, at: int, until: int, *, skip_retried: bool
) -> tuple[list[FailedJob], int]:
    """Up to a slice of the jobs that match between two indexes, and how far it was looked."""
    late, now = time.monotonic() + MOST_SECONDS, time.time()
    chosen: list[FailedJob] = []
    place = at
    while place < until and place - at < MOST_LOOKED_AT and time.monotonic() < late:
        page = jobs.page(place, min(READ_AT_ONCE, until - place))
        if not page:
            return chosen, until  # others have removed the rest
        for job in page:
            place = job.index + 1
            is_due = not (skip_retried and (job.retried_at or job.redacted))
            if is_due and which.matches(job, now):
                chosen.append(job)
                if len(chosen) == SLICE:
                    return chosen, place
    return chosen, place


def _selected(ask: Ask) -> str:
    _, chosen = _chosen(ask)
    if len(chosen) > 1:
        return f"these {len(chosen)} failed jobs"
    return f"{chosen[0].class_name or 'this failed job'} ({chosen[0].exception})"


def _matching(ask: Ask) -> str:
    filters = [f"{name} {text}" for name, text in ask.filled(FILTERS).items()]
    which = f"that match {', '.join(filters)}" if filters else "in the list"
    return f"all failed jobs {which} (of {list_of(ask).count():,})"


PAGES = (Page("/failed", "failed.html", show_all), Page("/failure", "failure.html", show))
ACTIONS = (
    Action("/failed/retry", "Retry", retry, "Queue {} again?", _selected),
    Action("/failed/remove", "Remove", remove, "Remove {} for good?", _selected),
    _on_all(
        "/failed/retry-all",
        "Retry all",
        "Queue {} again, but for those that were retried before?",
        removes=False,
    ),
    _on_all("/failed/remove-all", "Remove all", "Remove {} for good?", removes=True),
)
