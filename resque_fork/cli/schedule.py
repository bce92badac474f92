"""``schedule``: jobs that are queued again and again."""

from __future__ import annotations

import datetime
import heapq
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..clock.known import INVALID, NOT_HERE, ON, KnownSchedule, all_known
from ..errors import ResqueError, SettingsError, WrongKeyType
from ..job.registry import registry
from ..job.ticks import CannotEvaluate, Ticks
from ..ops.rows import Row
from ..ops.schedule_report import schedule_row
from ..text import due_in, duration
from ..wire.times import read_time, run_time
from . import application, options
from .app import App, completing, pass_app
from .command import Command, Listing, ListingGroup
from .options import Seconds
from .output import Column, listing, note, say
from .schedule_file import declare_schedules

complete_schedule = completing(
    lambda resque: [stored.name for stored in resque.schedules.load().schedules if not stored.left]
)
name_argument = click.argument("name", metavar="NAME", shell_complete=complete_schedule)

STYLES: dict[str, dict[str, Any]] = {
    ON: {"fg": "green"},
    INVALID: {"fg": "red", "bold": True},
    NOT_HERE: {"fg": "red"},
}


@click.group(cls=ListingGroup, invoke_without_command=True)
@pass_app
@click.pass_context
def schedule(ctx: click.Context, app: App, /) -> None:
    """Show all schedules: when they queue which job, and when they did so last.

    STATE is on; off, if the declaration says so; paused; ended, if no worker
    declares it any more; invalid; or not here, if this host cannot tell when it is
    due. With --json: an array of {"name", "state", "when", "cron", "every", "zone",
    "last_at", "next_at", "in_seconds", "class", "queue", "args", "description",
    "catch_up", "shared", "problem"}.
    """
    if ctx.invoked_subcommand:
        return
    found, now = _load(app)
    rows = [schedule_row(one, now) for one in found]
    columns = [
        Column("NAME", lambda row: row["name"]),
        Column("WHEN", lambda row: " ".join(filter(None, (row["when"], row["zone"])))),
        Column("LAST", lambda row: _ago(row["last_at"], now), right=True),
        Column(
            "NEXT IN", lambda row: due_in(row["in_seconds"]) if row["next_at"] else "", right=True
        ),
        Column("CLASS", lambda row: row["class"] or "?"),
        Column("QUEUE", lambda row: row["queue"] or "?"),
        Column("STATE", lambda row: row["state"], style=lambda row: STYLES.get(row["state"], {})),
    ]
    listing(app, rows, columns, "There is no schedule.")
    if not app.json:
        for row in rows:
            if row["problem"]:
                note(row["problem"])


@schedule.command("next", cls=Listing)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_schedule)
@click.option(
    "--until",
    metavar="TIME",
    type=Seconds("a time"),
    default="7d",
    show_default=True,
    help="How far to look ahead.",
)
@options.window("First tick to show; 0 is the next.", "ticks")
@pass_app
def next_ticks(
    app: App, /, names: tuple[str, ...], until: float, start: int, count: int | None
) -> None:
    """Show the next ticks of schedules, and queue nothing.

    Days on which clocks change are marked. With --json: an array of {"name", "time",
    "local", "epoch", "in_seconds", "clocks_change"}.
    """
    found, now = _load(app)
    chosen = [_named(found, name) for name in names] if names else found
    for one in chosen if names else ():
        if one.due is None:
            note(one.problem or f"{one.stored.name} has no ticks: it is {one.state}.")
    streams = [_ticks(one, now + until) for one in chosen if one.due is not None]
    stop = None if count is None else start + count
    ticks = itertools.islice(heapq.merge(*streams), start, stop)
    rows = (_tick_row(*tick, now) for tick in ticks)
    columns = [
        Column("NAME", lambda row: row["name"]),
        Column("TIME", lambda row: row["local"]),
        Column("IN", lambda row: due_in(row["in_seconds"]), right=True),
        Column("", lambda row: "clocks change on this day" if row["clocks_change"] else ""),
    ]
    listing(app, rows, columns, f"There is no tick in the next {duration(until)}.")


