"""The delayed set: what waits for its time, and the lease of the clock that moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..wire.delayed import Due
from ..wire.job import MOST_DECODED
from ..wire.keys import Keys, to_text
from . import scripts
from .access import check_access_of_clock
from .scripts import Commands
from .worker_store import FailedEntry

LEASE_SECONDS = 15
MOST_ITEMS = 500  # that one look reads; as many are moved in some milliseconds
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the list ``delayed:<moment>``."""

    moment: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the delayed set has found.

    `now` is the server's time in seconds since the epoch. `state` is ``held``; ``other``, if
    another clock has the lease; or ``ruby``, if Ruby's scheduler moves delayed jobs. `workers` is
    how many there are. `odd` are
    members that are no whole seconds, `wrong` are keys that should be lists. If there is `more`,
    the next look finds it.
    """

    now: float
    state: str
    workers: int
    odd: Sequence[str] = ()
    wrong: Sequence[str] = ()
    items: Sequence[Item] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """An item with where it goes: to its queue, or, with `entries`, to lists of failed jobs."""

    item: Item
    due: Due
    entries: Sequence[FailedEntry] = ()

    def to_args(self) -> Sequence[Any]:
        """As the script takes it."""
        values = [value for entry in self.entries for value in entry.to_args()]
        cut = -1 if self.entries else self.due.size or 0
        return (self.item.moment, self.item.raw, self.due.queue, cut, len(values), *values)


class DelayedSet:
    """For a clock called `name`. The lock of Ruby's scheduler may have a prefix."""

    def __init__(self, redis: Commands, keys: Keys, name: str, lock_prefix: str = "") -> None:
        self.name = name
        self._redis = redis
        self._keys = keys
        self._lock = keys.scheduler_lock(lock_prefix)

    def check_access(self) -> None:
        """Raises AccessRefused if this clock may not do all that it will have to."""
        check_access_of_clock(self._redis, self._keys)

    def look(self, *, whole: bool = True) -> Look:
        """Take or renew the lease, and read some of what is due.

        One that is not `whole` cannot tell the ticks of all schedules, and leaves the lease to
        one that can. Raises WrongKeyType.
        """
        keys = self._keys
        seconds, micros, state, odd, wrong, values, workers = scripts.run(
            self._redis,
            "clock",
            [keys.clock, keys.delayed_times, self._lock, keys.own_workers, keys.delayed_prefix],
            [self.name, LEASE_SECONDS, MOST_ITEMS, MOST_BYTES, MOST_DECODED, "" if whole else "?"],
        )
        items = [
            Item(to_text(moment), raw)
            for moment, raw in zip(values[::2], values[1::2], strict=True)
        ]
        size = sum(len(item.raw) for item in items)
        full = len(items) >= MOST_ITEMS or size >= MOST_BYTES
        more = full or any(len(item.raw) > MOST_DECODED for item in items)
        return Look(
            int(seconds) + int(micros) / 1e6,
            to_text(state),
            workers,
            [to_text(member) for member in odd],
            [to_text(key) for key in wrong],
            items,
            more,
        )

    def move(self, moves: Sequence[Move]) -> tuple[int, list[str]]:
        """Move items; returns how many were moved, and the keys that were in the way."""
        keys = self._keys
        moved, *in_the_way = scripts.run(
            self._redis,
            "move_delayed",
            [
                keys.delayed_times,
                keys.queues,
                keys.failed_queues,
                self._lock,
                keys.delayed_prefix,
                keys.timestamps_prefix,
                keys.queue(""),
                keys.status_prefix,
            ],
            [value for move in moves for value in move.to_args()],
        )
        return int(moved), [to_text(key) for key in in_the_way]

    def queue_key(self, move: Move) -> str | None:
        """The key of the queue that an item goes to; None if it goes elsewhere."""
        return None if move.entries else self._keys.queue(move.due.queue)

    def release(self) -> None:
        """Give the lease back, if this clock holds it."""
        scripts.run(self._redis, "release", [self._keys.clock], [self.name])
