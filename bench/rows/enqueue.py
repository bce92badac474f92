"""Row 8: queueing jobs, one at a time and in bulk."""

from __future__ import annotations

import time

from resque_fork import Resque

from ..app import noop
from ..figures import Figure, Result, Samples, at_least, at_most, interleaved, one
from ..plan import Bench

SINGLES = 500


def enqueue(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(8, "Enqueue")
    resque = Resque(arena.url)
    trips: list[float] = []

    def singly() -> float:
        arena.empty()
        resque.enqueue(noop, 0)  # the connection is there
        before, start = arena.traffic().reads, time.monotonic()
        for number in range(SINGLES):
            resque.enqueue(noop, number)
        elapsed = time.monotonic() - start
        trips.append((arena.traffic().reads - before - 1) / SINGLES)
        return SINGLES / elapsed

    def in_bulk() -> float:
        arena.empty()
        start = time.monotonic()
        resque.enqueue_many(noop, ([number] for number in range(plan.enqueued)))
        return plan.enqueued / (time.monotonic() - start)

    found = interleaved({"one at a time": singly, "in bulk": in_bulk}, plan.rounds, bench.tell)
    resque.close()
    arena.empty()
    result.checks += [
        at_most(1, "one at a time, round trips", one(Samples(trips).median)),
        at_least(50_000, "in bulk", found["in bulk"], "jobs/s"),
    ]
    result.figures.append(Figure.of("one at a time", found["one at a time"], "jobs/s", "ours"))
    return result
