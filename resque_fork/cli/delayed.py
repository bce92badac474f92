"""``delayed``: jobs that wait for their time."""

from __future__ import annotations

import datetime
import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import ResqueError
from ..ops.delayed_report import delayed_row, each_at, queue_of, shown_moment
from ..ops.rows import job_row, readable
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..text import counted, due_in
from ..wire.delayed import is_second
from . import options
from .app import App, pass_app
from .command import Command, Listing, ListingGroup
from .how_far import saying_how_far
from .output import Column, listing, say

TIME = "A time is written as the listing shows it: 2027-01-31T09:00:00Z or 1801386000."


class Moment(click.ParamType[str]):
    """A second at which jobs are due."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if is_second(text):
            return text
        try:
            parsed = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            self.fail(f"{value!r} is not a time. {TIME}", param, ctx)
        return str(int(parsed.replace(tzinfo=datetime.UTC).timestamp()))


@click.group(cls=ListingGroup, invoke_without_command=True)
@options.window("First time to show; 0 is the earliest.")
@pass_app
@click.pass_context
def delayed(ctx: click.Context, app: App, /, start: int, count: int | None) -> None:
    """Show when jobs are due, and how many: delayed jobs, and those to be retried.

    With --json: an array of {"time", "epoch", "in_seconds", "jobs"}.
    """
    if ctx.invoked_subcommand:
        options.refuse_filters(ctx)
        return
    jobs = _jobs(app)
    times = [*options.paged(jobs.times, start, count)]
    now = app.workers.now()
    rows = [
        delayed_row(moment, size, now)
        for moment, size in zip(times, jobs.sizes(times), strict=True)
    ]
    columns = [
        Column("TIME", lambda row: row["time"] or str(row["epoch"])),
        Column("IN", lambda row: due_in(row["in_seconds"]), right=True),
        Column("JOBS", lambda row: str(row["jobs"]), right=True),
    ]
    listing(app, rows, columns, "No job is delayed.")


@delayed.command(cls=Listing)
@click.argument("moment", metavar="TIME", type=Moment())
@options.window("First job to show; 0 goes to its queue first.")
@pass_app
def show(app: App, /, moment: str, start: int, count: int | None) -> None:
    """Show the jobs that are due at a time.

    With --json: an array of {"index", "queue", "class", "args", "payload"}; a payload
    that is not JSON is a string.
    """
    items = options.paged(functools.partial(_jobs(app).at, moment), start, count)
    rows = (
        {"queue": queue_of(item), **job_row(index, item.raw)}
        for index, item in enumerate(items, start)
    )
    columns = [
        Column("INDEX", lambda row: str(row["index"]), right=True),
        Column("QUEUE", lambda row: row["queue"] or "?"),
        Column("CLASS", lambda row: str(row["class"] or "?")),
        Column("ARGS", lambda row: readable(row["args"])),
    ]
    listing(app, rows, columns, f"No job is due at {shown_moment(moment)}.")


@delayed.command(cls=Command)
@click.argument("moments", metavar="TIME...", type=Moment(), nargs=-1, required=True)
@pass_app
def now(app: App, /, moments: tuple[str, ...]) -> None:
    """Queue the jobs that are due at a time, without waiting for it."""
    jobs = _jobs(app)
    done = _act_on_all(jobs, moments, jobs.enqueue, "queued")
    say(f"Queued {counted(done, 'delayed job')}.")


@delayed.command(cls=Command)
@click.argument("moments", metavar="TIME...", type=Moment(), nargs=-1, required=True)
@pass_app
def remove(app: App, /, moments: tuple[str, ...]) -> None:
    """Delete the jobs that are due at a time."""
    jobs = _jobs(app)
    done = _act_on_all(jobs, moments, jobs.remove, "removed")
    say(f"Removed {counted(done, 'delayed job')}.")


@delayed.command(cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def clear(app: App, /, yes: bool) -> None:
    """Delete all delayed jobs, including those to be retried; in a terminal it asks first."""
    jobs = _jobs(app)
    count = jobs.count_jobs()
    question = f"Remove {counted(count, 'delayed job')} for good?"
    if count and not yes and sys.stdin.isatty() and not click.confirm(question, err=True):
        raise ResqueError("Nothing was removed.")
    done = 0
    with saying_how_far(lambda error: f"{counted(done, 'delayed job')} had been removed."):
        for moment in jobs.all_times():
            for item in each_at(jobs, moment):
                done += jobs.remove(item)
    say(f"Removed {counted(done, 'delayed job')}.")


def _jobs(app: App) -> DelayedJobs:
    return DelayedJobs(app.resque.client, app.resque.key_names)


def _act_on_all(
    jobs: DelayedJobs, moments: tuple[str, ...], act: Callable[[Item], int], what: str
) -> int:
    """Do it to all jobs of these times. What another has taken meanwhile is not counted."""
    done = 0
    with saying_how_far(lambda error: f"{counted(done, 'delayed job')} had been {what}."):
        for moment in moments:
            before = done
            for item in each_at(jobs, moment):
                done += act(item)
            if done == before:
                raise ResqueError(f"No job is due at {shown_moment(moment)}.")
    return done