@schedule.command(
    cls=Command,
    params=[
        click.Argument(["file"], metavar="FILE", type=click.Path(path_type=Path)),
        *options.of_settings("require"),
    ],
)
@pass_app
def check(app: App, /, file: Path) -> int:
    """Check the schedules of a config file, and those of the application, without a worker.

    The exit status is 1 if one of them is not valid.
    """
    application.prepare(app.settings)
    application.load(app.settings)
    declare_schedules(file)
    schedules = registry.schedules()
    problems = 0
    for one in schedules:
        try:
            ticks = one.ticks(0)
        except (SettingsError, CannotEvaluate) as problem:
            problems += 1
            note(str(problem))
            continue
        say(f"{one.name}: {' '.join(filter(None, (ticks.words, ticks.zone)))}")
        if ticks.warning:
            note(f"The schedule {one.name!r}: {ticks.warning}")
    if not schedules:
        note(f"There is no schedule in {file}: it has no table such as [schedule.nightly].")
    return int(problems > 0)


@schedule.command(cls=Command)
@name_argument
@pass_app
def run(app: App, /, name: str) -> None:
    """Queue the job of a schedule now. Its ticks stay as they are."""
    one = _of_name(app, name)
    if one.schedule is None:
        raise ResqueError(one.problem)
    app.resque.push(one.schedule.queue, {"class": one.schedule.job, "args": [*one.schedule.args]})
    say(f"Queued {one.schedule.job} on {one.schedule.queue}.")


@schedule.command(cls=Command)
@name_argument
@pass_app
def pause(app: App, /, name: str) -> None:
    """Stop the ticks of a schedule until resume."""
    _of_name(app, name)
    app.resque.schedules.pause(name)
    say(f"Paused {name}: it queues nothing until resque-fork schedule resume {name}.")


@schedule.command(cls=Command)
@name_argument
@pass_app
def resume(app: App, /, name: str) -> None:
    """End the pause of a schedule. Its catch_up decides whether a missed tick is made up for."""
    _of_name(app, name)
    if not app.resque.schedules.resume(name):
        raise ResqueError(f"{name} is not paused.")
    say(f"Resumed {name}.")


@schedule.command(cls=Command)
@name_argument
@pass_app
def remove(app: App, /, name: str) -> None:
    """Remove a schedule that was set at run time, or that no worker declares any more."""
    _of_name(app, name)
    app.resque.remove_schedule(name)
    say(f"Removed {name}.")


def _load(app: App) -> tuple[list[KnownSchedule], int]:
    found = app.resque.schedules.load()
    for key in found.wrong:
        note(str(WrongKeyType(key)))
    return all_known(found.schedules, found.now), found.now


def _of_name(app: App, name: str) -> KnownSchedule:
    return _named(_load(app)[0], name)


def _named(found: list[KnownSchedule], name: str) -> KnownSchedule:
    for one in found:
        if one.stored.name == name:
            return one
    raise ResqueError(f"There is no schedule {name!r}; resque-fork schedule shows those there are.")


def _ago(time: str | None, now: int) -> str:
    if time is None:
        return "never"
    then = read_time(time)  # None beyond the year 9999: others write what they like
    return "?" if then is None else f"{duration(now - then)} ago"


def _ticks(one: KnownSchedule, until: float) -> Iterator[tuple[int, str, Ticks]]:
    second = one.due
    while second is not None and second <= until and one.ticks is not None:
        yield second, one.stored.name, one.ticks
        second = one.ticks.next_after(second)


def _tick_row(second: int, name: str, ticks: Ticks, now: int) -> Row:
    local = ticks.local(second)
    midnight = local.replace(hour=0, minute=0, second=0)
    next_midnight = midnight + datetime.timedelta(days=1)
    return {
        "name": name,
        "time": run_time(second),
        "local": f"{local:%a %Y-%m-%d %H:%M:%S} {ticks.zone or 'UTC'}",
        "epoch": second,
        "in_seconds": second - now,
        "clocks_change": midnight.utcoffset() != next_midnight.utcoffset(),
    }
