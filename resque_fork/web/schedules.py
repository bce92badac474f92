"""Schedules: jobs that are queued again and again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..clock.known import KnownSchedule, all_known
from ..errors import ResqueError, WrongKeyType
from ..ops.rows import Row
from ..ops.schedule_report import schedule_row
from .ask import Action, Ask, Done, NotFound, Page, slice_of

TICKS = 5  # that are shown of each
LISTED = 500  # schedules of a page


def show_all(ask: Ask) -> Row:
    """A page of the schedules, in words, with their next ticks."""
    start, stored = ask.number("start"), ask.site.resque.schedules.load()
    there = [one for one in stored.schedules if not one.left]
    found = all_known(there[start : start + LISTED], stored.now)
    return {
        "now": stored.now,
        "count": len(there),
        **slice_of(start, more=start + LISTED < len(there), page=LISTED),
        "problems": [str(WrongKeyType(key)) for key in stored.wrong],
        "schedules": [
            {**schedule_row(one, stored.now), "ticks": [*itertools.islice(_ticks(one), TICKS)]}
            for one in found
        ],
    }


def _ticks(one: KnownSchedule) -> Iterator[str]:
    """The next ones, by the clocks of its zone."""
    second = one.due
    while second is not None and one.ticks is not None:
        yield f"{one.ticks.local(second):%a %Y-%m-%d %H:%M:%S} {one.ticks.zone or 'UTC'}"
        second = one.ticks.next_after(second)


def _named(ask: Ask) -> KnownSchedule:
    """Raises NotFound."""
    name, stored = ask.named("name"), ask.site.resque.schedules.load()
    for one in all_known(stored.schedules, stored.now):
        if one.stored.name == name:
            return one
    raise NotFound(f"There is no schedule {name!r}.")


def run(ask: Ask) -> Done:
    """Queue the job of a schedule now; its ticks stay as they are."""
    one = _named(ask)
    if one.schedule is None:
        raise ResqueError(one.problem)
    job, queue = one.schedule.job, one.schedule.queue
    ask.site.resque.push(queue, {"class": job, "args": [*one.schedule.args]})
    return Done(f"Queued {job} on {queue}.", "/schedules")


def pause(ask: Ask) -> Done:
    """Let a schedule have no ticks until it is resumed."""
    name = _named(ask).stored.name
    ask.site.resque.schedules.pause(name)
    return Done(f"Paused {name}.", "/schedules")


def resume(ask: Ask) -> Done:
    """Let a paused schedule have ticks again."""
    name = _named(ask).stored.name
    if not ask.site.resque.schedules.resume(name):
        raise ResqueError(f"{name} is not paused.")
    return Done(f"Resumed {name}.", "/schedules")


def remove(ask: Ask) -> Done:
    """Remove a schedule that no worker declares."""
    name = _named(ask).stored.name
    ask.site.resque.remove_schedule(name)
    return Done(f"Removed {name}.", "/schedules")


def _name(ask: Ask) -> str:
    return _named(ask).stored.name


PAGES = (Page("/schedules", "schedules.html", show_all),)
ACTIONS = (
    Action("/schedule/run", "Run now", run, "Queue the job of {} now?", _name),
    Action("/schedule/pause", "Pause", pause, "Let {} queue nothing until it is resumed?", _name),
    Action("/schedule/resume", "Resume", resume, "Let {} queue jobs again?", _name),
    Action("/schedule/remove", "Remove", remove, "Remove the schedule {} for good?", _name),
)
