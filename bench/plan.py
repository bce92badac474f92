"""How much is measured: how often, how long, how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .arena import Arena


@dataclass(frozen=True)
class Plan:
    """Times are seconds. In each round of a race each contestant has `turns` of length `turn`."""

    rounds: int = 7
    turns: int = 6
    turn: float = 0.25
    pushes: int = 210  # to an idle worker, for its pick-up time
    queues: int = 1000
    fleet: int = 500
    fleet_seconds: float = 10.0
    fleet_warm_up: float = 6.0
    delayed_seconds: int = 30
    due_at_once: int = 20_000
    enqueued: int = 100_000
    failed: int = 1_000_000
    peers: bool = True
    rows: tuple[int, ...] = tuple(range(1, 14))

    @property
    def running(self) -> float:
        """How long each contestant of a race runs in all, and some more."""
        return self.rounds * self.turns * self.turn * 1.2 + 0.5


PLANS = {
    "full": Plan(),
    "quick": Plan(
        rounds=3,
        turns=3,
        turn=0.2,
        pushes=60,
        fleet_seconds=5.0,
        fleet_warm_up=4.0,
        delayed_seconds=10,
        rows=(*range(1, 11), 12, 13),
    ),
    "tiny": Plan(1, 2, 0.15, 3, 10, 4, 0.5, 0.2, 2, 2000, 2000, 2000, peers=False),
}


@dataclass(frozen=True)
class Bench:
    """What a row is given: where, how much, and whom to tell what is going on."""

    arena: Arena
    plan: Plan
    tell: Callable[[str], None]
