"""The jobs that every system performs here. Standard library only: peers import this too.

Most jobs do nothing. Every so many there is one that leaves a mark, a line in a
named pipe with its own pid and the time, by which a rate is measured without
asking Redis anything.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator

MARKS = "BENCH_MARKS"  # environment variable: the named pipe for marks
GATE = "BENCH_GATE"  # environment variable: the named pipe that holds a job
QUEUE = "bench"


def noop(number: int) -> None:
    """Nothing, with one small argument."""


def mark(number: int) -> None:
    """Say when the first line of this job ran: ``number pid nanoseconds``."""
    now = time.monotonic_ns()
    pipe = os.open(os.environ[MARKS], os.O_WRONLY)
    os.write(pipe, b"%d %d %d\n" % (number, os.getpid(), now))
    os.close(pipe)


def hold(number: int) -> None:
    """Leave a mark, and stay until the gate is opened for one job."""
    mark(number)
    gate = os.open(os.environ[GATE], os.O_RDONLY)
    os.read(gate, 1)
    os.close(gate)


def modules(path: str) -> None:
    """Write down which modules this process has imported."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{name}\n" for name in list(sys.modules))
    mark(0)


def sequence(count: int, every: int) -> Iterator[tuple[str, int]]:
    """Names and arguments of `count` jobs, every so many of them a mark, the last one too."""
    for number in range(count):
        marks = number % every == 0 or number == count - 1
        yield ("mark" if marks else "noop"), number


def produce(send: Callable[[str, int], object], words: list[str]) -> None:
    """What a peer's producer is told to do: COUNT EVERY has it queue a `sequence`; without
    words it queues a mark for each line of stdin, and prints when it began to."""
    if words:
        for name, number in sequence(*map(int, words)):
            send(name, number)
        return
    for line in sys.stdin:
        print(time.monotonic_ns(), flush=True)
        send("mark", int(line))
