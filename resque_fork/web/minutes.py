"""How jobs ended in each minute of the last day; a minute that is over is read once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..metrics.collect import jobs_of
from ..ops.site import Site
from ..store.metrics import Fields, StoredMetrics

MINUTE = 60  # seconds
DAY = 24 * 60  # minutes
AT_ONCE = 20  # minutes that are read in one round trip
BUDGET = 0.2  # seconds that a page spends on reading those before the first


class Ends(NamedTuple):
    """How many attempts at jobs ended in which way."""

    done: int = 0
    failed: int = 0
    again: int = 0  # went wrong, and are tried again

    @classmethod
    def of(cls, counted: Fields) -> Ends:
        """Those that were stopped and went back to their queue are left out."""
        numbers = dict.fromkeys(("done", "failed", "later", "lost"), 0)
        for (_, _, outcome), number in jobs_of(counted).items():
            if outcome in numbers:
                numbers[outcome] += number
        return cls(numbers["done"], numbers["failed"], numbers["later"] + numbers["lost"])


class Minutes:
    """Remembers what was read, so that a page reads no more than the minutes that are new."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._known: dict[int, Ends] = {}

    def last_day(self) -> Mapping[int, Ends]:
        """The minutes that are over, by the second at which they began; the newest is the last.

        After a start it takes several calls until those of the whole day are there.
        """
        now = int(self._site.workers.now())
        first = now - now % MINUTE - DAY * MINUTE
        wanted = range(first, first + DAY * MINUTE, MINUTE)
        with self._lock:
            known = {second: self._known[second] for second in wanted if second in self._known}
            missing = [second for second in wanted if second not in known]
            for seconds, ends in self._read(missing):
                known |= dict(zip(seconds, ends, strict=True))
            self._known = dict(sorted(known.items()))
            return self._known

    def _read(self, missing: Sequence[int]) -> Iterator[tuple[Sequence[int], list[Ends]]]:
        """The newest first, for as long as the budget lasts."""
        resque = self._site.resque
        stored, late = StoredMetrics(resque.client, resque.key_names), time.monotonic() + BUDGET
        for end in range(len(missing), 0, -AT_ONCE):
            seconds = missing[max(0, end - AT_ONCE) : end]
            yield seconds, [Ends.of(counted) for counted in stored.minutes(seconds)]
            if time.monotonic() > late:
                return
