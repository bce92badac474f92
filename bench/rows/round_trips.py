"""Row 4: what a busy worker says to Redis for each job, as Redis itself counts it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..figures import Figure, Result, at_most, one
from ..lane import Failed
from ..plan import Bench

END = "BENCH-END"


def round_trips(bench: Bench) -> Result:
    arena = bench.arena
    count = 500 if bench.plan.rounds > 1 else 20
    result = Result(4, "A busy worker")
    arena.empty()
    arena.push("hold", 0)
    arena.fill(count, count + 1)
    arena.push("hold", count)
    with arena.redis.monitor() as monitor, arena.working() as process:
        numbers = []
        while 0 not in numbers:
            numbers.append(arena.next_mark(process).number)
        before = arena.traffic()
        arena.open_gate()
        while count not in numbers:
            numbers.append(arena.next_mark(process).number)
        reads = arena.traffic().since(before).reads - 1  # the last one is ours
        arena.redis.echo(END)
        commands = _commands(monitor)
        arena.open_gate()
    steps = count + 1
    result.checks += [
        at_most(1, "commands per job", one(commands.total() / steps)),
        at_most(1, "round trips per job", one(reads / steps)),
    ]
    result.figures.append(Figure("jobs", steps, steps, steps))
    result.notes.append(
        "Between two jobs that are held: "
        + ", ".join(f"{n} {c}" for c, n in commands.items())
        + ". Any others are sent every few seconds, whatever the number of jobs."
    )
    return result


def _commands(monitor: Any) -> Counter[str]:
    """Commands between our two looks at the counters, those inside of scripts left out."""
    parts: list[Counter[str]] = [Counter()]
    for command in monitor.listen():
        words = command["command"].split()
        if END in words:
            return parts[1]
        if words[0] == "INFO":
            parts.append(Counter())
        elif command["client_type"] != "lua":
            parts[-1][words[0]] += 1
    raise Failed("Redis has ended")
