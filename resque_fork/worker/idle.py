"""How long an idle worker sleeps before it looks again, unless the bell wakes it."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..settings import Settings

FIRST_DEAF = 0.005  # seconds
DEAF_PER_WORKER = 0.01
LISTENERS = 20  # of a large fleet, while nothing happens: each push wakes all of them


class Pace:
    """Resque's intervals, and the pauses after a race for a job was lost.

    The interval grows by `backoff_interval` with each look that found nothing,
    up to `max_interval`, and is `min_interval` again after a job. Unless set,
    min and max are the interval itself, so that it is constant.
    """

    def __init__(
        self,
        interval: float,
        settings: Settings,
        choose: Callable[[float, float], float] = random.uniform,
    ) -> None:
        given = settings
        self._max = interval if given.max_interval is None else given.max_interval
        shortest = interval if given.min_interval is None else given.min_interval
        self._min = min(shortest, self._max)
        backoff = 0.1 if given.backoff_interval is None else given.backoff_interval
        self._backoff = min(backoff, self._max)
        self._interval = min(max(interval, self._min), self._max)
        self._lost = 0
        self._quiet = False
        self._choose = choose

    def after_job(self) -> None:
        self._interval = self._min
        self._lost = max(0, self._lost - 1)
        self._quiet = False

    def listens(self, fleet: int) -> bool:
        """Whether to have the bell rung: always, but in a large fleet if it did not help lately.

        That is after a whole interval without a job, and after a race that was lost.
        """
        return not self._quiet or self._choose(0, fleet) < LISTENERS

    def next(self) -> float:
        """Seconds to sleep after a look that found nothing."""
        self._quiet = True
        self._interval = min(self._interval + self._backoff, self._max)
        return self._interval

    def after_lost_race(self, fleet: int) -> float:
        """Seconds to be deaf to the bell after it rang for a job that another got.

        Random and growing, the more so the larger the fleet: of five hundred
        idle workers, few should wake for each job. Two races won make up for one lost.
        """
        self._lost = min(self._lost + 2, 20)
        self._quiet = True
        longest = min(self._max, DEAF_PER_WORKER * fleet, FIRST_DEAF * 2**self._lost)
        return self._choose(0, longest)
