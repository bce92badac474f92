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
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
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


@dataclass(slots=True, eq=False)
class _Change:
    """An entry to change, with its place as it is known now."""

    entry: Entry
    more: Sequence[Any] = ()  # for the script, beside place and bytes
    tries: int = 0
    done: bool = False

    @property
    def size(self) -> int:
        return len(self.entry.raw) + sum(map(len, self.more))


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
        size = sum(len(entry.raw) for entry in entries) / max(1, len(entries))
        reach = int(SCAN / (COMPARISON + COMPARED_BYTE * size))
        side = "RPOP" if self._from_last else "LPOP"
        mark = b"removed:" + os.urandom(16)
        changes = [_Change(entry) for entry in entries]
        return self._in_steps("remove_entries", [], [reach, side, mark], changes, removing=True)

    def requeue(self, requeues: Sequence[Requeue], keys: Keys) -> list[bool]:
        """Mark entries and queue their jobs; False for each that is gone. Each step is atomic."""
        changes = [_Change(r.entry, (r.marked, r.queue, r.payload)) for r in requeues]
        return self._in_steps("requeue_entries", [keys.queues], [keys.queue("")], changes)

    def _in_steps(
        self,
        script: str,
        keys: Sequence[str],
        fixed: Sequence[Any],
        changes: Sequence[_Change],
        removing: bool = False,
    ) -> list[bool]:
        todo = self._in_order(changes)
        length = self._list.length() if todo else 0
        while todo:
            step = self._next_step(todo, length)
            places = self._run(script, keys, fixed, step)
            standing = [n for n, place in enumerate(places) if place >= 0]
            for n in standing:
                step[n].done = True
            if removing:
                self._list.removed += len(standing)
            if standing:
                n = standing[0 if self._from_last else -1]
                behind = len(standing) if removing and not self._from_last else 0
                self._learn(step[n].entry, places[n] - behind)
            lost = _lost([change.entry for change in step], standing)
            if again := self._found_again([step[n] for n in lost], todo):
                todo = self._in_order([*again, *todo])
        return [change.done for change in changes]

    def _in_order(self, changes: Iterable[_Change]) -> deque[_Change]:
        by_place = sorted(changes, key=lambda c: self._place_of(c.entry), reverse=self._from_last)
        return deque(by_place)

    def _place_of(self, entry: Entry) -> int:
        """Where it should stand now."""
        return max(0, entry.place + (self._shift if entry.read < self._shifted else 0))

    def _learn(self, entry: Entry, place: int) -> None:
        """The entry is here: others that were read before now have moved as far."""
        self._list.clock += 1
        self._shift, self._shifted = place - entry.place, self._list.clock

    def _next_step(self, todo: deque[_Change], length: int) -> list[_Change]:
        """As many as one step can take, in the order of their places."""
        step: list[_Change] = []
        cost, size = 0.0, 0
        first = self._place_of(todo[0].entry)
        while todo and len(step) < STEP_ENTRIES:
            change = todo[0]
            place = self._place_of(change.entry)
            size += change.size
            cost += ENTRY + BYTE * change.size + _walk(place, length, len(change.entry.raw))
            span = abs(place - first)
            if step and (cost > STEP or span > PAGE or span * size > PAGE_BYTES * len(step)):
                break
            step.append(todo.popleft())
        return step[::-1] if self._from_last else step

    def _run(
        self, script: str, keys: Sequence[str], fixed: Sequence[Any], step: Sequence[_Change]
    ) -> list[int]:
        """The place of each entry, or -1 if it is not there."""
        size = 1 + sum(len(change.entry.raw) for change in step)
        slack = min(STEP_SLACK, SLACK_BYTES * len(step) // size)
        values = [v for c in step for v in (self._place_of(c.entry), c.entry.raw, *c.more)]
        self.perhaps = len(step)
        try:
            places: list[int] = scripts.run(
                self._list.redis, script, [self._list.key, *keys], [slack, *fixed, *values]
            )
        except ResqueError as error:
            if error.had_no_effect:
                self.perhaps = 0
            raise
        self.done += sum(place >= 0 for place in places)
        self.perhaps = 0
        return places

    def _found_again(self, lost: Sequence[_Change], todo: deque[_Change]) -> list[_Change]:
        """The lost entries that are found elsewhere in the list, with their new places."""
        for change in lost:
            change.tries += 1
        lost = [change for change in lost if change.tries < TRIES]
        if not lost:
            return []
        wanted, place = [change.entry.raw for change in lost], self._place_of(lost[0].entry)
        found = self._list.search(wanted, place, 2 * NEAR)
        if self._searches and sum(map(len, found.values())) < len(wanted):
            # of all that is left, so that nothing is searched for twice
            lost = [*lost, *todo]
            todo.clear()
            found = self._list.search([change.entry.raw for change in lost], place)
            worth = any(raw in found for raw in wanted)
            self._searches = SEARCHES if worth else self._searches - 1
        again: list[_Change] = []
        for change in lost:
            if places := found.get(change.entry.raw):
                place = places.pop(0)
                if not again:
                    self._learn(change.entry, place)
                change.entry = Entry(place, change.entry.raw, self._list.clock)
                again.append(change)
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
