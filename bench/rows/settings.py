"""Row 11: what settings cost and buy, as the rate with them over the rate without any."""

from __future__ import annotations

import os

from ..contestants import figure, ours, raced
from ..figures import Figure, Result, at_least, of_ratio
from ..plan import Bench

DEFAULT = "default settings"
CORES = os.cpu_count() or 1
FULL = f"--count={CORES}"  # a worker for each core
WITHOUT = ("--no-fork-ahead", "--no-overlap", "--no-pin-pages")
SETTINGS = (
    *WITHOUT,
    "--jobs-per-fork=10",
    "--jobs-per-fork=100",
    FULL,
    *(f"{FULL} {words}" for words in WITHOUT),
    "--verbose",
    "--verbose --log-format=json",
    "--timeout=60",
    "--memory=1G",
    "--run-at-exit-hooks",
)


def settings(bench: Bench) -> Result:
    seconds = bench.plan.running
    result = Result(11, "Settings, times the rate of the default")
    contestants = {DEFAULT: ours(seconds)}
    for words in SETTINGS:
        contestants[words] = ours(seconds, *words.split(), reusing="per-fork" in words)
    found = raced(bench, contestants, result.notes)
    for ours_alone, few in ((DEFAULT, WITHOUT), (FULL, [f"{FULL} {words}" for words in WITHOUT])):
        best = max((found[words].rate for words in few), key=lambda rate: rate.median)
        ratio = of_ratio(found[ours_alone].rate, best)
        result.checks.append(at_least(1, f"{ours_alone}, of the best without one of them", ratio))
    result.figures.append(figure(DEFAULT, found[DEFAULT], "ours"))
    result.figures += [
        Figure.of(words, of_ratio(found[words].rate, found[DEFAULT].rate), "times")
        for words in SETTINGS
    ]
    return result
