"""A clock that parent and children share: when each job came to each station on its way."""

from __future__ import annotations

import itertools
import mmap
import time
from pathlib import Path

FILE = "BENCH_STATIONS"  # environment variable
JOBS = 4096
STATIONS = ("fork", "forked", "born", "job", "told", "exit", "reaped", "step", "stepped", "faults")
LINE = len(STATIONS)


class Clock:
    """Notes what happens to which child, counted from 0."""

    def __init__(self, file: str) -> None:
        with open(file, "r+b") as opened:
            opened.truncate(JOBS * LINE * 8)
            self._slots = memoryview(mmap.mmap(opened.fileno(), 0)).cast("q")
        self.line = -1
        self.lines: dict[int, int] = {}  # by pid
        self.in_child = False

    def note(self, station: str, line: int | None = None, value: int | None = None) -> None:
        line = self.line if line is None else line
        if 0 <= line < JOBS:
            now = time.monotonic_ns() if value is None else value
            self._slots[line * LINE + STATIONS.index(station)] = now


def read(file: Path) -> list[dict[str, int]]:
    """One line of times for each job of which all is known, and of the job after it."""
    slots = memoryview(file.read_bytes()).cast("q")
    lines = [
        dict(zip(STATIONS, slots[start : start + LINE], strict=True))
        for start in range(0, len(slots), LINE)
    ]
    return [
        {**line, "next": after["fork"]}
        for line, after in itertools.pairwise(lines)
        if all(line.values()) and after["fork"]
    ]
