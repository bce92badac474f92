"""Jobs that wait for their time, as they are shown and taken out."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import UnreadablePayload
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..wire.delayed import due_of, is_second
from ..wire.times import run_time
from .rows import Row


def each_at(jobs: DelayedJobs, moment: str) -> Iterator[Item]:
    """From the front, while there are any: those that were yielded are expected to go."""
    seen: set[bytes] = set()
    while items := [item for item in jobs.at(moment) if item.raw not in seen]:
        for item in items:
            if item.raw not in seen:
                seen.add(item.raw)
                yield item


def delayed_row(moment: str, size: int, now: float) -> Row:
    """A time at which so many jobs are due."""
    whole = is_second(moment)
    return {
        "time": shown_moment(moment) if whole else None,
        "epoch": int(moment) if whole else moment,
        "in_seconds": int(moment) - int(now) if whole else None,
        "jobs": size,
    }


def shown_moment(moment: str) -> str:
    """A second as a time, if it is one."""
    try:
        return run_time(int(moment))
    except (ValueError, OverflowError, OSError):
        return moment


def queue_of(item: Item) -> str | None:
    """The queue that an item goes to; None if it names none."""
    try:
        return due_of(item.raw).queue
    except UnreadablePayload:
        return None
