"""Lists of any length, read and changed in steps that Redis is done with in milliseconds.

Redis reaches a place in the middle of a list by walking there, and finds or removes
a value by comparing all that stands before it: in a list of 500,000 that takes
10 to 30 ms, and nobody else is served meanwhile. So

- pages and steps are bounded in number, in bytes and in what walking to them costs;
- a step looks for an entry where it was shown and close by; whoever is further
  away is looked for here, page by page;
- an entry far from both ends is removed by putting the one that stands first (or
  last) in its place. Nearer to an end the others keep their order.

Others may push, pop and remove at any time. A reader finds its way again by what
it saw ahead, and an entry is changed only where its very bytes stand.
"""

from __future__ import annotations

import bisect
import secrets
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from ..keys import Keys
from . import scripts
from .server import REDIS_ERRORS, never_sent

PAGE = 500  # entries
PAGE_BYTES = 256 * 1024
AHEAD = 20  # entries that a reader knows of beyond its page, to find its way again
NEAR = 4  # pages on each side in which a lost entry is looked for
SEARCHES = 3  # of the whole list, one after the other, that find nothing
READS = 20  # of one page, while the list moves faster than it is read
SLACK = 40  # places on each side in which a step itself looks
SLACK_BYTES = 64 * 1024

TRIES = 3  # steps that look for one entry, each where it was found to stand

# What a step may take, in microseconds, and what it is made of, measured on a slow machine.
STEP = 2500.0
STEP_ENTRIES = 250
ENTRY = 8.0
BYTE = 0.01
NODE = 0.03  # walking past one; Redis keeps as many entries in a node as 8 kB hold
NODE_BYTES = 8192
SCAN = 2500.0  # more, for a removal that moves others up
COMPARISON, COMPARED_BYTE = 0.035, 0.00006  # of an entry that it passes


@dataclass(frozen=True, slots=True)
class Entry:
    """What stood in a list: its place (0 is the first), its bytes, and when it was read."""

    place: int
    raw: bytes
    read: int = field(default=0, compare=False)  # on the clock of its `LongList`


@dataclass(frozen=True, slots=True)
class Requeue:
    """An entry to queue again: as it was read, as it will read, and what goes to which queue."""

    entry: Entry
    marked: bytes
    queue: str
    payload: bytes


