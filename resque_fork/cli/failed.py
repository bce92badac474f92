"""``failed`` and what can be done with failed jobs."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from ..client.failed import FailedJob, FailedJobs, Filter
from ..errors import ResqueError
from ..ops.how_far import of_changes
from ..ops.rows import Row, readable
from ..text import counted
from . import options
from .app import App, pass_app
from .command import Command, Listing, ListingGroup
from .failed_options import (
    LIST,
    Which,
    filters,
    selectors,
    which_list,
)
from .how_far import saying_how_far
from .output import Column, listing, note, print_json, progress, say

LONG = 20_000  # jobs; to look through as many takes a second
QUEUED = "Queued again"

Chosen = tuple[int, str | None]  # index, and id if it was given

COLUMNS = (
    Column("INDEX", lambda row: str(row["index"]), right=True),
    Column("ID", lambda row: row["id"]),
    Column("FAILED AT", lambda row: row["failed_at"] or "?"),
    Column("QUEUE", lambda row: row["queue"] or "?"),
    Column("CLASS", lambda row: row["class"] or "?"),
    Column("RETRIED", lambda row: "yes" if row["retried_at"] else ""),
    Column("EXCEPTION", lambda row: row["exception"] or "?", style=lambda row: {"fg": "red"}),
    Column("ERROR", lambda row: row["error"] or ""),
)


@click.group(cls=ListingGroup, invoke_without_command=True)
@filters
@options.window("Skip the newest N.")
@which_list
@pass_app
@click.pass_context
def failed(ctx: click.Context, app: App, /, start: int, count: int | None, **which: Any) -> None:
    """Show failed jobs, the newest first, each with its index (0 is the oldest) and id.

    Indexes shift when entries are removed. Add the id, as in 3:5f1c09ab, to name
    the entry that you saw: it is found although its index has changed, and once
    it has been removed or queued again, nothing is done.

    NAMEs may be globs. An AGE is in seconds, or 10m, 2h, 3d. A job whose time is in
    a zone that is neither UTC nor this host's has no age, so an AGE skips it; the
    command says how many it skipped. With --json: an array of {"index", "id",
    "failed_at", "queue", "class", "args", "exception", "error", "backtrace",
    "worker", "retried_at", "forensics", "raw"}.
    """
    if ctx.invoked_subcommand:
        options.refuse_filters(ctx)
        return
    jobs = _jobs(app)
    unclear = Unclear()
    with _looking(jobs, which) as update:
        matching = jobs.each(Filter(**which), progress=update, unclear=unclear)
        if count is None:
            rows = (job.to_dict() for job in itertools.islice(matching, start, None))
            listing(app, rows, COLUMNS, "")
        else:
            found = list(itertools.islice(matching, start, start + count + 1))
            _list(app, jobs, found, start, count)
    if unclear.count:
        note(f"Left out {unclear}.")


def _list(app: App, jobs: FailedJobs, found: list[FailedJob], start: int, count: int) -> None:
    """So many of them, and whether there are more."""
    others = [name for name in jobs.names() if name != jobs.name] if not found else []
    if jobs.count():
        empty = f"No job in the list {jobs.name} matches."
    else:
        empty = f"The list {jobs.name} is empty."
    if others:
        empty += f" There are other lists: {', '.join(others)}."
    listing(app, [job.to_dict() for job in found[:count]], COLUMNS, empty)
    if len(found) > count and not app.json:
        note(f"There are more: --start {start + count} shows the next.")


@failed.command(cls=Listing)
@click.argument("chosen", metavar="N[:ID]", type=Which())
@which_list
@pass_app
def show(app: App, /, chosen: Chosen) -> None:
    """Show everything about one failed job.

    With --json: an object, as in the listing.
    """
    job = _jobs(app).at(*chosen)
    if app.json:
        print_json(job.to_dict())
    else:
        say("\n".join(_described(job.to_dict())))


@failed.command(cls=Command)
@selectors
@click.option("--again", is_flag=True, help="Include jobs that were requeued before.")
@which_list
@pass_app
def requeue(
    app: App,
    /,
    chosen: tuple[Chosen, ...],
    everything: bool,
    again: bool,
    yes: bool,
    **which: Any,
) -> None:
    """Queue failed jobs again, by index or all that match.

    Their entries stay and are marked as retried. Entries that are already marked
    are skipped, unless you name them by index or give --again. In a terminal, the
    command asks you to confirm an index without an id. A job whose arguments are
    redacted cannot be queued again.
    """
    options.check_selection("failed jobs", "index", chosen, everything, which)
    jobs = _jobs(app)
    if chosen:
        _act_on(_resolved(jobs, chosen, "Queue again", yes), jobs.requeue, QUEUED)
        return
    left_out, unclear = Counter[str](), Unclear()

    def is_due(job: FailedJob) -> bool:
        if job.redacted:
            left_out["whose arguments are redacted"] += 1
        elif job.retried_at is not None and not again:
            left_out["requeued before (--again takes them in)"] += 1
        else:
            return True
        return False

    words = of_changes("failed job", "queued again")
    with saying_how_far(words), progress("Requeueing", jobs.count()) as update:
        # the oldest first, so that they come to stand in their queues as they once did
        found = jobs.each(Filter(**which), False, progress=update, unclear=unclear)
        done = jobs.requeue(filter(is_due, found))
    told = [f"{number} {which_ones}" for which_ones, number in left_out.items()]
    say(f"Queued {counted(done, 'failed job')} again{_left_out(told, unclear)}.")


@failed.command(cls=Command)
@selectors
@which_list
@pass_app
def remove(
    app: App, /, chosen: tuple[Chosen, ...], everything: bool, yes: bool, **which: Any
) -> None:
    """Remove failed jobs for good, by index or all that match.

    In a terminal, the command asks you to confirm an index without an id.
    """
    options.check_selection("failed jobs", "index", chosen, everything, which)
    jobs = _jobs(app)
    if chosen:
        _act_on(_resolved(jobs, chosen, "Remove for good", yes), jobs.remove, "Removed")
        return
    unclear = Unclear()
    words = of_changes("failed job", "removed")
    with saying_how_far(words), progress("Removing", jobs.count()) as update:
        done = jobs.remove_matching(Filter(**which), update, unclear)
    say(f"Removed {counted(done, 'failed job')}{_left_out([], unclear)}.")


@failed.command(cls=Command)
@click.option("--yes", is_flag=True, help="Do not ask.")
@which_list
@pass_app
def clear(app: App, /, yes: bool) -> None:
    """Empty the list of failed jobs; in a terminal it asks first."""
    jobs = _jobs(app)
    count = jobs.count()
    if count and not yes and sys.stdin.isatty():
        question = f"Remove {counted(count, 'failed job')} from {jobs.name} for good?"
        if not click.confirm(question, err=True):
            raise ResqueError("Nothing was removed.")
    say(f"Removed {counted(jobs.clear(), 'failed job')}.")


def _jobs(app: App) -> FailedJobs:
    return app.resque.failed(click.get_current_context().meta.get(LIST, "failed"))


def _resolved(
    jobs: FailedJobs, chosen: tuple[Chosen, ...], what: str, yes: bool
) -> list[FailedJob]:
    """The jobs that are meant: an index alone may be out of date, so a terminal is asked."""
    found = {which: jobs.at(*which) for which in chosen}
    doubtful = [job for (_, id), job in found.items() if id is None]
    if doubtful and not yes and sys.stdin.isatty():
        for job in doubtful:
            note(_named(job))
        if not click.confirm(f"{what}?", err=True):
            raise ResqueError("Nothing was done.")
    return list({job.index: job for job in found.values()}.values())


def _named(job: FailedJob) -> str:
    if job.exception is None:
        return f"{job.index}, which cannot be read"
    return f"{job.index}, {job.class_name or '?'} on {job.queue or '?'} ({job.exception})"


def _act_on(jobs: Sequence[FailedJob], act: Callable[[list[FailedJob]], int], what: str) -> None:
    """Do it to these jobs; if their entries move meanwhile, they are found again."""
    for job in jobs:
        if not act([job]):
            raise ResqueError(f"Nothing was done to {_named(job)}: {_why_not(job, what)}")
        say(f"{what}: {_named(job)}.")


def _why_not(job: FailedJob, what: str) -> str:
    if job.redacted and what == QUEUED:
        return "its arguments are redacted here, so enqueue it anew with those that it had."
    return "it has gone meanwhile, or names no queue or no class."


class Unclear:
    """The failed jobs whose age cannot be told because of the zones of their times."""

    def __init__(self) -> None:
        self.count = 0
        self._zones = set[str]()

    def __call__(self, job: FailedJob) -> None:
        self.count += 1
        self._zones.add(job.unknown_zone or "")

    def __str__(self) -> str:
        zones = ", ".join(sorted(self._zones))
        return f"{self.count} whose age is unknown because of their time zone ({zones})"


def _left_out(told: list[str], unclear: Unclear) -> str:
    told = [*told, *([str(unclear)] if unclear.count else [])]
    return "".join(f"; left out {part}" for part in told)


@contextlib.contextmanager
def _looking(jobs: FailedJobs, which: dict[str, Any]) -> Iterator[Callable[[int], None]]:
    """How far it has come, where that may take long."""
    count = jobs.count() if any(value is not None for value in which.values()) else 0
    if count < LONG:
        yield lambda steps: None
        return
    with progress("Looking", count) as update:
        yield update


def _described(job: Row) -> Iterator[str]:
    """A failed job, one thing a line, long things below their name."""
    for name in ("index", "id", "failed_at", "retried_at", "queue", "class", "worker", "exception"):
        if job[name] is not None:
            yield f"{name.replace('_', ' ') + ':':<12} {job[name]}"
    yield from _block("args", [readable(arg) for arg in job["args"]])
    yield from _block("error", (job["error"] or "").split("\n"))
    yield from _block("backtrace", job["backtrace"])
    forensics: list[str] = []
    for name, value in job["forensics"].items():
        if isinstance(value, list):
            forensics += [f"{name}:", *(f"  {line}" for line in value)]
        else:
            forensics.append(f"{name}: {value}")
    yield from _block("forensics", forensics)
    yield from _block("payload in base64", [job["raw"]] if job["raw"] else [])


def _block(name: str, lines: list[str]) -> Iterator[str]:
    if any(lines):
        yield f"{name}:"
        yield from (f"    {line}" for line in lines)
