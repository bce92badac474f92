"""The clock: each second, what is due goes to its queue. A task of the loop."""

from __future__ import annotations

import contextlib
import logging
import math
import random
from collections.abc import Callable

from ..errors import RedisRefused, WrongKeyType
from ..logs import Once
from ..store.delayed import Look
from ..system.loop import Loop
from ..system.shield import Shield
from .mover import Mover
from .ticker import Ticker

log = logging.getLogger("resque_fork")

MARGIN = 0.002  # seconds after the turn of a second, so that it has turned on the server too
LOOK_SECONDS = 4.0  # between two looks of a clock that does not hold the lease, at least
LOOKS_A_SECOND = 1.5  # of all such clocks together
REFUSED_SECONDS = 60.0  # until a clock that Redis refuses tries again
TIMES = "delayed_queue_schedule"
NOT_WAITED_FOR = ("WRONGTYPE", "NOPERM")  # refusals: others may be allowed to move jobs


class Clock:
    """`pushed` is called when jobs have gone to their queues, `mark` each second, by the clock that
    holds the lease: it marks jobs that wait, so that it is known for how long.
    """

    def __init__(
        self,
        loop: Loop,
        mover: Mover,
        ticker: Ticker,
        pushed: Callable[[], None] = lambda: None,
        mark: Callable[[], None] = lambda: None,
    ) -> None:
        self.due = loop.clock()
        self.holds = False  # the lease
        self._allowed = False  # by Redis to do what it has to; found out once
        self._loop = loop
        self._mover = mover
        self._ticker = ticker
        self._pushed = pushed
        self._mark = mark
        self._stopped = False
        self._shield = Shield()
        self._state = ""
        self._errors = Once(logging.ERROR)

    def run(self) -> None:
        """Move some of what is due. What cannot be moved is named once; everything else goes on."""
        self.due = self._loop.clock() + LOOK_SECONDS  # should anything be raised
        if self._stopped:
            self.due = math.inf
            self.close()
            return
        try:
            with self._shield("moving delayed jobs"):
                self._run()
        except WrongKeyType as problem:
            self._errors.log("%s", problem)
        except RedisRefused as problem:  # others may be allowed to
            self.due = self._loop.clock() + REFUSED_SECONDS
            self._errors.log("Delayed jobs cannot be moved by this clock: %s", problem)
            self.close()

    def stop(self) -> None:
        """Give the lease back next: a last job may run on for long. Then nothing is due."""
        self._stopped = True
        self.due = self._loop.clock() if self.holds else math.inf

    def close(self) -> None:
        """Give the lease back."""
        if self.holds:
            self.holds = False
            with (
                self._shield("giving back the lease of the clock"),
                contextlib.suppress(RedisRefused),
            ):
                self._mover.delayed.release()

    def _run(self) -> None:
        if not self._allowed:
            self._mover.delayed.check_access()
            self._allowed = True
        look = self._mover.delayed.look(whole=self._ticker.whole)
        self.holds = look.state != "other"
        if look.state != self._state:
            log.debug("%s", STATES[look.state])
        self._state = look.state
        if look.state == "other":
            self.due = self._loop.clock() + _pause(look.workers)
            return
        self.due = self._loop.clock() + 1 - look.now % 1 + MARGIN
        for member in look.odd:
            self._errors.log("%r in %r is not a second at which jobs may be due", member, TIMES)
        for key in look.wrong:
            self._errors.log("%s", WrongKeyType(key))
        if self._push(look):
            self._pushed()
        if self.due > self._loop.clock():  # and no more is to be moved at once
            self._mark()

    def _push(self, look: Look) -> int:
        """Push jobs to their queues; how many."""
        moved = self._mover.move(look.items) if look.items else 0
        if moved and look.more:
            self.due = self._loop.clock()
        return moved + self._ticker.tick(int(look.now), ruby=look.state == "ruby")


def _pause(workers: int) -> float:
    """All clocks together look some times a second, and so notice an end of the lease."""
    return max(LOOK_SECONDS, workers / LOOKS_A_SECOND) * random.uniform(0.75, 1.25)


STATES = {
    "held": "This clock moves delayed jobs",
    "other": "Another clock moves delayed jobs",
    "ruby": "Ruby's scheduler moves delayed jobs, so this clock does not",
}