class LongList:
    """One list in Redis, which others change too."""

    def __init__(self, redis: Any, key: str) -> None:
        self.redis = redis
        self.key = key
        self.clock = 0  # counts what was read and what was changed here
        self.removed = 0  # entries, by ourselves

    def length(self) -> int:
        """How many entries there are."""
        return int(self.redis.llen(self.key))

    def range(self, start: int, count: int) -> list[Entry]:
        """So many entries from a place on, as far as there are, in one command."""
        first = max(0, start)
        last = start + count - 1
        if last < first:
            return []
        self.clock += 1
        values = self.redis.lrange(self.key, first, last)
        return [Entry(first + i, raw, self.clock) for i, raw in enumerate(values)]

    def page(self, start: int, count: int) -> list[Entry]:
        """The same of any number, in as many commands as it takes."""
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

        Whatever others remove before or behind the reader, it misses nothing of the rest.
        """
        left = self.length()
        reader = _Reader(self, backwards, left)
        while left > 0 and (page := reader.page()[:left]):
            left -= len(page)
            yield page

    def search(
        self, wanted: Collection[bytes], place: int, pages: int | None = None
    ) -> dict[bytes, list[int]]:
        """Where values stand now, those that are found in so many pages around a place.

        A value that is wanted so many times is found at as many places at most.
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
        """Page after page around a place, further away each time on both sides, up to the ends."""
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
    """Reads on from page to page, from what it saw ahead of it."""

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
        """Go where the first stands that still does of what was ahead."""
        for window in self._list.outwards(self._position):
            beyond = _from_first_of(self._ahead, window, self._position)
            if beyond:
                self._position = beyond[0].place + (1 if self._backwards else 0)
                return True
        return False

    def _from_here(self) -> list[Entry]:
        """A page, where nothing stands that was ahead: the end that we came from was cut off."""
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
    """What was found from the first on that stands of what was ahead; of equals the nearest."""
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
        """As many, or as few as do not count beside a page."""
        return min(number, 1 + self.entries // 4)

    def adapt(self, entries: Sequence[Entry]) -> None:
        if entries:
            fitting = PAGE_BYTES * len(entries) // (1 + sum(len(entry.raw) for entry in entries))
            self.entries = max(1, min(PAGE, fitting, 4 * self.entries))


def delete_list(redis: Any, key: str, along: Sequence[Sequence[str]] = ()) -> int:
    """Delete a list, whose memory Redis frees in the background; returns how many it had.

    Other commands may go along with it. All is done at once or nothing.
    """
    redis.llen(key)  # raises for a key that is no list, which would be deleted too
    pipe = redis.pipeline(transaction=True)
    pipe.llen(key)
    pipe.execute_command("UNLINK", key)
    for command in along:
        pipe.execute_command(*command)
    return int(scripts.replies(pipe, key, key, *(command[1] for command in along))[0])


# --- changing

Send = Callable[[Sequence[Entry], Sequence[int], Sequence[int], int], list[int]]


class Changes:
    """Changes to one list, in steps; finds again what has moved since it was read.

    `done` counts the entries that were certainly changed. After an interruption, or
    where Redis did not answer, `perhaps` counts those of which nobody knows.
    """

    def __init__(self, long_list: LongList, from_last: bool = False) -> None:
        self.done = self.perhaps = 0
        self._list = long_list
        self._from_last = from_last  # where steps begin, and from where gaps are filled
        self._shift = 0  # how far all that was read before `_shifted` stands from its place
        self._shifted = 0
        self._searches = SEARCHES

    def remove(self, entries: Sequence[Entry]) -> list[bool]:
        """Remove entries; False for each that is no longer there. Each step is atomic."""
        mark = b"removed:" + secrets.token_bytes(16)
        side = "RPOP" if self._from_last else "LPOP"

        def send(
            step: Sequence[Entry], which: Sequence[int], places: Sequence[int], slack: int
        ) -> list[int]:
            size = sum(len(entry.raw) for entry in step) / len(step)
            reach = int(SCAN / (COMPARISON + COMPARED_BYTE * size))
            pairs = [
                v for place, entry in zip(places, step, strict=True) for v in (place, entry.raw)
            ]
            answer = self._run("remove_entries", [], [slack, reach, side, mark, *pairs])
            self._list.removed += sum(place >= 0 for place in answer)
            return answer

        return self._in_steps(entries, [len(e.raw) for e in entries], send, removing=True)

    def requeue(self, requeues: Sequence[Requeue], keys: Keys) -> list[bool]:
        """Mark entries and queue their jobs; False for each that is gone. Each step is atomic."""

        def send(
            step: Sequence[Entry], which: Sequence[int], places: Sequence[int], slack: int
        ) -> list[int]:
            values: list[Any] = []
            for i, entry, place in zip(which, step, places, strict=True):
                job = requeues[i]
                values += place, entry.raw, job.marked, job.queue, job.payload
            return self._run("requeue_entries", [keys.queues], [keys.queue(""), slack, *values])

        sizes = [len(r.entry.raw) + len(r.marked) + len(r.payload) for r in requeues]
        return self._in_steps([r.entry for r in requeues], sizes, send)

    def _run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> list[int]:
        answer: list[int] = scripts.run(self._list.redis, name, [self._list.key, *keys], args)
        return answer

    def _in_steps(
        self, entries: Sequence[Entry], sizes: Sequence[int], send: Send, removing: bool = False
    ) -> list[bool]:
        now = list(entries)  # as they stand by what is known now
        done = [False] * len(now)
        tries = Counter[int]()
        todo = self._in_order(range(len(now)), now)
        length = self._list.length() if todo else 0
        while todo:
            which = self._next_step(todo, now, sizes, length)
            answer = self._sent(send, which, now)
            standing = [n for n, place in enumerate(answer) if place >= 0]
            for n in standing:
                done[which[n]] = True
            if standing:
                n = standing[0 if self._from_last else -1]
                behind = len(standing) if removing and not self._from_last else 0
                self._learn(now[which[n]], answer[n] - behind)
            lost = _lost([now[i] for i in which], standing)
            again = self._found_again([which[n] for n in lost], todo, now, tries)
            if again:
                todo = self._in_order([*again, *todo], now)
        return done

    def _in_order(self, which: Iterable[int], now: Sequence[Entry]) -> deque[int]:
        return deque(sorted(which, key=lambda i: self._place_of(now[i]), reverse=self._from_last))

    def _place_of(self, entry: Entry) -> int:
        """Where it should stand now."""
        return max(0, entry.place + (self._shift if entry.read < self._shifted else 0))

    def _learn(self, entry: Entry, place: int) -> None:
        """It stands here: so others that were read before now have moved as far."""
        self._list.clock += 1
        self._shift, self._shifted = place - entry.place, self._list.clock

    def _next_step(
        self, todo: deque[int], now: Sequence[Entry], sizes: Sequence[int], length: int
    ) -> list[int]:
        """Those that one step can take; in the order of their places."""
        which: list[int] = []
        cost, size = 0.0, 0
        first = self._place_of(now[todo[0]])
        while todo and len(which) < STEP_ENTRIES:
            i = todo[0]
            place = self._place_of(now[i])
            size += sizes[i]
            cost += ENTRY + BYTE * sizes[i] + _walk(place, length, len(now[i].raw))
            span = abs(place - first)
            if which and (cost > STEP or span > PAGE or span * size > PAGE_BYTES * len(which)):
                break
            which.append(todo.popleft())
        return which[::-1] if self._from_last else which

    def _sent(self, send: Send, which: Sequence[int], now: Sequence[Entry]) -> list[int]:
        step = [now[i] for i in which]
        slack = min(SLACK, SLACK_BYTES * len(step) // (1 + sum(len(e.raw) for e in step)))
        self.perhaps = len(step)
        try:
            answer = send(step, which, [self._place_of(entry) for entry in step], slack)
        except REDIS_ERRORS as error:
            if isinstance(error, ResponseError) or never_sent(error):
                self.perhaps = 0
            raise
        self.done += sum(place >= 0 for place in answer)
        self.perhaps = 0
        return answer

    def _found_again(
        self, lost: Sequence[int], todo: deque[int], now: list[Entry], tries: Counter[int]
    ) -> list[int]:
        """Those that stand elsewhere in the list, with their places set right."""
        tries.update(lost)
        lost = [i for i in lost if tries[i] < TRIES]
        if not lost:
            return []
        wanted, place = [now[i].raw for i in lost], self._place_of(now[lost[0]])
        found = self._list.search(wanted, place, 2 * NEAR)
        if self._searches and sum(map(len, found.values())) < len(wanted):
            lost = [*lost, *todo]  # then all places are known anew, and nobody is asked twice
            todo.clear()
            found = self._list.search([now[i].raw for i in lost], place)
            worth = any(raw in found for raw in wanted)
            self._searches = SEARCHES if worth else self._searches - 1
        again = list[int]()
        for i in lost:
            if places := found.get(now[i].raw):
                place = places.pop(0)
                if not again:
                    self._learn(now[i], place)
                now[i] = Entry(place, now[i].raw, self._list.clock)
                again.append(i)
        return again


def _lost(step: Sequence[Entry], standing: Sequence[int]) -> list[int]:
    """Those that may stand elsewhere: not what was read at once with standing ones around it."""
    lost = []
    for n in range(len(step)):
        place = bisect.bisect(standing, n)
        around = standing[max(0, place - 1) : place + 1]
        if n in around:
            continue
        reads = {step[i].read for i in (n, *around)}
        if len(around) < 2 or place == 0 or len(reads) > 1 or reads == {0}:
            lost.append(n)
    return lost


def _walk(place: int, length: int, size: int) -> float:
    """Microseconds to a place from the end that is nearer."""
    return NODE * min(place, max(0, length - place)) / max(1, NODE_BYTES // (size + 1))
