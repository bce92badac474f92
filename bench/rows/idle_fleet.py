"""Row 7: five hundred idle workers, and a hundred jobs a second for them."""

from __future__ import annotations

import subprocess
import sys
import time

from resque_fork.store.scripts import script

from ..arena import Arena, Traffic
from ..figures import Figure, Result, at_least, at_most, one
from ..jobs import QUEUE
from ..lane import TIMEOUT, Failed, payload
from ..plan import Bench

PER_SECOND = 100
PROCESSES = 4


def idle_fleet(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(7, f"{plan.fleet} idle workers, {PER_SECOND} jobs a second")
    arena.empty()
    arena.redis.sadd("resque:queues", QUEUE, "mail", "images", "reports", "low")
    processes = _started(bench)
    try:
        bench.tell(f"starting {plan.fleet} workers")
        _wait_for(arena, plan.fleet, processes)
        _push(arena, plan.fleet_warm_up)
        bench.tell(f"{PER_SECOND} jobs a second")
        pushed, busy = _push(arena, plan.fleet_seconds)
        left = arena.redis.llen(f"resque:queue:{QUEUE}")
        if failed := arena.redis.llen("resque:failed"):
            raise Failed(f"{failed} jobs have failed:\n{arena.said()}")
        time.sleep(plan.fleet_warm_up)  # those that were deaf listen again
        before = arena.traffic()
        bench.tell("no jobs")
        time.sleep(plan.fleet_seconds)
        idle = arena.traffic().since(before)
        clocks = _commands_of_clocks(arena, plan.fleet_seconds)
        if any(process.poll() is not None for process in processes):
            raise Failed(f"Workers have ended:\n{arena.said()}")
    finally:
        for process in processes:
            arena.end(process)
    seconds, workers = plan.fleet_seconds, plan.fleet
    messages = (busy.writes - busy.reads) / seconds
    result.checks += [
        at_most(30, "Redis, share of a core", one(busy.cpu / seconds * 100), "%"),
        at_most(1, "commands of an idle worker", one(busy.reads / seconds / workers), "a second"),
        at_most(10, "messages to an idle worker", one(messages / workers), "a second"),
        at_least(95, "jobs taken", one((pushed - left) / seconds), "a second"),
        at_most(3, "without jobs: commands of all clocks", one(clocks / seconds), "a second"),
    ]
    result.figures += [
        _figure("commands of all workers per job", busy.reads / pushed, ""),
        _figure("messages to all workers per job", messages * seconds / pushed, ""),
        _figure("without jobs: Redis, share of a core", idle.cpu / seconds * 100, "%"),
        _figure("without jobs: commands of a worker", idle.reads / seconds / workers, "a second"),
    ]
    result.notes.append(
        f"The workers are threads of {PROCESSES} processes with our worker's own code and a "
        f"connection each; a job takes 3 ms without a child. The commands of an idle worker "
        "include those that take and finish the jobs."
    )
    return result


def _commands_of_clocks(arena: Arena, seconds: float) -> int:
    """Those that workers send to move delayed jobs and to keep schedules."""
    own = {script(name).sha for name in ("clock", "move_delayed", "schedules", "tick")}
    last = time.monotonic() + seconds
    count = 0
    with arena.redis.monitor() as monitor:
        while time.monotonic() < last:
            words = monitor.next_command()["command"].split()
            count += words[0] == "EVALSHA" and words[1] in own
    return count


def _started(bench: Bench) -> list[subprocess.Popen[bytes]]:
    share = -(-bench.plan.fleet // PROCESSES)
    command = [sys.executable, "-m", "bench.fleet", bench.arena.url]
    return [
        bench.arena.start([*command, str(first), str(min(share, bench.plan.fleet - first))])
        for first in range(0, bench.plan.fleet, share)
    ]


def _wait_for(arena: Arena, count: int, processes: list[subprocess.Popen[bytes]]) -> None:
    late = time.monotonic() + TIMEOUT
    while arena.redis.scard("resque:workers") < count:
        if time.monotonic() > late or any(process.poll() is not None for process in processes):
            raise Failed(f"The workers did not start:\n{arena.said()}")
        time.sleep(0.05)


def _push(arena: Arena, seconds: float) -> tuple[int, Traffic]:
    """Push jobs at an even pace; how many, and what Redis had to do meanwhile."""
    raw = payload("noop", 1)
    before, start = arena.traffic(), time.monotonic()
    pushed = 0
    while (now := time.monotonic()) < start + seconds:
        while pushed < (now - start) * PER_SECOND:
            arena.redis.rpush(f"resque:queue:{QUEUE}", raw)
            pushed += 1
        time.sleep(max(0.0, start + pushed / PER_SECOND - time.monotonic()))
    spent = arena.traffic().since(before)
    return pushed, Traffic(spent.cpu, spent.reads - pushed, spent.writes - pushed, spent.sent)


def _figure(what: str, value: float, unit: str) -> Figure:
    return Figure(what, value, value, value, unit)
