"""Lists of failed jobs: ``failed``, or one for each queue.

Entries are found again by value: a place is only where to look first, because
others write to the list at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..keys import Keys, to_text
from . import scripts

PAGE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One failed job as it was read: its place (0 is the oldest) and its bytes."""

    place: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Requeue:
    """An entry to queue again: as it was read, as it will read, and what goes to which queue."""

    entry: Entry
    marked: bytes
    queue: str
    payload: bytes


class Failures:
    """One list of failed jobs; `name` is ``failed`` or ``<queue>_failed``."""

    def __init__(self, redis: Any, keys: Keys, name: str = "failed") -> None:
        self.name = name
        self._redis = redis
        self._keys = keys
        self._key = keys.failed_list(name)

    def count(self) -> int:
        return int(self._redis.llen(self._key))

    def page(self, start: int, count: int) -> list[Entry]:
        """Entries from place `start` on; a negative start counts from the newest."""
        if count < 1:
            return []
        if start < 0:
            start = max(0, self.count() + start)
        values = self._redis.lrange(self._key, start, start + count - 1)
        return [Entry(start + i, raw) for i, raw in enumerate(values)]

    def each(self, newest_first: bool = False) -> Iterator[Entry]:
        """Every entry, a page at a time; never the whole list at once."""
        length = self.count()
        for start in range(0, length, PAGE):
            if newest_first:
                stop = length - start
                page = self.page(max(0, stop - PAGE), min(PAGE, stop))
                yield from reversed(page)
            else:
                yield from self.page(start, PAGE)

    def push(self, entry: bytes) -> None:
        self._redis.rpush(self._key, entry)
        if self._key != self._keys.failed:
            self._redis.sadd(self._keys.failed_queues, self.name)

    def requeue(self, batch: Sequence[Requeue]) -> list[bool]:
        """Queue jobs again, each marked in its entry; False where the entry was gone. Atomic."""
        values = [
            value
            for r in batch
            for value in (r.entry.place, r.entry.raw, r.marked, r.queue, r.payload)
        ]
        reply = scripts.run(
            self._redis,
            "requeue_failed",
            [self._key, self._keys.queues],
            [self._keys.queue(""), *values],
        )
        return [bool(done) for done in reply]

    def remove(self, batch: Sequence[Entry]) -> list[bool]:
        """Remove entries; False where the entry was gone. Atomic."""
        values = [value for entry in batch for value in (entry.place, entry.raw)]
        return [
            bool(done) for done in scripts.run(self._redis, "remove_failed", [self._key], values)
        ]

    def clear(self) -> int:
        """Delete the whole list; returns how many entries it had."""
        self.count()  # raises for a key that is no list, which would be deleted too
        pipe = self._redis.pipeline(transaction=True)
        pipe.llen(self._key)
        pipe.delete(self._key)
        if self._key != self._keys.failed:
            pipe.srem(self._keys.failed_queues, self.name)
        return int(pipe.execute()[0])


def count_all(redis: Any, keys: Keys) -> int:
    """Number of entries in all lists of failed jobs, in two round trips."""
    lists = [keys.failed_list(name) for name in failed_list_names(redis, keys)]
    pipe = redis.pipeline(transaction=False)
    for key in lists:
        pipe.llen(key)
    return sum(scripts.replies(pipe, *lists))


def failed_list_names(redis: Any, keys: Keys) -> list[str]:
    """``failed``, and the lists of redis_multi_queue, sorted."""
    others = sorted(to_text(name) for name in redis.smembers(keys.failed_queues))
    return ["failed", *others]
