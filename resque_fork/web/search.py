"""Looks through what may be a million entries: from the newest on, as far as one request may."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .ask import PAGE

MOST_LOOKED_AT = 20_000  # entries of one request
MOST_SECONDS = 0.3

T = TypeVar("T")


def nothing(item: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Found(Generic[T]):
    """What one request found: up to a page of entries, and where the next one goes on."""

    entries: Sequence[T]
    looked_at: int
    go_on_before: int | None


def search(
    read: Callable[[int, int], Sequence[T]],
    wanted: Callable[[T], bool],
    before: int,
    *,
    at_once: int,
    enough: int = 0,
    matched: Callable[[T], object] = nothing,
) -> Found[T]:
    """Look from the place `before` on towards the oldest entry, whose place is 0.

    `read` is asked for the entries from a place on, for at most `at_once`. The search ends when the
    page is full and `enough` were looked at, or when the budget is used up. `matched` is told of
    every entry that is wanted, also if the page has no room for it.
    """
    late = time.monotonic() + MOST_SECONDS
    found: list[tuple[int, T]] = []
    place = before
    while place > 0 and time.monotonic() < late:
        if before - place >= (enough if len(found) == PAGE else MOST_LOOKED_AT):
            break
        start = max(0, place - at_once)
        entries = [*enumerate(read(start, place - start), start)]
        for at, entry in reversed(entries):
            if wanted(entry):
                matched(entry)
                if len(found) < PAGE:
                    found.append((at, entry))
        place = start
    last = found[-1][0] if len(found) == PAGE else place
    return Found([entry for _, entry in found], before - place, last if last > 0 else None)
