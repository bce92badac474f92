"""How a job that failed is tried again: how often, how much later, and after which errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SettingsError
from ..settings import parse

FIRST_DELAY = 15  # seconds; the n-th unless told is 15 + n**4, which Sidekiq has proved


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry a job up to `attempts` more times.

    `delays` are seconds before each of them. The delay before the n-th is else ``15 + n**4``
    seconds; with `delay` it is that, multiplied by `growth` each time. No delay is over
    `longest`; `jitter` lengthens each by up to this share of it. `within` is the time since
    the first failure after which it is not tried any more. Times are seconds, or as in
    ``"10m"``. Only errors of the classes in `on` are retried, and none of those in `never`.
    The later attempts stand in `queue`, if it is given. Raises SettingsError.
    """

    attempts: int
    delays: Sequence[float] = ()
    delay: float | None = None
    growth: float = 1.0
    longest: float | None = None
    jitter: float = 0.0
    within: float | None = None
    on: Sequence[type[BaseException]] = ()
    never: Sequence[type[BaseException]] = ()
    queue: str | None = None

    @classmethod
    def declared(cls, value: Any) -> Retry | None:
        """As a job declares it: a number of attempts, a list of delays, or all of it."""
        if value is None or value is False or value == 0:
            return None
        if isinstance(value, Retry):
            return value
        if isinstance(value, int) and value is not True and value > 0:
            return cls(value)
        if isinstance(value, (list, tuple)) and value:
            delays = tuple(float(parse("interval", each, "retry=")) for each in value)
            return cls(len(delays), delays)
        raise SettingsError(
            f"retry={value!r} is not valid: expected a number of attempts, a list of delays in "
            "seconds, or a Retry."
        )

    def matches(self, kinds: Iterable[str]) -> bool:
        """Whether an error with these classes, by name and with its bases, is retried."""
        names = set(kinds)
        if names & set(map(name_of, self.never)):
            return False
        return not self.on or bool(names & set(map(name_of, self.on)))

    def seconds_before(
        self, number: int, choose: Callable[[float, float], float] = random.uniform
    ) -> float:
        """The delay before the retry of this number, which begins at 1."""
        if self.delays:
            delay = self.delays[min(number, len(self.delays)) - 1]
        elif self.delay is None:
            delay = float(FIRST_DELAY + number**4)
        else:
            delay = self.delay * self.growth ** (number - 1)
        if self.longest is not None:
            delay = min(delay, self.longest)
        return delay + choose(0, delay * self.jitter)


def name_of(kind: type[BaseException]) -> str:
    """A class of errors as rescuers know it, who may not have loaded it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def kinds_of(error: BaseException) -> list[str]:
    """The names of its class and of all its bases."""
    return [name_of(kind) for kind in type(error).__mro__ if issubclass(kind, BaseException)]
