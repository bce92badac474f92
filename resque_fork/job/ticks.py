"""The ticks of a schedule, in whole seconds since the epoch."""

from __future__ import annotations

import datetime
from typing import Protocol

from ..text import exact_duration


class Ticks(Protocol):
    """When a schedule has its ticks. `words` say it; `zone` is empty where none matters."""

    zone: str
    words: str

    @property
    def warning(self) -> str:
        """What is to be known of them; empty if there is nothing."""

    def next_after(self, second: int) -> int | None:
        """The first tick after a second; None if there is none in 50 years."""

    def last_until(self, second: int) -> int | None:
        """The last tick that is not after a second; None if there is none in 50 years."""

    def local(self, second: int) -> datetime.datetime:
        """A second as the clocks of the zone show it."""


class CannotEvaluate(ValueError):
    """The schedule may be good, but this host lacks what it takes to tell its ticks."""


class Every:
    """A tick each `period` seconds, counted from `start`, which is one itself."""

    zone = warning = ""

    def __init__(self, period: int, start: int) -> None:
        self.words = f"Every {exact_duration(period)}"
        self._period = period
        self._start = start

    def next_after(self, second: int) -> int:
        """See `Ticks`."""
        return second + self._period - (second - self._start) % self._period

    def last_until(self, second: int) -> int:
        """See `Ticks`."""
        return second - (second - self._start) % self._period

    def local(self, second: int) -> datetime.datetime:
        """See `Ticks`."""
        return datetime.datetime.fromtimestamp(second, datetime.UTC)
