"""The clock: each second, what is due goes to its queue. A task of the loop."""

from __future__ import annotations

import contextlib
import logging
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import RedisRefused, UnreadablePayload, WrongKeyType
from ..failure import FailedEntries, Failure
from ..job.reservation import Reservation
from ..store.delayed import DelayedSet, Item, Move
from ..system.loop import Loop
from ..system.service import Stop
from ..system.shield import Shield
from ..wire.delayed import Due, due_of, is_cut_by_its_end
from ..wire.job import MOST_DECODED, Payload

log = logging.getLogger("resque_fork")

MARGIN = 0.002  # seconds after the turn of a second, so that it has turned on the server too
LOOK_SECONDS = 4.0  # between two looks of a clock that does not hold the lease, at least
LOOKS_A_SECOND = 2  # of all such clocks of a fleet together
REFUSED_SECONDS = 60.0  # until a clock that Redis refuses tries again
TIMES = "delayed_queue_schedule"
NOT_WAITED_FOR = ("WRONGTYPE", "NOPERM")  # refusals: others may be allowed to move jobs


class Fleet(Protocol):
    """Who knows how many workers there are."""

    @property
    def fleet(self) -> int: ...


class Clock:
    """`name` is who holds the lease.

    `run_in_subprocess` does work that may take long; see `Performer.run_in_subprocess`. `pushed`
    is called when jobs have gone to their queues.
    """

    def __init__(
        self,
        loop: Loop,
        delayed: DelayedSet,
        entries: FailedEntries,
        fleet: Fleet,
        stop: Stop,
        run_in_subprocess: Callable[[Callable[[], Any], Callable[[], None]], Any],
        pushed: Callable[[], None] = lambda: None,
    ) -> None:
        self.holds = False  # the lease
        self._loop = loop
        self._delayed = delayed
        self._entries = entries
        self._fleet = fleet
        self._stop = stop
        self._run_in_subprocess = run_in_subprocess
        self._pushed = pushed
        self._due = loop.clock()
        self._shield = Shield()
        self._state = ""
        self._complained: set[str] = set()

    @property
    def due(self) -> float:
        """When there is something to do, by the loop's clock."""
        return math.inf if self._stop.asked else self._due

    def run(self) -> None:
        """Move some of what is due. What cannot be moved is named once; everything else goes on."""
        self._due = self._loop.clock() + LOOK_SECONDS  # should anything be raised
        try:
            with self._shield("moving delayed jobs"):
                self._run()
        except WrongKeyType as problem:
            self._complain("%s", problem)
        except RedisRefused as problem:  # others may be allowed to
            self._due = self._loop.clock() + REFUSED_SECONDS
            self._complain("Delayed jobs cannot be moved by this clock: %s", problem)
            with contextlib.suppress(RedisRefused):
                self.close()

    def close(self) -> None:
        """Give the lease back."""
        if self.holds:
            self.holds = False
            with self._shield("giving back the lease of the clock"):
                self._delayed.release()

    def _run(self) -> None:
        look = self._delayed.look()
        self.holds = look.state != "other"
        if look.state != self._state:
            log.debug("%s", STATES[look.state])
        self._state = look.state
        if look.state == "other":
            self._due = self._loop.clock() + self._pause()
            return
        self._due = self._loop.clock() + 1 - look.now % 1 + MARGIN
        for member in look.odd:
            self._complain("%r in %r is not a second at which jobs may be due", member, TIMES)
        for key in look.wrong:
            self._complain("%s", WrongKeyType(key))
        if look.items and self._move([self._move_of(item) for item in look.items]):
            self._pushed()
            if look.more:
                self._due = self._loop.clock()

    def _pause(self) -> float:
        """All clocks together look some times a second, and so notice an end of the lease."""
        seconds = max(LOOK_SECONDS, self._fleet.fleet / LOOKS_A_SECOND)
        return seconds * random.uniform(0.75, 1.25)

    def _move(self, moves: Sequence[Move]) -> int:
        """Move items; how many were moved.

        Those whose queue is no list fail, so that they hold up no others.
        """
        moved, in_the_way = self._delayed.move(moves)
        for key in in_the_way:
            problem = WrongKeyType(key)
            self._complain("%s", problem)
            stuck = [move for move in moves if self._delayed.queue_key(move) == key]
            if stuck:
                moved += self._delayed.move(
                    [self._failing(move.item, move.due.queue, problem) for move in stuck]
                )[0]
        return moved

    def _move_of(self, item: Item) -> Move:
        try:
            return Move(item, self._due_of(item.raw))
        except UnreadablePayload as problem:
            return self._failing(item, "", problem)

    def _due_of(self, raw: bytes) -> Due:
        """A large item whose end does not say enough is decoded in another process."""
        if len(raw) <= MOST_DECODED or is_cut_by_its_end(raw):
            return due_of(raw)
        due: Due = self._run_in_subprocess(lambda: due_of(raw), self._loop.wait)
        return due

    def _failing(self, item: Item, queue: str, error: Exception) -> Move:
        failure = Failure.of(error)
        log.error("A delayed job failed: %s: %s", failure.exception, failure.error)
        job = Reservation(queue, Payload.undecoded(item.raw))
        return Move(item, Due(queue, None), self._entries.of(job, failure, self._delayed.name))

    def _complain(self, message: str, *args: object) -> None:
        text = message % args
        if text not in self._complained:
            log.error("%s", text)
        self._complained.add(text)


STATES = {
    "held": "This clock moves delayed jobs",
    "other": "Another clock moves delayed jobs",
    "ruby": "Ruby's scheduler moves delayed jobs, so this clock does not",
}
