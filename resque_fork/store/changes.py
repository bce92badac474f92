"""Changes to long lists, in steps that take Redis a few milliseconds each.

Redis finds or removes a value in a list by comparing all that stands before it: in
one of 500,000 that takes 10 to 30 ms, and nobody else is served meanwhile. So

- a step is limited in entries, in bytes and in the time to reach its places;
- a step looks for an entry at its last known place and close by, and changes it only
  if its bytes are the same; entries further away are looked for here, page by page;
- an entry far from both ends is removed by putting the first (or last) entry of the
  list in its place. Nearer to an end the others keep their order.
"""

from __future__ import annotations

import bisect
import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ResqueError
from ..wire.keys import Keys
from . import scripts
from .long_list import PAGE, PAGE_BYTES, Entry, LongList

NEAR = 4  # pages on each side in which a lost entry is looked for first
SEARCHES = 3  # searches of the whole list in a row that may find nothing
STEP_SLACK = 40  # places on each side in which a step itself looks
SLACK_BYTES = 64 * 1024
TRIES = 3  # steps that look for one entry, each where it was found to stand

# The longest that a step may take, and what its parts take: microseconds on a slow machine.
STEP = 2500.0
STEP_ENTRIES = 250
ENTRY = 8.0
BYTE = 0.01
NODE = 0.03  # walking past one; Redis keeps as many entries in a node as 8 kB hold
NODE_BYTES = 8192
SCAN = 2500.0  # in addition, for a removal that moves others up
COMPARISON, COMPARED_BYTE = 0.035, 0.00006  # of an entry that it passes


@dataclass(frozen=True, slots=True)
class Requeue:
    """An entry to queue again: as it was read, as it is marked, and the payload for its queue."""

    entry: Entry
    marked: bytes
    queue: str
    payload: bytes


Send = Callable[[Sequence[Entry], Sequence[int], Sequence[int], int], list[int]]


class Changes:
    """Changes to one list, in steps; finds again what has moved since it was read.

    `done` counts the entries that were certainly changed. After an interruption, or
    if Redis did not answer, `perhaps` counts those that may have been changed.
    """

    def __init__(self, long_list: LongList, from_last: bool = False) -> None:
        self.done = self.perhaps = 0
        self._list = long_list
        self._from_last = from_last  # where steps begin, and from where gaps are filled
        self._shift = 0  # how far entries that were read before `_shifted` have moved
        self._shifted = 0
        self._searches = SEARCHES

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """What is raised inside says in ``done`` and ``perhaps`` how many were changed before."""
        try:
            yield
        except BaseException as error:
            error.done, error.perhaps = self.done, self.perhaps  # type: ignore[attr-defined]
            raise

    def remove(self, entries: Sequence[Entry]) -> list[bool]:
        """Remove entries; False for each that is no longer there. Each step is atomic."""
        mark = b"removed:" + os.urandom(16)
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
        now = list(entries)  # with the places that are known now
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
        """The entry is here: others that were read before now have moved as far."""
        self._list.clock += 1
        self._shift, self._shifted = place - entry.place, self._list.clock

    def _next_step(
        self, todo: deque[int], now: Sequence[Entry], sizes: Sequence[int], length: int
    ) -> list[int]:
        """As many as one step can take, in the order of their places."""
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
        slack = min(STEP_SLACK, SLACK_BYTES * len(step) // (1 + sum(len(e.raw) for e in step)))
        self.perhaps = len(step)
        try:
            answer = send(step, which, [self._place_of(entry) for entry in step], slack)
        except ResqueError as error:
            if error.had_no_effect:
                self.perhaps = 0
            raise
        self.done += sum(place >= 0 for place in answer)
        self.perhaps = 0
        return answer

    def _found_again(
        self, lost: Sequence[int], todo: deque[int], now: list[Entry], tries: Counter[int]
    ) -> list[int]:
        """The lost entries that are found elsewhere in the list; their places in `now` are new."""
        tries.update(lost)
        lost = [i for i in lost if tries[i] < TRIES]
        if not lost:
            return []
        wanted, place = [now[i].raw for i in lost], self._place_of(now[lost[0]])
        found = self._list.search(wanted, place, 2 * NEAR)
        if self._searches and sum(map(len, found.values())) < len(wanted):
            lost = [
                *lost,
                *todo,
            ]  # then all places are known again, and nothing is searched for twice
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
    """Those that may have moved. One between two that stand, all read at once, has gone."""
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
