"""Row 9: memory of an idle worker, and what a child of a large application has for itself."""

from __future__ import annotations

import subprocess
import sys

import psutil

from ..arena import Arena, memory_of
from ..figures import Figure, Result, Samples, at_most, interleaved
from ..lane import Failed
from ..plan import Bench

MORE = 3  # megabytes
COUNT = 8  # workers of one supervisor
REFERENCE = "import click, redis, sys; print(1, flush=True); sys.stdin.read()"


def memory(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(9, "Memory")
    reference, idle, child = "imports redis and click", "idle worker", "child"
    many = f"idle workers of --count={COUNT} and their supervisor, PSS"
    found = interleaved(
        {
            reference: lambda: _reference("rss"),
            idle: lambda: _idle_worker(arena, "rss"),
            child: lambda: _sleeping_child(arena),
            reference + ", PSS": lambda: _reference("pss"),
            idle + ", PSS": lambda: _idle_worker(arena, "pss"),
            many: lambda: _idle_workers(arena),
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
    for name in (idle, idle + ", PSS", many):
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
        arena.until_idle(process.pid)
        return memory_of(process.pid)[kind]


def _idle_workers(arena: Arena) -> float:
    """All their processes together, after they have done some jobs."""
    arena.empty()
    arena.fill(20 * COUNT, 20 * COUNT)
    with arena.working(f"--count={COUNT}") as process:
        while arena.next_mark(process).number != 20 * COUNT - 1:
            pass
        workers = psutil.Process(process.pid).children()
        for worker in workers:
            arena.until_idle(worker.pid)
        return sum(memory_of(pid)["pss"] for pid in (process.pid, *(w.pid for w in workers)))


def _sleeping_child(arena: Arena) -> float:
    arena.empty()
    arena.push("hold", 1)
    with arena.working(app="bench.big") as process:
        used = memory_of(arena.next_mark(process).pid)["uss"]
        arena.open_gate()
        return used
