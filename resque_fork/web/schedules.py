"""Schedules: jobs that are queued again and again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..clock.known import KnownSchedule, all_known
from ..errors import WrongKeyType
from ..ops.rows import Row
from ..ops.schedule_report import schedule_row
from .ask import Ask, Page

TICKS = 5  # that are shown of each


def show_all(ask: Ask) -> Row:
    """All schedules, in words, with their next ticks."""
    stored = ask.site.resque.schedules.load()
    found = all_known(stored.schedules, stored.now)
    return {
        "now": stored.now,
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


PAGES = (Page("/schedules", "schedules.html", show_all),)
