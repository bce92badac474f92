"""Row 3: many jobs in one child, beside the least that needs, and systems that never fork."""

from __future__ import annotations

from ..contestants import bare_exchange, figure, ours, peers, raced
from ..figures import Result, at_least, of_ratio
from ..plan import Bench

LOOP, OURS = "bare loop, the step and an exchange", "resque-fork, 500 jobs per fork"
RIVALS = {"Huey, 1 process": 1.2, "Dramatiq, 1 process": 1.0}
OTHERS = ("RQ, SimpleWorker", "Celery, prefork 1", "node-resque")


def jobs_per_fork(bench: Bench) -> Result:
    plan = bench.plan
    result = Result(3, "--jobs-per-fork 500")
    contestants = {
        LOOP: bare_exchange(plan.running),
        OURS: ours(plan.running, "--jobs-per-fork=500", reusing=True),
    }
    found = raced(bench, contestants | peers(bench, *RIVALS, *OTHERS), result.notes)
    rate = {name: each.rate for name, each in found.items()}
    result.checks.append(at_least(0.7, "of the bare loop", of_ratio(rate[OURS], rate[LOOP])))
    for rival, goal in RIVALS.items():
        if rival in found:
            ratio = of_ratio(rate[OURS], rate[rival])
            result.checks.append(at_least(goal, f"times {rival}", ratio))
    kinds = {LOOP: "floor", OURS: "ours"}
    result.figures += [figure(name, each, kinds.get(name, "peer")) for name, each in found.items()]
    return result
