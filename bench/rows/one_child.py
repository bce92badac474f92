"""Row 3: many jobs in one child, beside the least that needs, and systems that never fork."""

from __future__ import annotations

from ..contestants import bare_exchange, ours, peers, rates
from ..figures import Figure, Result, at_least, of_ratio
from ..plan import Bench

LOOP, OURS = "bare loop, the step and an exchange", "resque-fork, 500 jobs per fork"
RIVALS = ("Huey, 1 process", "Dramatiq, 1 process")
OTHERS = ("RQ, SimpleWorker", "Celery, prefork 1", "node-resque")


def jobs_per_fork(bench: Bench) -> Result:
    plan = bench.plan
    result = Result(3, "--jobs-per-fork 500")
    contestants = {
        LOOP: bare_exchange(plan.running),
        OURS: ours(plan.running, "--jobs-per-fork=500", reusing=True),
    }
    found = rates(bench, contestants | peers(bench, *RIVALS, *OTHERS), result.notes)
    result.checks.append(at_least(0.7, "of the bare loop", of_ratio(found[OURS], found[LOOP])))
    for rival in RIVALS:
        if rival in found:
            ratio = of_ratio(found[OURS], found[rival])
            result.checks.append(at_least(1.0, f"times {rival}", ratio))
    kinds = {LOOP: "floor", OURS: "ours"}
    result.figures += [
        Figure.of(name, samples, "jobs/s", kinds.get(name, "peer"))
        for name, samples in found.items()
    ]
    return result
