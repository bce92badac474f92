"""The ticks of schedules: at each, a clock queues the schedule's job."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from ..errors import RedisRefused, WrongKeyType
from ..logs import Once
from ..store.schedules import KEPT_SECONDS, Stored, StoredSchedules
from ..wire.times import run_time
from .known import NOT_HERE, KnownSchedule, has_ended, known

log = logging.getLogger("resque_fork")

LOAD_SECONDS = 5  # between two looks at what schedules there are
LATE_SECONDS = 60  # after which a tick was missed: a clock may have to take over from another


class Ticker:
    """Reads the schedules every few seconds, and knows when their next ticks are.

    It is `whole` if this process can tell the ticks of all of them.
    """

    def __init__(self, schedules: StoredSchedules) -> None:
        self.whole = True
        self._schedules = schedules
        self._known: dict[str, KnownSchedule] = {}
        self._loaded = 0  # when, by the server's clock
        self._ruby = False  # whether that scheduler was there
        self._errors = Once(logging.ERROR)

    def tick(self, now: int, *, ruby: bool) -> int:
        """Queue the jobs of all ticks that are due, by the server's clock; how many.

        While `ruby` is there, what was set for all schedulers is its business.
        """
        if not 0 <= now - self._loaded < LOAD_SECONDS or (self._ruby and not ruby):
            self._loaded = now
            try:
                self._load()
            except RedisRefused as problem:  # another clock may be allowed to
                self.whole = False
                self._errors.log("Schedules cannot be kept by this clock: %s", problem)
        self._ruby = ruby
        return sum(
            self._tick(one, now) for one in self._known.values() if not (ruby and one.stored.shared)
        )

    def _load(self) -> None:
        found = self._schedules.load()
        self._loaded = found.now
        for key in found.wrong:
            self._errors.log("%s", WrongKeyType(key))
        gone = [each for each in found.schedules if each.left or has_ended(each, found.now)]
        self._forget(gone, found.now)
        names = {each.name for each in gone}
        self._known = {
            each.name: self._as_known(each, found.now)
            for each in found.schedules
            if each.name not in names
        }
        for one in self._known.values():
            if one.problem:
                self._errors.log("%s", one.problem)
        self.whole = all(one.state != NOT_HERE for one in self._known.values())
        uncounted = [one for one in self._known.values() if not one.counted]
        if uncounted:
            self._schedules.count(
                {one.stored.name: one.schedule.timing for one in uncounted if one.schedule}
            )
            self._loaded = 0  # they are known at the next tick

    def _as_known(self, stored: Stored, now: int) -> KnownSchedule:
        """As it was known before, if it has not changed: telling a tick takes a while."""
        before = self._known.get(stored.name)
        if before is not None and before.counted and _core(before.stored) == _core(stored):
            return before
        return known(stored, now)

    def _tick(self, one: KnownSchedule, now: int) -> int:
        second = one.newest_due(now)
        if second is None or one.schedule is None or one.ticks is None:
            return 0
        answer = "missed"
        if now - second <= max(LATE_SECONDS, one.schedule.catch_up_seconds):
            try:
                answer = self._schedules.tick(one.stored, one.schedule, second)
            except RedisRefused as problem:  # the tick stays due
                self._errors.log("The schedule %r cannot be kept: %s", one.stored.name, problem)
                return 0
        if answer in ("changed", "paused", "ruby"):
            self._known, self._loaded = {}, 0
            return 0
        if answer == "missed":
            log.warning("The tick of %r at %s was missed", one.stored.name, run_time(second))
        elif answer == "done":
            log.info("The schedule %r has queued %s", one.stored.name, one.schedule.job)
        one.due = one.ticks.next_after(second)
        return int(answer == "done")

    def _forget(self, gone: Sequence[Stored], now: int) -> None:
        """What schedules have left behind that there are no more, after a while."""
        for stored in gone:
            last = max(stored.renewed or 0, stored.tick.second if stored.tick else 0)
            if last < now - KEPT_SECONDS:
                self._schedules.remove(stored.name)


def _core(stored: Stored) -> Stored:
    """Without what changes at every heartbeat, and with each of our own ticks."""
    return replace(stored, renewed=None, last=stored.last if stored.shared else "", tick=None)
