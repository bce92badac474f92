"""Lists of failed jobs: ``failed``, or one for each queue.

Entries are found again by value: a place is only where to look first, because
others write to the list at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..wire.keys import Keys, to_text
from .changes import Changes, Requeue
from .long_list import Entry, LongList, delete_list

if TYPE_CHECKING:
    from .client import Client


class Failures:
    """One list of failed jobs; `name` is ``failed`` or ``<queue>_failed``."""

    def __init__(self, redis: Client, keys: Keys, name: str = "failed") -> None:
        self.name = name
        self._redis = redis
        self._keys = keys
        self._key = keys.failed_list(name)
        self._list = LongList(redis, self._key)

    def count(self) -> int:
        return self._list.length()

    def page(self, start: int, count: int) -> list[Entry]:
        """Entries from place `start` on; a negative start counts from the newest."""
        if start < 0:
            start = max(0, self.count() + start)
        return self._list.page(start, count)

    def pages(self, newest_first: bool = False) -> Iterator[list[Entry]]:
        """Every entry, a page at a time; never the whole list at once."""
        return self._list.pages(backwards=newest_first)

    def changes(self) -> Changes:
        """For several calls of `requeue` and `remove`, the oldest entries first."""
        return Changes(self._list)

    def requeue(self, batch: Sequence[Requeue], changes: Changes | None = None) -> list[bool]:
        """Queue jobs again, each marked in its entry; False where the entry was gone."""
        return (changes or self.changes()).requeue(batch, self._keys)

    def remove(self, batch: Sequence[Entry], changes: Changes | None = None) -> list[bool]:
        """Remove entries; False where the entry was gone."""
        return (changes or self.changes()).remove(batch)

    def clear(self) -> int:
        """Delete the whole list; returns how many entries it had."""
        others = [("SREM", self._keys.failed_queues, self.name)]
        return delete_list(self._redis, self._key, others if self.name != "failed" else [])


def count_all(redis: Client, keys: Keys) -> int:
    """Number of entries in all lists of failed jobs, in two round trips."""
    names = failed_list_names(redis, keys)
    return sum(redis.execute_many([("LLEN", keys.failed_list(name)) for name in names]))


def failed_list_names(redis: Client, keys: Keys) -> list[str]:
    """``failed``, and the lists of redis_multi_queue, sorted."""
    others = {to_text(name) for name in redis.execute_command("SMEMBERS", keys.failed_queues)}
    return ["failed", *sorted(others - {"failed"})]
