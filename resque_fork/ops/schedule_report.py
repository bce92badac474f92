"""All schedules as they are shown."""

from __future__ import annotations

from ..clock.known import KnownSchedule
from ..job.schedule import Schedule
from ..job.ticks import Ticks
from ..wire.times import run_time
from .rows import Row


def schedule_row(one: KnownSchedule, now: int) -> Row:
    """What stands in Redis of one, and when its ticks are."""
    schedule, ticks = one.schedule, one.ticks
    return {
        "name": one.stored.name,
        "state": one.state,
        "when": _when(schedule, ticks),
        "cron": schedule and schedule.cron,
        "every": (schedule and schedule.period) or None,
        "zone": ticks.zone if ticks else "",
        "last_at": None if one.last is None else run_time(one.last),
        "next_at": None if one.due is None else run_time(one.due),
        "in_seconds": None if one.due is None else one.due - now,
        "class": schedule and schedule.job,
        "queue": schedule and schedule.queue,
        "args": [*schedule.args] if schedule else None,
        "description": schedule.description if schedule else "",
        "catch_up": schedule and schedule.catch_up_seconds,
        "shared": one.stored.shared,
        "problem": one.problem or (ticks.warning if ticks else "") or None,
    }


def _when(schedule: Schedule | None, ticks: Ticks | None) -> str:
    """In words if they can be told, else as it was written."""
    if ticks:
        return ticks.words
    return (schedule and schedule.cron) or "?"
