"""Row 6: a thousand known queues, and all jobs in the last one."""

from __future__ import annotations

import subprocess

from ..contestants import FORKING
from ..figures import Figure, Result, at_least, at_most, of_ratio
from ..lane import Lane
from ..plan import Bench
from ..race import Start, race

ONE, LISTED, STAR = "one queue", "listed", "*"


def many_queues(bench: Bench) -> Result:
    plan = bench.plan
    result = Result(6, f"{plan.queues:,} known queues")
    names = [f"queue-{number:04}" for number in range(plan.queues)]

    def working(known: list[str], served: str) -> Start:
        def start(lane: Lane) -> subprocess.Popen[bytes]:
            lane.redis.sadd("resque:queues", *known)
            lane.fill(int(FORKING * plan.running), 2, queue=known[-1])
            return lane.work(queues=served)

        return start

    contestants = {
        ONE: working(names[-1:], names[-1]),
        LISTED: working(names, ",".join(names)),
        STAR: working(names, "*"),
    }
    found = race(bench.arena, contestants, plan.rounds, plan.turns, plan.turn, bench.tell)
    for name in (LISTED, STAR):
        ratio = of_ratio(found[name].rate, found[ONE].rate)
        result.checks.append(at_least(0.8, f"{name}, of the one-queue rate", ratio))
    for name in (LISTED, STAR):
        cpu = found[name].redis_cpu
        result.checks.append(at_most(1, f"{name}, Redis CPU per job", cpu, "ms"))
    for name, raced in found.items():
        result.figures.append(Figure.of(f"queues: {name}", raced.rate, "jobs/s", "ours"))
    cpu = found[ONE].redis_cpu
    result.figures.append(Figure.of(f"{ONE}, Redis CPU per job", cpu, "ms", "ours"))
    return result
