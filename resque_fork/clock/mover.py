"""Moves delayed jobs and retries that are due to their queues."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import UnreadablePayload, WrongKeyType
from ..failure import FailedEntries, Failure
from ..job.reservation import Reservation
from ..logs import Once
from ..store.delayed import DelayedSet, Item, Move
from ..system.loop import Loop
from ..wire.delayed import Due, due_of, is_cut_by_its_end
from ..wire.job import MOST_DECODED, Payload

log = logging.getLogger("resque_fork")


class Mover:
    """`run_in_subprocess` does work that may take long; see `Performer.run_in_subprocess`."""

    def __init__(
        self,
        loop: Loop,
        delayed: DelayedSet,
        entries: FailedEntries,
        run_in_subprocess: Callable[[Callable[[], Any], Callable[[], None]], Any],
    ) -> None:
        self.delayed = delayed
        self._loop = loop
        self._entries = entries
        self._run_in_subprocess = run_in_subprocess
        self._errors = Once(logging.ERROR)

    def move(self, items: Sequence[Item]) -> int:
        """Move items; how many were moved.

        Those whose queue is no list fail, so that they hold up no others.
        """
        moves = [self._move_of(item) for item in items]
        moved, in_the_way = self.delayed.move(moves)
        for key in in_the_way:
            problem = WrongKeyType(key)
            self._errors.log("%s", problem)
            stuck = [move for move in moves if self.delayed.queue_key(move) == key]
            if stuck:
                moved += self.delayed.move(
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
        return Move(item, Due(queue, None), self._entries.of(job, failure, self.delayed.name))
