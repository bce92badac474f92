"""``retries``: jobs that have failed and are tried again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ..errors import ResqueError
from ..ops.retried import SHOWN, RetriedJobs
from ..ops.rows import readable
from ..store.delayed import Item
from ..store.retried_jobs import Retried
from ..text import counted, due_in
from . import options
from .app import App, complete_queue, pass_app
from .command import Command, Listing, ListingGroup
from .output import Column, listing, print_json, say

filters = options.all_of(
    click.option("--class", "class_name", metavar="NAME", help="Only jobs of this class."),
    click.option(
        "--queue", metavar="NAME", shell_complete=complete_queue, help="Only jobs of this queue."
    ),
)
selectors = options.all_of(
    click.argument("ids", metavar="[ID]...", nargs=-1),
    click.option("--all", "everything", is_flag=True, help="All jobs that are retried."),
    filters,
)

COLUMNS = (
    Column("ID", lambda row: row["id"]),
    Column("DUE IN", lambda row: due_in(row["in_seconds"]), right=True),
    Column("QUEUE", lambda row: row["queue"] or "?"),
    Column("CLASS", lambda row: row["class"] or "?"),
    Column("FAILED", lambda row: f"{row['failures']}x", right=True),
    Column("EXCEPTION", lambda row: row["exception"] or "", style=lambda row: {"fg": "red"}),
    Column("ERROR", lambda row: row["error"] or ""),
)


@click.group(cls=ListingGroup, invoke_without_command=True)
@filters
@options.window("First job to show; 0 is due next.")
@pass_app
@click.pass_context
def retries(ctx: click.Context, app: App, /, start: int, count: int | None, **which: Any) -> None:
    """Show the jobs that have failed and wait for a retry, the next one first.

    Equal jobs share a line. NAMEs may be globs. With --json: an array of {"id",
    "due_at", "in_seconds", "queue", "class", "args", "failures",
    "first_failed_at", "exception", "error", "waiting"}.
    """
    if ctx.invoked_subcommand:
        options.refuse_filters(ctx)
        return
    found = RetriedJobs(app.site)
    stop = None if count is None else start + count
    shown = itertools.islice(found.matching(**which), start, stop)
    rows = (found.row(job, items) for job, items in shown)
    listing(app, rows, COLUMNS, "No job is being retried.")


@retries.command(cls=Listing)
@click.argument("id", metavar="ID")
@pass_app
def show(app: App, /, id: str) -> None:
    """Show everything about a job that waits for a retry.

    With --json: an object, as in the listing.
    """
    found = RetriedJobs(app.site)
    job = found.named(id)
    row = found.row(job, found.items_of(job))
    if app.json:
        print_json(row)
        return
    for name, value in row.items():
        if value is not None:
            text = readable(value) if name == "args" else str(value)
            say(f"{name.replace('_', ' ') + ':':<16} {text}")


@retries.command(cls=Command)
@selectors
@pass_app
def now(app: App, /, ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Queue jobs at once, without waiting for their retry. This acts on all equal jobs."""
    found = RetriedJobs(app.site)
    done = 0
    for job, items in _chosen(found, ids, everything, which):
        taken = sum(found.delayed.enqueue(item) for item in items)
        if ids and not taken:
            raise ResqueError(f"{job.digest[:SHOWN]} does not wait: it is in its queue or runs.")
        done += taken
    say(f"Queued {counted(done, 'job')}.")


@retries.command(cls=Command)
@selectors
@pass_app
def remove(app: App, /, ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Delete jobs that wait for their retry. This acts on all equal jobs.

    A job that is already in its queue or running stays, and starts its attempts over.
    """
    found = RetriedJobs(app.site)
    done = 0
    for job, items in _chosen(found, ids, everything, which):
        done += sum(found.delayed.remove(item) for item in items)
        found.retries.forget(job.digest)
    say(f"Removed {counted(done, 'job')}.")


def _chosen(
    found: RetriedJobs, ids: Sequence[str], everything: bool, which: dict[str, Any]
) -> Iterator[tuple[Retried, list[Item]]]:
    """Those that are meant. Raises UsageError unless it is clear which."""
    options.check_selection("jobs", "id", ids, everything, which)
    if ids:
        return iter([(job, found.items_of(job)) for job in map(found.named, ids)])
    return found.matching(**which)
