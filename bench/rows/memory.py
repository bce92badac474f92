"""Row 9: memory of an idle worker, and what a child of a large application has for itself."""

from __future__ import annotations

import subprocess
import sys

from ..arena import Arena, memory_of
from ..figures import Figure, Result, Samples, at_most, interleaved
from ..lane import Failed
from ..plan import Bench

MORE = 3  # megabytes
REFERENCE = "import click, redis, sys; print(1, flush=True); sys.stdin.read()"


def memory(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(9, "Memory")
    reference, idle, child = "imports redis and click", "idle worker", "child"
    found = interleaved(
        {
            reference: lambda: _reference("rss"),
            idle: lambda: _idle_worker(arena, "rss"),
            child: lambda: _sleeping_child(arena),
            reference + ", PSS": lambda: _reference("pss"),
            idle + ", PSS": lambda: _idle_worker(arena, "pss"),
        },
        plan.rounds,
        bench.tell,
    )
    more = Samples(
        [a - b for a, b in zip(found[idle].values, found[reference].values, strict=True)]
    )
    result.checks += [
        at_most(MORE, "idle worker, more than redis and click", more, "MB"),
        at_most(6, "sleeping child at 150 MB, of its own", found[child], "MB"),
    ]
    for name in (idle, idle + ", PSS"):
        result.figures.append(Figure.of(name, found[name], "MB", "ours"))
    for name in (reference, reference + ", PSS"):
        result.figures.append(Figure.of(name, found[name], "MB", "floor"))
    return result


def _reference(kind: str) -> float:
    command = [sys.executable, "-c", REFERENCE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not process.stdout.readline():
            raise Failed("redis and click cannot be imported")
        return memory_of(process.pid)[kind]


def _idle_worker(arena: Arena, kind: str) -> float:
    """After it has done a few jobs."""
    arena.empty()
    arena.fill(20, 20)
    with arena.working() as process:
        while arena.next_mark(process).number != 19:
            pass
        arena.until_idle(process)
        return memory_of(process.pid)[kind]


def _sleeping_child(arena: Arena) -> float:
    arena.empty()
    arena.push("hold", 1)
    with arena.working(app="bench.big") as process:
        used = memory_of(arena.next_mark(process).pid)["uss"]
        arena.open_gate()
        return used
