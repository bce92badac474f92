"""The same application with 150 MB of live objects, as a large one has after loading."""

from __future__ import annotations

import os

from . import app as app

MEGABYTES = 150


def _resident() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _ballast(megabytes: int) -> list[dict[str, object]]:
    """Small objects, one after the other, until they take so much memory."""
    enough = _resident() + megabytes * 1024 * 1024
    items: list[dict[str, object]] = []
    while _resident() < enough:
        start = len(items)
        items += ({"id": n, "name": f"item {n}"} for n in range(start, start + 1000))
    return items


BALLAST = _ballast(MEGABYTES)
