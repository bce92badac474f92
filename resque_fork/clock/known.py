"""What a schedule that stands in Redis is, whether it has ticks, and when the next is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SettingsError
from ..job.schedule import Schedule
from ..job.ticks import CannotEvaluate, Ticks
from ..store.schedules import RENEWED_SECONDS, Stored
from ..wire.times import read_time

ON = "on"
OFF = "off"  # its declaration says that it is not enabled
PAUSED = "paused"
ENDED = "ended"  # no worker declares it any more
INVALID = "invalid"
NOT_HERE = "not here"  # this host lacks what it takes to tell its ticks

WRONG_CLOCK = 60  # seconds: of two clocks that are further apart, one is wrong


@dataclass(slots=True)
class KnownSchedule:
    """One schedule of those that were found in Redis.

    `schedule` and `ticks` are None, and `problem` says why, if it is ``invalid``, or what it says
    cannot be told here. `due` is its next tick in seconds since the epoch, None if there is none.
    It is not `counted` if its ticks are still to be counted from now on.
    """

    stored: Stored
    state: str
    schedule: Schedule | None = None
    ticks: Ticks | None = None
    due: int | None = None
    problem: str = ""
    counted: bool = True

    @property
    def last(self) -> int | None:
        """Its last tick, ours or Ruby's, in seconds since the epoch; None if there was none."""
        tick = self.stored.tick
        own = tick.second if tick and tick.real else 0
        return max(own, int(read_time(self.stored.last) or 0)) or None

    def newest_due(self, now: int) -> int | None:
        """The newest of the ticks that are due."""
        if self.due is None or self.due > now or self.ticks is None:
            return None
        return max(self.due, self.ticks.last_until(now) or 0)


def known(stored: Stored, now: int) -> KnownSchedule:
    """What it is at this time, in seconds since the epoch."""
    schedule = None
    try:
        schedule = Schedule.from_json(stored.name, stored.raw, stored.own)
        base = _base(stored, schedule, now)
        ticks = schedule.ticks(now if base is None else base)
    except SettingsError as problem:
        return KnownSchedule(stored, INVALID, problem=str(problem))
    except CannotEvaluate as problem:
        return KnownSchedule(stored, NOT_HERE, schedule, problem=str(problem))
    state = _state(stored, schedule, now)
    due = None if base is None or state != ON else ticks.next_after(base)
    return KnownSchedule(stored, state, schedule, ticks, due, counted=base is not None)


def all_known(found: Sequence[Stored], now: int) -> list[KnownSchedule]:
    """Those that there are; some have only left something behind."""
    return [known(stored, now) for stored in found if not stored.left]


def has_ended(stored: Stored, now: int) -> bool:
    """Whether workers have declared it, and do no more."""
    return stored.renewed is not None and stored.renewed < now - RENEWED_SECONDS


def _state(stored: Stored, schedule: Schedule, now: int) -> str:
    if has_ended(stored, now):
        return ENDED
    if stored.paused:
        return PAUSED
    return ON if schedule.enabled else OFF


def _base(stored: Stored, schedule: Schedule, now: int) -> int | None:
    """The second from which ticks are counted; None if that is still to be set."""
    tick = stored.tick
    if tick is None or tick.timing != schedule.timing or tick.second > now + WRONG_CLOCK:
        return None
    return max(tick.second, _rubys_last(stored, now))


def _rubys_last(stored: Stored, now: int) -> int:
    """When Ruby's scheduler had its last tick, of a schedule that it keeps too; 0 if never."""
    last = (read_time(stored.last) if stored.shared else None) or 0.0
    return int(last) if last <= now + WRONG_CLOCK else 0
