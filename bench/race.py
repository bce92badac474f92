"""All contestants of a row at once, each running while the others are stopped, in short turns.

What else the machine does meanwhile slows all of them alike, which it would not
if one ran after the other: that is what makes ratios of a busy machine usable.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from .arena import Arena
from .figures import Samples
from .install import NotInstalled
from .lane import TIMEOUT, Failed, Lane
from .usage import Usage, usage

Start = Callable[[Lane], subprocess.Popen[bytes]]
NOT_STARTED = (NotInstalled, Failed, subprocess.TimeoutExpired)
SETTLE = 0.02  # seconds after stopping one, for what it had under way


@dataclass
class Racer:
    """One contestant on its lane; `rates` has a figure for each round."""

    name: str
    lane: Lane
    process: subprocess.Popen[bytes]
    family: list[psutil.Process]
    number: int  # of the last job that left a mark
    used: Usage  # by the time that this round began
    seconds: float = 0.0  # run in this round
    redis_cpu: float = 0.0
    begun_at: int = 0  # the number at which it began
    rates: list[float] = field(default_factory=list)
    redis_cpu_per_job: list[float] = field(default_factory=list)
    cpu_per_job: list[float] = field(default_factory=list)
    faults_per_job: list[float] = field(default_factory=list)

    def send(self, number: int) -> None:
        for process in self.family:  # which knows a pid that was used again from its own
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@dataclass(frozen=True)
class Raced:
    """Jobs a second; milliseconds of CPU time and page faults per job; a sample each round.

    Those of the contestant's processes, and of Redis beside them.
    """

    rate: Samples
    redis_cpu: Samples
    cpu: Samples
    faults: Samples


def race(
    arena: Arena,
    contestants: Mapping[str, Start],
    rounds: int,
    turns: int,
    turn: float,
    tell: Callable[[str], None],
    left_out: dict[str, Exception] | None = None,
) -> dict[str, Raced]:
    """Each has `turns` of `turn` seconds in each round; the order changes with each turn.

    A contestant fills its queue and starts its program on a lane of its own.
    Those that cannot be started are `left_out`, if there is such a thing.
    """
    racers: list[Racer] = []
    try:
        for place, (name, start) in enumerate(contestants.items()):
            tell(f"starting {name}")
            try:
                racers.append(_enter(name, arena.lane(place + 1), start))
            except NOT_STARTED as problem:
                if left_out is None:
                    raise
                left_out[name] = problem
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for at in range(turns):
                first = (number * turns + at) % len(racers)
                for racer in racers[first:] + racers[:first]:
                    _run(arena, racer, turn)
            for racer in racers:
                while racer.number == racer.begun_at and racer.seconds < TIMEOUT:
                    _run(arena, racer, turn)
                _close_round(racer)
    finally:
        for racer in racers:
            racer.send(signal.SIGCONT)
            racer.lane.end(racer.process, signal.SIGTERM)
            racer.lane.empty()
    return {r.name: _raced(r) for r in racers}


def _raced(racer: Racer) -> Raced:
    per_job = (racer.rates, racer.redis_cpu_per_job, racer.cpu_per_job, racer.faults_per_job)
    return Raced(*map(Samples, per_job))


def _enter(name: str, lane: Lane, start: Start) -> Racer:
    """Start a program, wait until it is at work, and stop it there."""
    process = start(lane)
    try:
        number = lane.next_mark(process).number
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
    except Failed:
        lane.end(process)
        raise
    racer = Racer(name, lane, process, family, number, usage(process.pid))
    racer.send(signal.SIGSTOP)
    time.sleep(SETTLE)
    racer.begun_at = racer.number = _last(racer)
    racer.used = usage(racer.process.pid)
    return racer


def _run(arena: Arena, racer: Racer, seconds: float) -> None:
    before = arena.traffic()
    begun = time.monotonic()
    racer.send(signal.SIGCONT)
    time.sleep(seconds)
    racer.send(signal.SIGSTOP)
    racer.seconds += time.monotonic() - begun
    time.sleep(SETTLE)
    racer.redis_cpu += arena.traffic().since(before).cpu
    racer.number = _last(racer)


def _last(racer: Racer) -> int:
    return max([racer.number, *(mark.number for mark in racer.lane.marks())])


def _close_round(racer: Racer) -> None:
    jobs = racer.number - racer.begun_at
    if racer.process.poll() is not None or jobs <= 0:
        raise Failed(f"{racer.name} does no more jobs:\n{racer.lane.said()}")
    used = usage(racer.process.pid)
    racer.rates.append(jobs / racer.seconds)
    racer.redis_cpu_per_job.append(racer.redis_cpu / jobs * 1000)
    racer.cpu_per_job.append((used.cpu - racer.used.cpu) / jobs * 1000)
    racer.faults_per_job.append((used.faults - racer.used.faults) / jobs)
    racer.begun_at, racer.seconds, racer.redis_cpu, racer.used = racer.number, 0.0, 0.0, used
