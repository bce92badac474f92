"""Jobs that wait for their time: when, and what waits for one time."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from ..ops.delayed_report import delayed_row, each_at, queue_of, shown_moment
from ..ops.rows import Row
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..text import counted
from ..wire.delayed import is_second
from .ask import PAGE, Action, Ask, BadRequest, Done, NotFound, Page, saying_how_far, slice_of
from .queues import payload_row

SLICE = 500  # different jobs that one request acts on


def show_all(ask: Ask) -> Row:
    """The times at which jobs are due, the earliest first."""
    start, jobs, now = ask.number("start"), delayed_jobs(ask), ask.site.workers.now()
    times = jobs.times(start, PAGE + 1)
    shown = times[:PAGE]
    return {
        "now": now,
        "count": jobs.count_times(),
        **slice_of(start, more=len(times) > PAGE),
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
        **slice_of(start, more=start + PAGE < size),
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


def _each(act: Callable[[DelayedJobs, Item], int], what: str) -> Callable[[Ask], Done]:
    """Do it to the jobs of one time, up to a slice of them."""

    def do(ask: Ask) -> Done:
        jobs, moment = delayed_jobs(ask), moment_of(ask)
        done = 0
        with saying_how_far(lambda _: f"{counted(done, 'delayed job')} had been {what.lower()}."):
            for item in itertools.islice(each_at(jobs, moment), SLICE):
                done += act(jobs, item)
        [left] = jobs.sizes([moment])
        if left:
            said = f"{what} {counted(done, 'delayed job')}; {left:,} are left."
            return Done(said, "/due", {"time": moment})
        return Done(f"{what} {counted(done, 'delayed job')}.", "/delayed")

    return do


def _jobs_of(ask: Ask) -> str:
    moment = moment_of(ask)
    [size] = delayed_jobs(ask).sizes([moment])
    most = f"the first {SLICE} of " if size > SLICE else ""
    return f"{most}the {counted(size, 'job')} due at {shown_moment(moment)}"


PAGES = (Page("/delayed", "delayed.html", show_all), Page("/due", "due.html", show))
ACTIONS = (
    Action(
        "/delayed/now",
        "Run now",
        _each(DelayedJobs.enqueue, "Queued"),
        "Queue {} now?",
        _jobs_of,
    ),
    Action(
        "/delayed/remove",
        "Remove",
        _each(DelayedJobs.remove, "Removed"),
        "Remove {} for good?",
        _jobs_of,
    ),
)
