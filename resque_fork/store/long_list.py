"""Lists of any length, read in pages that take Redis a few milliseconds each.

Redis reaches a place in the middle of a list by walking there, and nobody else is
served meanwhile: so pages are limited in entries and in bytes. Others may push, pop
and remove at any time: a reader finds its place again by the entries that it saw ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .scripts import Commands

if TYPE_CHECKING:
    from .client import Client

PAGE = 500  # entries
PAGE_BYTES = 256 * 1024
AHEAD = 20  # entries that a reader knows of beyond its page, to find its way again
READS = 20  # attempts to read one page, while the list moves faster than it is read
SLACK = 40  # places behind it that a reader looks at too: the list may have moved a little


@dataclass(frozen=True, slots=True)
class Entry:
    """What stood in a list: its place (0 is the first), its bytes, and when it was read."""

    place: int
    raw: bytes
    read: int = field(default=0, compare=False)  # on the clock of its `LongList`


class LongList:
    """One list in Redis, which others change too."""

    def __init__(self, redis: Commands, key: str) -> None:
        self.redis = redis
        self.key = key
        self.clock = 0  # counts reads and changes
        self.removed = 0  # entries, by ourselves

    def length(self) -> int:
        """How many entries there are."""
        return int(self.redis.execute_command("LLEN", self.key))

    def range(self, start: int, count: int) -> list[Entry]:
        """Up to `count` entries from a place on, in one command."""
        first = max(0, start)
        last = start + count - 1
        if last < first:
            return []
        self.clock += 1
        values = self.redis.execute_command("LRANGE", self.key, first, last)
        return [Entry(first + i, raw, self.clock) for i, raw in enumerate(values)]

    def page(self, start: int, count: int) -> list[Entry]:
        """Up to `count` entries from a place on, in as many commands as it takes."""
        found: list[Entry] = []
        size = _PageSize()
        while len(found) < count:
            part = self.range(start + len(found), min(size.entries, count - len(found)))
            if not part:
                break
            found += part
            size.adapt(part)
        return found

    def pages(self, backwards: bool = False) -> Iterator[list[Entry]]:
        """All entries from one end to the other, none twice; what is pushed meanwhile is left out.

        Whatever others remove before or behind the reader, it misses no entry that stays.
        """
        left = self.length()
        reader = _Reader(self, backwards, left)
        while left > 0 and (page := reader.page()[:left]):
            left -= len(page)
            yield page

    def search(
        self, wanted: Collection[bytes], place: int, pages: int | None = None
    ) -> dict[bytes, list[int]]:
        """The places of values, as far as they are found in so many pages around a place.

        A value that is wanted twice is found at two places at most.
        """
        missing, found = Counter(wanted), dict[bytes, list[int]]()
        for number, window in enumerate(self.outwards(place), 1):
            for entry in window:
                if entry.raw in missing:
                    found.setdefault(entry.raw, []).append(entry.place)
                    missing[entry.raw] -= 1
                    if not missing[entry.raw]:
                        del missing[entry.raw]
            if not missing or number == pages:
                break
        return found

    def outwards(self, place: int) -> Iterator[list[Entry]]:
        """Pages around a place, each further away than the last, on both sides up to the ends."""
        size = _PageSize()
        low = high = place
        there_is_more = True
        while low > 0 or there_is_more:
            if there_is_more:
                above = self.range(high, size.entries)
                there_is_more = bool(above)
                high += len(above)
                size.adapt(above)
                yield above
            if low > 0:
                low, count = max(0, low - size.entries), min(low, size.entries)
                below = self.range(low, count)
                size.adapt(below)
                yield below


class _Reader:
    """Reads page by page; finds its place again by the entries that it saw ahead."""

    def __init__(self, entries: LongList, backwards: bool, length: int) -> None:
        self._list = entries
        self._backwards = backwards
        self._length = length
        self._position = length if backwards else 0  # between what was read and what was not
        self._removed = entries.removed
        self._ahead: list[bytes] = []
        self._there_is_more = False
        self._size = _PageSize()

    def page(self) -> list[Entry]:
        """The next page; empty at the end."""
        if not self._backwards:  # what we removed ourselves since the last page
            self._position -= self._list.removed - self._removed
            self._removed = self._list.removed
        found = self._beyond()
        self._length = self._list.length()
        kept = self._size.part_of(AHEAD) if self._there_is_more else 0
        count = max(1, min(len(found) - kept, self._size.entries))
        page, self._ahead = found[:count], [entry.raw for entry in found[count : count + AHEAD]]
        if page:
            self._position = page[-1].place + (0 if self._backwards else 1)
        self._size.adapt(found)
        return page

    def _beyond(self) -> list[Entry]:
        """What was not read yet, the nearest first."""
        for _ in range(READS if self._ahead else 0):
            beyond = _from_first_of(self._ahead, self._around(), self._position)
            if beyond:
                return beyond
            if not self._find():
                break
        return self._from_here()

    def _around(self) -> list[Entry]:
        """A page, and some behind it: the list may have moved a little meanwhile."""
        count = self._size.entries + self._size.part_of(AHEAD)
        behind = self._size.part_of(SLACK) if self._ahead else 0
        if self._backwards:
            first, stop = max(0, self._position - count), self._position + behind
            found = self._list.range(first, stop - first)[::-1]
            self._there_is_more = first > 0
        else:
            first, stop = max(0, self._position - behind), self._position + count
            found = self._list.range(first, stop - first)
            self._there_is_more = len(found) == stop - first
        return found

    def _find(self) -> bool:
        """Go to the first of the entries ahead that is still in the list."""
        for window in self._list.outwards(self._position):
            beyond = _from_first_of(self._ahead, window, self._position)
            if beyond:
                self._position = beyond[0].place + (1 if self._backwards else 0)
                return True
        return False

    def _from_here(self) -> list[Entry]:
        """A page, if all entries ahead have gone: the list was cut off at the end we came from."""
        self._ahead = []
        for _ in range(READS):
            length = self._list.length()
            if self._backwards:
                self._position = min(self._position, length)
            else:
                self._position = max(0, self._position - max(0, self._length - length))
            found = self._around()
            if found or not self._there_is_more:
                break
        return found


def _from_first_of(ahead: Sequence[bytes], found: list[Entry], position: int) -> list[Entry]:
    """What was found, from the first entry that was ahead on; of equal ones the nearest."""
    for raw in ahead:
        places = [n for n, entry in enumerate(found) if entry.raw == raw]
        if places:
            return found[min(places, key=lambda n: abs(found[n].place - position)) :]
    return []


class _PageSize:
    """How many entries to read at once, by the bytes of those that were read before."""

    def __init__(self) -> None:
        self.entries = 64

    def part_of(self, number: int) -> int:
        """That number, or a quarter of a page if that is less."""
        return min(number, 1 + self.entries // 4)

    def adapt(self, entries: Sequence[Entry]) -> None:
        if entries:
            fitting = PAGE_BYTES * len(entries) // (1 + sum(len(entry.raw) for entry in entries))
            self.entries = max(1, min(PAGE, fitting, 4 * self.entries))


def delete_list(
    redis: Client, key: str, along: Sequence[Sequence[str]] = (), perhaps: str = ""
) -> int:
    """Delete a list, whose memory Redis frees in the background; returns how many it had.

    The commands `along` are part of the same transaction: all is done or nothing.
    """
    size = ("LLEN", key)
    redis.execute_command(*size)  # raises for a key that is no list, which would be deleted too
    commands = [size, ("UNLINK", key), *along]
    return int(redis.execute_many(commands, transaction=True, perhaps=perhaps)[0])
