"""What is measured: samples with their spread, goals and whether they are reached, rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Samples:
    """Repetitions of one measurement; what it stands for is the median."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def over(self, other: Samples) -> Samples:
        """The ratios, each of two samples of one round."""
        return Samples([a / b for a, b in zip(self.values, other.values, strict=True)])

    def quantile(self, share: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Figure:
    """One number for the reader, with the spread of its samples. `kind`: floor, ours, peer, ''.

    Of a rate, also the CPU time in milliseconds and the page faults of a job.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str = ""
    kind: str = ""
    cpu: float | None = None
    faults: float | None = None

    @classmethod
    def of(cls, what: str, samples: Samples, unit: str = "", kind: str = "") -> Figure:
        return cls(what, samples.median, samples.low, samples.high, unit, kind)

    @property
    def text(self) -> str:
        return readable(self.value)

    @property
    def spread(self) -> str:
        return "" if self.low == self.high else f"[{readable(self.low)}-{readable(self.high)}]"

    @property
    def cpu_text(self) -> str:
        return "" if self.cpu is None else f"{readable(self.cpu)} ms"

    @property
    def faults_text(self) -> str:
        return "" if self.faults is None else f"{self.faults:,.0f}"


@dataclass(frozen=True)
class Check(Figure):
    """A figure with a goal: at least it, or at most it."""

    goal: float = 0.0
    at_least: bool = True

    @property
    def holds(self) -> bool:
        # what is shown decides: 1.004 commands a job are one
        shown = float(f"{self.value:.2f}")
        return shown >= self.goal if self.at_least else shown <= self.goal

    @property
    def share(self) -> float:
        """How far it is: 1 is the goal, more is better."""
        if self.at_least:
            return self.value / self.goal
        return self.goal / self.value if self.value else float("inf")

    @property
    def goal_text(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {readable(self.goal)}{self.unit_text}"

    @property
    def unit_text(self) -> str:
        return f" {self.unit}" if self.unit else ""


def at_least(goal: float, what: str, samples: Samples, unit: str = "") -> Check:
    return Check(what, samples.median, samples.low, samples.high, unit, goal=goal, at_least=True)


def at_most(goal: float, what: str, samples: Samples, unit: str = "") -> Check:
    return Check(what, samples.median, samples.low, samples.high, unit, goal=goal, at_least=False)


def one(value: float) -> Samples:
    return Samples([value])


def of_ratio(numerator: Samples, denominator: Samples) -> Samples:
    """The ratio of the medians, with the lowest and highest ratio of a round as its spread."""
    ratios = numerator.over(denominator)
    middle = numerator.median / denominator.median
    return Samples([min(ratios.low, middle), middle, max(ratios.high, middle)])


@dataclass
class Result:
    """One row: its goals, the figures behind them, and what else there is to say."""

    number: int
    title: str
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        checks = [{**asdict(check), "holds": check.holds} for check in self.checks]
        return {**asdict(self), "checks": checks}

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> Result:
        checks = [{k: v for k, v in check.items() if k != "holds"} for check in read["checks"]]
        return cls(
            read["number"],
            read["title"],
            [Check(**check) for check in checks],
            [Figure(**figure) for figure in read["figures"]],
            list(read["notes"]),
        )


def interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[str], None]
) -> dict[str, Samples]:
    """Measure all contestants in turn, several times over, each round in another order."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            tell(f"round {number + 1} of {rounds}: {name}")
            values[name].append(contestants[name]())
    return {name: Samples(found) for name, found in values.items()}


def readable(value: float) -> str:
    """Three digits or so: 1,234, 12.3, 0.057."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return (
        f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
    )
