"""An idle worker: how long it sleeps before it looks again, and what wakes it before.

| it found nothing, and | so it | and then |
| --- | --- | --- |
| was woken, but another was faster | unsubscribes for a random, growing time | subscribes |
| is not subscribed | subscribes | looks once more, for what was pushed before |
| is subscribed, or cannot be | sleeps for the interval, until a push or a signal | looks |
| is paused | unsubscribes, sleeps until a signal | looks |
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ..settings import Settings
from ..store.queue_listener import QueueListener
from ..system.loop import Loop
from ..system.service import Stop

FIRST_QUIET = 0.005  # seconds
QUIET_PER_WORKER = 0.01
LISTENERS = 20  # of a large fleet, while nothing happens: each push wakes all of them


class IdleBackoff:
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
        """Whether to subscribe: always, but in a large fleet not if it did not help lately.

        That is after a whole interval without a job, and after a race that was lost.
        """
        return not self._quiet or self._choose(0, fleet) < LISTENERS

    def next(self) -> float:
        """Seconds to sleep after a look that found nothing."""
        self._quiet = True
        self._interval = min(self._interval + self._backoff, self._max)
        return self._interval

    def after_lost_race(self, fleet: int) -> float:
        """Seconds to stay unsubscribed after it was notified of a job that another got.

        Random and growing, the more so the larger the fleet: of five hundred
        idle workers, few should wake for each job. Two races won make up for one lost.
        """
        self._lost = min(self._lost + 2, 20)
        self._quiet = True
        longest = min(self._max, QUIET_PER_WORKER * fleet, FIRST_QUIET * 2**self._lost)
        return self._choose(0, longest)


class Idler:
    """Sleeps on behalf of a worker. `was_notified` says whether that was before its last look."""

    def __init__(self, loop: Loop, listener: QueueListener, stop: Stop) -> None:
        self._loop = loop
        self._listener = listener
        self._stop = stop
        self._woken = False  # by a signal
        self.was_notified = False

    def wake(self) -> None:
        """Something has changed, such as a pause that ended: look at once."""
        self._woken = True

    def listen(self, backoff: IdleBackoff, fleet: int, paused: bool) -> bool:
        """Whether to look again at once, because it has just subscribed or lost a race."""
        listener = self._listener
        if self.was_notified and listener.subscribed:  # somebody else was faster
            listener.unsubscribe()  # for a while, so that few wake for each job
            self.sleep(backoff.after_lost_race(fleet))
            if backoff.listens(fleet):
                listener.subscribe()
            return True
        if paused or not backoff.listens(fleet):
            listener.unsubscribe()
            return False
        return not (self._woken or listener.subscribed) and listener.subscribe()

    def sleep(self, seconds: float | None) -> None:
        """Until a push, a signal that matters, or the end of so many seconds."""
        until = None if seconds is None else self._loop.clock() + seconds
        while not (self._stop.asked or self._woken or self._listener.notified):
            if until is not None and self._loop.clock() >= until:
                break
            self._loop.idle(until)
        self._woken = False
