"""Rows 1, 2 and 12: a fork per job, beside the bare loop of the same process."""

from __future__ import annotations

from ..breakdown import breakdown
from ..contestants import (
    bare_fork,
    bare_fork_with,
    bare_pool,
    figure,
    ours,
    peers,
    raced,
)
from ..figures import Result, at_least, at_most, of_ratio
from ..lane import Failed
from ..plan import Bench
from ..race import Start

LOOP, LEAN_LOOP, OURS, PLAIN = (
    "bare loop, modules of our worker",
    "bare loop, standard library only",
    "resque-fork, a fork per job",
    "resque-fork, --no-pin-pages --no-overlap",
)
POOL = "multiprocessing.Pool, a process per call, no Redis"
RUBY, RQ, CELERY = "Ruby Resque, a fork per job", "RQ, forked", "Celery, a process per task"
LARGE_LOOP, LARGE = "bare loop at 150 MB", "resque-fork at 150 MB"
SMALL_PAGES = f"{LARGE}, --no-huge-pages"
DJANGO_LOOP, DJANGO = "bare loop with Django", "resque-fork with Django"


def fork_per_job(bench: Bench) -> Result:
    plan = bench.plan
    result = Result(1, "A fork per job")
    contestants = {
        LOOP: bare_fork(bench.arena),
        LEAN_LOOP: bare_fork_with(bench.arena),
        POOL: bare_pool(),
        OURS: ours(plan.running),
        PLAIN: ours(plan.running, "--no-pin-pages", "--no-overlap"),
    }
    found = raced(bench, contestants | peers(bench, RUBY, RQ, CELERY), result.notes)
    mine = found[OURS]
    result.checks.append(at_least(1.1, "of the bare loop", of_ratio(mine.rate, found[LOOP].rate)))
    if RUBY in found:
        ruby = found[RUBY]
        result.checks += [
            at_least(2, "times Ruby Resque", of_ratio(mine.rate, ruby.rate)),
            at_most(1, "CPU per job, of Ruby Resque", of_ratio(mine.cpu, ruby.cpu)),
        ]
    if RQ in found:
        result.checks.append(at_least(9, "times RQ", of_ratio(mine.rate, found[RQ].rate)))
    result.checks.append(at_most(105, "page faults per job, parent and child", mine.faults))
    kinds = {OURS: "ours", PLAIN: "ours", RUBY: "peer", RQ: "peer", CELERY: "peer", POOL: "peer"}
    result.figures += [figure(name, each, kinds.get(name, "floor")) for name, each in found.items()]
    bench.tell("where the time goes")
    try:
        result.figures += breakdown(bench.arena, 1.5 if plan.rounds > 1 else 0.5)
    except Failed as problem:
        result.notes.append(f"Where the time goes could not be measured: {problem}")
    else:
        result.notes.append(
            "The times of one job are with --no-fork-ahead --no-overlap: medians, with the 10th "
            "and 90th percentile as spread. Reading the clocks adds some time, and the parts "
            "overlap where parent and child run side by side."
        )
    return result


def large_application(bench: Bench) -> Result:
    seconds = bench.plan.running
    result = Result(2, "A fork per job, 150 MB preloaded")
    contestants = {
        LARGE_LOOP: bare_fork(bench.arena, "bench.big"),
        LARGE: ours(seconds, app="bench.big"),
        SMALL_PAGES: ours(seconds, "--no-huge-pages", app="bench.big"),
    }
    _beside_a_loop(bench, result, contestants, 2.5)
    return result


def django_application(bench: Bench) -> Result:
    result = Result(12, "A fork per job, an application with Django")
    contestants = {
        DJANGO_LOOP: bare_fork(bench.arena, "bench.with_django"),
        DJANGO: ours(bench.plan.running, app="bench.with_django"),
    }
    _beside_a_loop(bench, result, contestants, 0.9)
    return result


def _beside_a_loop(
    bench: Bench, result: Result, contestants: dict[str, Start], goal: float
) -> None:
    """The first contestant is the loop; the second, one of our workers, is to reach the goal."""
    found = raced(bench, contestants, result.notes)
    loop, mine = list(found.values())[:2]
    result.checks.append(at_least(goal, "of its bare loop", of_ratio(mine.rate, loop.rate)))
    for name, each in found.items():
        result.figures.append(figure(name, each, "floor" if each is loop else "ours"))
