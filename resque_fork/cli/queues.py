"""``queues`` and what can be done with one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import click

from ..errors import ResqueError
from ..ops.rows import Row, job_row, readable
from ..store.queues import Queues
from ..text import counted, did_you_mean
from . import options
from .app import App, complete_queue, pass_app
from .command import Command, Listing, ListingGroup
from .output import Column, listing, say

queue_argument = click.argument("queue", shell_complete=complete_queue)


@click.group(cls=ListingGroup, invoke_without_command=True)
@pass_app
@click.pass_context
def queues(ctx: click.Context, app: App) -> None:
    """Show every queue with its number of jobs.

    With --json: an array of {"queue", "size", "paused" (true or false)}. Queues that
    are paused and do not exist yet are among them.
    """
    if ctx.invoked_subcommand:
        return
    paused = app.resque.paused_queues()
    sizes = {**dict.fromkeys(paused, 0), **app.resque.queue_sizes()}
    rows = [
        {"queue": name, "size": size, "paused": name in paused}
        for name, size in sorted(sizes.items())
    ]
    columns = [
        Column("QUEUE", lambda row: row["queue"]),
        Column("JOBS", lambda row: str(row["size"]), right=True),
        Column("", lambda row: "paused" if row["paused"] else ""),
    ]
    listing(app, rows, columns, "There are no queues.")


@queues.command(cls=Listing)
@queue_argument
@options.window("First job to show; 0 is the next one.")
@pass_app
def peek(app: App, queue: str, start: int, count: int | None) -> None:
    """Show the jobs of a queue, the next one first.

    With --json: an array of {"index", "class", "args", "payload"}; a payload
    that is not JSON is a string.
    """
    stored = Queues(app.resque.client, app.resque.key_names)
    payloads = options.paged(functools.partial(stored.peek, queue), start, count)
    columns = [
        Column("INDEX", lambda row: str(row["index"]), right=True),
        Column("CLASS", lambda row: str(row["class"] or "?")),
        Column("ARGS", _shown_args),
    ]
    rows = (job_row(index, raw) for index, raw in enumerate(payloads, start))
    if app.json:
        listing(app, rows, columns, "")
        return
    shown = [*rows]
    known = app.resque.queues()
    empty = f"There is no job at {start} or after in {queue}."
    listing(app, shown, columns, empty if shown or queue in known else _no_queue(queue, known))


@queues.command(cls=Command)
@queue_argument
@pass_app
def remove(app: App, queue: str) -> None:
    """Delete a queue and all its jobs."""
    refuse_unknown(app, queue)
    say(f"Removed {queue} with {counted(app.resque.remove_queue(queue), 'job')}.")


@queues.command(cls=Command)
@queue_argument
@pass_app
def clear(app: App, queue: str) -> None:
    """Delete all jobs of a queue but keep the queue."""
    refuse_unknown(app, queue)
    say(f"Removed {counted(app.resque.clear_queue(queue), 'job')} from {queue}.")


def _no_queue(queue: str, known: Sequence[str]) -> str:
    hint = did_you_mean(queue, known)
    return f"There is no queue {queue}" + (
        hint if hint.endswith("?") else "; resque-fork queues shows those there are."
    )


def refuse_unknown(app: App, queue: str) -> None:
    """Raises ResqueError if there is no such queue."""
    known = app.resque.queues()
    if queue not in known and not app.resque.size(queue):
        raise ResqueError(_no_queue(queue, known))


def _shown_args(row: Row) -> str:
    """The arguments, or of what is not a job all there is."""
    if row["class"] is None:
        return row["payload"] if isinstance(row["payload"], str) else readable(row["payload"])
    return readable(row["args"] or [])
