"""Jobs that wait for their time: when, and what waits for one time."""

from __future__ import annotations

from ..ops.delayed_report import delayed_row, queue_of, shown_moment
from ..ops.rows import Row
from ..store.delayed_jobs import DelayedJobs
from ..wire.delayed import is_second
from .ask import PAGE, Ask, BadRequest, NotFound, Page
from .queues import payload_row


def show_all(ask: Ask) -> Row:
    """The times at which jobs are due, the earliest first."""
    start, jobs, now = ask.number("start"), delayed_jobs(ask), ask.site.workers.now()
    times = jobs.times(start, PAGE + 1)
    shown = times[:PAGE]
    return {
        "now": now,
        "count": jobs.count_times(),
        "start": start,
        "next": start + PAGE if len(times) > PAGE else None,
        "previous": max(0, start - PAGE) if start else None,
        "times": [
            {**delayed_row(moment, size, now), "moment": moment}
            for moment, size in zip(shown, jobs.sizes(shown), strict=True)
        ],
    }


def show(ask: Ask) -> Row:
    """The jobs that are due at one time, in the order in which they go to their queues."""
    moment, start = moment_of(ask), ask.number("start")
    jobs = delayed_jobs(ask)
    [size] = jobs.sizes([moment])
    if not size:
        raise NotFound(f"No job is due at {shown_moment(moment)} any more.")
    items = jobs.at(moment, start, PAGE)
    return {
        "now": ask.site.workers.now(),
        "moment": moment,
        "time": shown_moment(moment),
        "count": size,
        "start": start,
        "next": start + PAGE if start + PAGE < size else None,
        "previous": max(0, start - PAGE) if start else None,
        "jobs": [
            {"queue": queue_of(item), **payload_row(start + i, item.raw)}
            for i, item in enumerate(items)
        ],
    }


def delayed_jobs(ask: Ask) -> DelayedJobs:
    """Those of the site."""
    return DelayedJobs(ask.site.resque.client, ask.site.resque.key_names)


def moment_of(ask: Ask) -> str:
    """The second that is asked for. Raises BadRequest."""
    moment = ask.named("time")
    if not is_second(moment):
        raise BadRequest(f"time={moment!r} is not a time: expected seconds since the epoch.")
    return moment


PAGES = (Page("/delayed", "delayed.html", show_all), Page("/due", "due.html", show))
