"""Row 10: a million failed jobs, and what a person does with them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

from resque_fork import Resque

from ..arena import Arena
from ..figures import Figure, Result, Samples, at_most, one
from ..plan import Bench

REPEATED = 5
PAGE = 20


def failed_list(bench: Bench) -> Result:
    arena, count = bench.arena, bench.plan.failed
    result = Result(10, f"{count:,} failed jobs")
    arena.empty()
    bench.tell(f"filling the failed list with {count:,} entries")
    fill(arena, count)
    resque = Resque(arena.url)
    failed = resque.failed()
    middle = count // 2
    actions: dict[str, Callable[[], object]] = {
        "failed": lambda: list(itertools.islice(failed.each(), PAGE + 1)),
        "info": resque.info,
        "a page in the middle": lambda: failed.page(middle, PAGE),
        "requeue the oldest": lambda: failed.requeue([failed.at(0)]),
        "requeue one in the middle": lambda: failed.requeue([failed.at(middle)]),
        "requeue the newest": lambda: failed.requeue([failed.at(count - 1)]),
    }
    slowest, most = 0.0, 0.0
    for name, action in actions.items():
        bench.tell(name)
        samples, trips, sent = _timed(arena, action)
        slowest, most = max(slowest, samples.median), max(most, sent)
        unit = f"ms, {trips:g} round trips, {sent:,.0f} KB"
        result.figures.append(Figure.of(name, samples, unit, "ours"))
    result.checks += [
        at_most(50, "the slowest", one(slowest), "ms"),
        at_most(1024, "most that is read", one(most), "KB"),
    ]
    resque.close()
    arena.empty()
    return result


def fill(arena: Arena, count: int) -> None:
    """Append so many entries to the failed list."""
    for start in range(0, count, 1000):
        entries = [_entry(number) for number in range(start, min(count, start + 1000))]
        arena.redis.rpush("resque:failed", *entries)


def _entry(number: int) -> bytes:
    entry = {
        "failed_at": "2026/11/23 06:51:48 UTC",
        "payload": {"class": "noop", "args": [number]},
        "exception": "ValueError",
        "error": f"customer {number}: there is no such account",
        "backtrace": ["/srv/app/jobs.py:123:in charge", "/srv/app/accounts.py:45:in find"],
        "worker": "host.example.org:12345:bench",
        "queue": "bench",
    }
    return json.dumps(entry, separators=(",", ":")).encode()


def _timed(arena: Arena, action: Callable[[], object]) -> tuple[Samples, float, float]:
    """Milliseconds, and of one time round trips and kilobytes read."""
    action()
    before = arena.traffic()
    action()
    spent = arena.traffic().since(before)
    about_itself = _counting(arena)
    times = []
    for _ in range(REPEATED):
        start = time.monotonic()
        action()
        times.append((time.monotonic() - start) * 1000)
    return Samples(times), spent.reads - 1, max(0.0, (spent.sent - about_itself) / 1024)


def _counting(arena: Arena) -> float:
    """Bytes that looking at the counters costs by itself."""
    before = arena.traffic()
    return arena.traffic().since(before).sent
