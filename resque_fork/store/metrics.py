"""What is counted of jobs, and how long queues wait, as it stands in Redis; see `lua/counting.lua`.

The clock marks jobs here; workers count with their steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..wire.keys import Keys, to_text
from . import scripts
from .scripts import Commands

if TYPE_CHECKING:
    from .client import Client

FIELDS = 1000  # that are read in one command
MINUTES = 100  # likewise
LONGEST_COUNT = 19  # digits; Redis counts no further

Fields = dict[tuple[str, ...], int]  # a count by its name and its labels


class QueueMarks:
    """Marks the jobs at the ends of queues, for the clock."""

    def __init__(self, redis: Commands, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._next = 0  # the queue to begin with

    def mark(self) -> None:
        """Mark those of some queues; all have their turn. Raises WrongKeyType."""
        keys = self._keys
        self._next = scripts.run(
            self._redis,
            "mark_queues",
            [keys.queues, keys.queue(""), keys.marks_prefix],
            [self._next],
        )


class StoredMetrics:
    """Reads what workers have counted in one namespace."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def counted(self) -> Fields:
        """All counts since they began."""
        found: Fields = {}
        cursor = 0
        while True:
            cursor, part = self._redis.execute_command(
                "HSCAN", self._keys.metrics, cursor, "COUNT", FIELDS
            )
            found |= _fields(part.items())
            if not int(cursor):
                return found

    def minutes(self, seconds: Sequence[int]) -> list[Fields]:
        """How jobs ended in each of the minutes that began at these seconds since the epoch."""
        found = []
        for start in range(0, len(seconds), MINUTES):
            some = seconds[start : start + MINUTES]
            commands = [("HGETALL", self._keys.metrics_of(minute)) for minute in some]
            found += [_fields(each.items()) for each in self._redis.execute_many(commands)]
        return found

    def marked(self, queues: Sequence[str]) -> list[float | None]:
        """When the first marked job of each queue was marked, in seconds since the epoch."""
        commands = [("HGET", self._keys.marks(queue), "marks") for queue in queues]
        replies = self._redis.execute_many(commands, errors=True)
        return [_first_of(reply) if isinstance(reply, bytes) else None for reply in replies]

    def has_clock(self) -> bool:
        """Whether there is a clock at all, which marks jobs."""
        return bool(self._redis.execute_command("EXISTS", self._keys.clock))


def _fields(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    """What is no count was put there by somebody else."""
    return {
        tuple(to_text(field).split("\t")): int(value)
        for field, value in pairs
        if value.isdigit() and len(value) <= LONGEST_COUNT
    }


def _first_of(marks: bytes) -> float | None:
    first = marks.partition(b" ")[0]
    return int(first) / 1000 if first.isdigit() else None
