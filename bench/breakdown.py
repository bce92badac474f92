"""Where the time of a job goes: the medians between the stations on its way."""

from __future__ import annotations

from . import clock
from .arena import Arena
from .figures import Figure, Samples
from .lane import Failed

# From one station to another, and what happens between. The child's side runs beside the
# parent's: what one does while the other waits for it is on the way, the rest is not.
SPANS = (
    ("parent: in fork()", "fork", "forked"),
    ("child: from the call of fork to its first line", "fork", "born"),
    ("child: settles in, up to the job", "born", "job"),
    ("child: performs nothing, and reports", "job", "told"),
    ("child: flushes, up to its _exit", "told", "exit"),
    ("kernel: ends the child; parent: wakes and reaps", "exit", "reaped"),
    ("parent: judges, sweeps, logs", "reaped", "step"),
    ("parent and Redis: the step", "step", "stepped"),
    ("parent: prepares the next fork", "stepped", "next"),
    ("all of it, from fork to fork", "fork", "next"),
)


def breakdown(arena: Arena, seconds: float) -> list[Figure]:
    """Milliseconds on each part of the way, of one worker that does one thing at a time."""
    file = arena.folder / "stations"
    file.touch()
    arena.empty()
    arena.fill(clock.JOBS, 100)
    process = arena.work(
        "--no-fork-ahead", "--no-overlap", app="bench.stations", **{clock.FILE: str(file)}
    )
    try:
        first = arena.next_mark(process)
        while arena.next_mark(process).seconds < first.seconds + seconds:
            pass
    finally:
        arena.end(process)
    lines = clock.read(file)[20:]
    if not lines:
        raise Failed("no job has passed all stations")
    figures = [
        _figure(what, [(line[end] - line[start]) / 1e6 for line in lines])
        for what, start, end in SPANS
    ]
    faults = Samples([float(line["faults"]) for line in lines])
    return [*figures, Figure.of("child: page faults", faults)]


def _figure(what: str, times: list[float]) -> Figure:
    samples = Samples(times)
    low, high = samples.quantile(0.1), samples.quantile(0.9)
    return Figure(what, samples.median, low, high, "ms")
