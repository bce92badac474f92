"""Rows 1 and 2: a fork per job, beside the bare loop of the same process."""

from __future__ import annotations

from ..breakdown import breakdown
from ..contestants import bare_fork, bare_fork_with, ours, peers, rates
from ..figures import Figure, Result, Samples, at_least, of_ratio
from ..lane import Failed
from ..plan import Bench

LOOP, REDIS_LOOP, OURS, RQ = (
    "bare loop, modules of our worker",
    "bare loop, redis-py only",
    "resque-fork, a fork per job",
    "RQ, forked",
)
LARGE_LOOP, LARGE = "bare loop at 150 MB", "resque-fork at 150 MB"
SMALL_PAGES = f"{LARGE}, --no-huge-pages"
RUBY = 0.41


def fork_per_job(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(1, "A fork per job")
    contestants = {
        LOOP: bare_fork(arena),
        REDIS_LOOP: bare_fork_with(arena, "redis"),
        OURS: ours(plan.running),
    }
    found = rates(bench, contestants | peers(bench, RQ), result.notes)
    result.checks.append(at_least(1.0, "of the bare loop", of_ratio(found[OURS], found[LOOP])))
    if RQ in found:
        result.checks.append(at_least(8, "times RQ, forked", of_ratio(found[OURS], found[RQ])))
    result.checks.append(
        at_least(2 * RUBY, "of the loop with redis-py", of_ratio(found[OURS], found[REDIS_LOOP]))
    )
    result.notes.append(
        f"Ruby Resque reached {RUBY} of the loop with redis-py on one machine. That was measured "
        "once and is quoted here; the goal is twice that."
    )
    result.figures += _figures(found)
    bench.tell("where the time goes")
    try:
        result.figures += breakdown(arena, 1.5 if plan.rounds > 1 else 0.5)
    except Failed as problem:
        result.notes.append(f"Where the time goes could not be measured: {problem}")
    else:
        result.notes.append(
            "The times of one job are with --no-fork-ahead: medians, with the 10th and 90th "
            "percentile as spread. Reading the clocks adds some time, and the parts overlap where "
            "parent and child run side by side."
        )
    return result


def large_application(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(2, "A fork per job, 150 MB preloaded")
    contestants = {
        LARGE_LOOP: bare_fork(arena, "bench.big"),
        LARGE: ours(plan.running, app="bench.big"),
        SMALL_PAGES: ours(plan.running, "--no-huge-pages", app="bench.big"),
    }
    found = rates(bench, contestants, result.notes)
    result.checks.append(
        at_least(3.0, "of the bare loop at 150 MB", of_ratio(found[LARGE], found[LARGE_LOOP]))
    )
    result.figures += _figures(found)
    return result


def _figures(found: dict[str, Samples]) -> list[Figure]:
    kinds = {RQ: "peer", OURS: "ours", LARGE: "ours", SMALL_PAGES: "ours"}
    return [
        Figure.of(name, samples, "jobs/s", kinds.get(name, "floor"))
        for name, samples in found.items()
    ]
