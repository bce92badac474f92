"""Row 11: what settings cost and buy, as the rate with them over the rate without any."""

from __future__ import annotations

from ..contestants import ours, rates
from ..figures import Figure, Result, of_ratio
from ..plan import Bench

DEFAULT = "default settings"
SETTINGS = (
    "--no-fork-ahead",
    "--jobs-per-fork=10",
    "--jobs-per-fork=100",
    "--count=2",
    "--count=2 --no-fork-ahead",
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
    found = rates(bench, contestants, result.notes)
    result.figures.append(Figure.of(DEFAULT, found[DEFAULT], "jobs/s"))
    result.figures += [
        Figure.of(words, of_ratio(found[words], found[DEFAULT]), "times") for words in SETTINGS
    ]
    return result
