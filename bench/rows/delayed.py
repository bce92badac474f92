"""Row 13: how late a delayed job is in its queue, and how many a second are moved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from resque_fork import Resque

from .. import install
from ..contestants import left_out
from ..figures import Figure, Result, Samples, at_least, at_most, one
from ..lane import TIMEOUT, Failed
from ..plan import Bench
from ..race import NOT_STARTED

QUEUE = "late"
A_SECOND = 10  # jobs that are due at each second
CLOCK = [sys.executable, "-m", "resque_fork", "--redis"]
RQ = ("-m", "bench.peers.of_rq_scheduler", QUEUE)


def delayed(bench: Bench) -> Result:
    plan = bench.plan
    result = Result(13, "Delayed jobs")
    late, moved = _ours(bench)
    result.checks += [
        at_most(50, "p99 of how late they are queued", one(late.quantile(0.99)), "ms"),
        at_least(0, "the earliest, after its second", one(late.low), "ms"),
        at_least(20_000, "moved a second", one(moved), "jobs/s"),
    ]
    result.figures.append(Figure.of("how late they are queued, p50", late, "ms", "ours"))
    result.notes.append(f"{A_SECOND} jobs are due at each of {plan.delayed_seconds} seconds.")
    if plan.peers:
        bench.tell("RQ's scheduler")
        try:
            theirs = _rqs(bench)
        except NOT_STARTED as problem:
            result.notes.append(left_out("RQ's scheduler", problem))
        else:
            result.figures += [
                Figure.of("RQ's scheduler: how late, p50", theirs, "ms", "peer"),
                Figure.of("RQ's scheduler: p99", one(theirs.quantile(0.99)), "ms", "peer"),
            ]
    return result


def _ours(bench: Bench) -> tuple[Samples, float]:
    """How late in ms, and how many a second are moved when many are due at once."""
    arena, plan = bench.arena, bench.plan
    arena.empty()
    resque = Resque(arena.url)
    process = arena.start([*CLOCK, arena.url, "clock"])
    try:
        _until(lambda: arena.redis.exists("resque:fork:clock"))
        bench.tell(f"jobs for each of {plan.delayed_seconds} seconds")
        moments = _moments(plan.delayed_seconds)
        for moment in moments:
            resque.enqueue_at_to(QUEUE, moment, "mark", moment)
        key = f"resque:queue:{QUEUE}"
        late = _late(bench, key, moments, lambda raw: int(raw[raw.index(b"[") + 1 : -2]))
        bench.tell(f"{plan.due_at_once} jobs at once")
        moment = int(time.time()) + 3
        items = [b'{"class":"mark","args":[%d],"queue":"%b"}' % (n, QUEUE.encode())
                 for n in range(plan.due_at_once)]  # fmt: skip
        arena.redis.rpush(f"resque:delayed:{moment}", *items)
        arena.redis.zadd("resque:delayed_queue_schedule", {str(moment): moment})
        _until(lambda: arena.redis.llen(key) == plan.due_at_once)
        return late, plan.due_at_once / (time.time() - moment)
    finally:
        resque.close()
        arena.end(process)


def _rqs(bench: Bench) -> Samples:
    arena = bench.arena
    python = str(install.python_environment(bench.tell) / "python")
    arena.empty()
    process = arena.start([python, *RQ], BENCH_REDIS=arena.url)
    try:
        _until(lambda: arena.redis.keys("rq:scheduler*"))
        moments = _moments(bench.plan.delayed_seconds)
        delaying = arena.start([python, *RQ, *map(str, moments)], BENCH_REDIS=arena.url)
        late = _late(bench, f"rq:queue:{QUEUE}", moments, lambda raw: int(raw.split(b"-")[0]))
        arena.end(delaying)
        return late
    finally:
        arena.end(process)


def _moments(seconds: int) -> list[int]:
    first = int(time.time()) + 4
    return [first + n // A_SECOND for n in range(seconds * A_SECOND)]


def _late(
    bench: Bench, key: str, moments: Sequence[int], due_of: Callable[[bytes], int]
) -> Samples:
    """Milliseconds between the second at which each is due and its arrival in the queue."""
    late = []
    for _ in moments:
        arrived = bench.arena.redis.blpop([key], timeout=TIMEOUT)
        if arrived is None:
            raise Failed(
                f"Only {len(late)} of {len(moments)} jobs have come:\n{bench.arena.said()}"
            )
        late.append((time.time() - due_of(arrived[1])) * 1000)
    return Samples(late)


def _until(happened: Callable[[], object]) -> None:
    last = time.monotonic() + TIMEOUT
    while not happened():
        if time.monotonic() > last:
            raise Failed("It did not happen")
        time.sleep(0.002)
