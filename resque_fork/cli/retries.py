"""``retries``: jobs that have failed and are tried again."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ..errors import ResqueError, UnreadablePayload
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..store.retried_jobs import Retried, Retries
from ..wire.delayed import digest_of, due_of, payload_of
from ..wire.job import MAX_PAYLOAD, Payload
from ..wire.times import run_time
from ..wire.unreadable import unwrapped
from . import options
from .app import App, complete_queue, pass_app
from .command import Command, Listing, ListingGroup
from .output import Column, Row, counted, due_in, listing, print_json, readable, say

SHOWN = 8  # hex digits of a digest, which name a job on the command line
PAGE = 100

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
    """Show the jobs that have failed and are tried again, those that are due next first.

    Equal jobs share a line. NAMEs may be globs. With --json: an array of {"id",
    "due_at", "in_seconds", "queue", "class", "args", "failures",
    "first_failed_at", "exception", "error", "waiting"}.
    """
    if ctx.invoked_subcommand:
        options.refuse_filters(ctx)
        return
    found = _Found(app)
    stop = None if count is None else start + count
    shown = itertools.islice(found.matching(**which), start, stop)
    rows = (found.row(job, items) for job, items in shown)
    listing(app, rows, COLUMNS, "No job is being retried.")


@retries.command(cls=Listing)
@click.argument("id", metavar="ID")
@pass_app
def show(app: App, /, id: str) -> None:
    """Show everything about a job that is tried again.

    With --json: an object, as in the listing.
    """
    found = _Found(app)
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
    """Queue jobs that wait for their retry now. This acts on all equal jobs."""
    found = _Found(app)
    done = 0
    for job, items in found.chosen(ids, everything, which):
        taken = sum(found.delayed.enqueue(item) for item in items)
        if ids and not taken:
            raise ResqueError(f"{job.digest[:SHOWN]} does not wait: it is in its queue or runs.")
        done += taken
    say(f"Queued {counted(done, 'job')}.")


@retries.command(cls=Command)
@selectors
@pass_app
def remove(app: App, /, ids: tuple[str, ...], everything: bool, **which: Any) -> None:
    """Remove jobs that wait for their retry for good. This acts on all equal jobs.

    One that is in its queue or runs by now stays, and begins its attempts anew.
    """
    found = _Found(app)
    done = 0
    for job, items in found.chosen(ids, everything, which):
        done += sum(found.delayed.remove(item) for item in items)
        found.retries.forget(job.digest)
    say(f"Removed {counted(done, 'job')}.")


class _Found:
    """Jobs that are retried, with the items of theirs that wait."""

    def __init__(self, app: App) -> None:
        client, keys = app.resque.client, app.resque.key_names
        self.retries = Retries(client, keys)
        self.delayed = DelayedJobs(client, keys)
        self._now = app.workers.now()

    def named(self, id: str) -> Retried:
        """The one whose id begins so. Raises ResqueError if there is not exactly one."""
        found = self.retries.named(id) if id.isalnum() else []
        if len(found) != 1:
            which = "Several jobs have ids that begin" if found else "No job that is retried begins"
            raise ResqueError(f"{which} with {id!r}: see resque-fork retries.")
        return found[0]

    def chosen(
        self, ids: Sequence[str], everything: bool, which: dict[str, Any]
    ) -> Iterator[tuple[Retried, list[Item]]]:
        """Those that are meant. Raises UsageError unless it is clear which."""
        options.check_selection("jobs", "id", ids, everything, which)
        if ids:
            return iter([(job, self.items_of(job)) for job in map(self.named, ids)])
        return self.matching(**which)

    def matching(
        self, class_name: str | None, queue: str | None
    ) -> Iterator[tuple[Retried, list[Item]]]:
        """Those of a class and a queue, which may be globs."""
        jobs = [job for page in self._pages() for job in page]
        for job in jobs:
            items = self.items_of(job)
            name = self.payload(items).class_name if items else ""
            if _fits(class_name, name) and _fits(queue, job.queue):
                yield job, items

    def _pages(self) -> Iterator[list[Retried]]:
        start = 0
        while page := self.retries.page(start, PAGE):
            yield page
            start += PAGE

    def items_of(self, job: Retried) -> list[Item]:
        """What waits for it, each item once; none if it is in its queue by now, or runs."""
        found: dict[bytes, Item] = {}
        start, moment = 0, str(int(job.due))
        while items := self.delayed.at(moment, start):
            for item in items:
                with contextlib.suppress(UnreadablePayload):
                    if digest_of(self.payload([item])) == job.digest:
                        found[item.raw] = item
            start += len(items)
        return list(found.values())

    @staticmethod
    def payload(items: Sequence[Item]) -> Payload:
        """What the first of them says. Raises UnreadablePayload."""
        raw = items[0].raw
        return Payload.take(unwrapped(payload_of(raw, due_of(raw))), MAX_PAYLOAD)

    def row(self, job: Retried, items: list[Item]) -> Row:
        payload = self.payload(items) if items else None
        known = payload if payload and payload.decoded else None
        return {
            "id": job.digest[:SHOWN],
            "due_at": run_time(job.due),
            "in_seconds": int(job.due - self._now),
            "queue": job.queue or None,
            "class": known.class_name if known else None,
            "args": known.args if known else None,
            "failures": job.failures,
            "first_failed_at": run_time(job.first) if job.first else None,
            "exception": job.exception or None,
            "error": job.error or None,
            "waiting": job.waiting,
        }


def _fits(glob: str | None, text: str) -> bool:
    return glob is None or fnmatch.fnmatchcase(text, glob)
