"""How a job that failed is tried again: how often, how much later, and after which errors."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import SettingsError
from ..text import LONGEST_DELAY, parse_seconds

FIRST_DELAY = 15  # seconds; the n-th unless told is 15 + n**4, which Sidekiq has proved

Time = float | str | datetime.timedelta
Kinds = type[BaseException] | str | Sequence[type[BaseException] | str]


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry a job up to `attempts` more times.

    `delays` are the times before each of them. Without them, the n-th retry comes ``15 + n**4``
    seconds later; with `delay` it comes after that time, which is multiplied by `growth` for
    each retry. No delay is longer than `longest`, and `jitter` lengthens each by up to this
    share of it. A retry that would begin more than `within` after the first failure is not
    made. Times are seconds, or as in ``"10m"``. Only errors of the classes in `on` are retried,
    and none of those in `never`. The retries go to `queue`, if it is given. Raises
    SettingsError.
    """

    attempts: int
    delays: Sequence[Time] = ()
    delay: Time | None = None
    growth: float = 1.0
    longest: Time | None = None
    jitter: float = 0.0
    within: Time | None = None
    on: Kinds = ()
    never: Kinds = ()
    queue: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise _invalid("attempts", self.attempts, "a whole number")
        if self.attempts < 1:
            raise _invalid("attempts", self.attempts, "1 or more")
        if isinstance(self.delays, (str, bytes)) or not isinstance(self.delays, Sequence):
            raise _invalid("delays", self.delays, "a list of times")
        self._set("delays", tuple(_seconds("delays", each) for each in self.delays))
        for name in ("delay", "longest", "within"):
            if getattr(self, name) is not None:
                self._set(name, _seconds(name, getattr(self, name)))
        for name, least in (("growth", 1), ("jitter", 0)):
            if not _is_number(getattr(self, name)) or getattr(self, name) < least:
                raise _invalid(name, getattr(self, name), f"a number, {least} or more")
        self._set("on", _kinds("on", self.on))
        self._set("never", _kinds("never", self.never))
        if self.queue is not None and (not isinstance(self.queue, str) or not self.queue):
            raise _invalid("queue", self.queue, "the name of a queue")

    @classmethod
    def declared(cls, value: Any) -> Retry | None:
        """As a job declares it: a number of attempts, a list of delays, or a Retry."""
        if value is None or value is False or (_is_number(value) and value == 0):
            return None
        if isinstance(value, Retry):
            return value
        if isinstance(value, int) and value is not True:
            return cls(value)
        if isinstance(value, (list, tuple)) and value:
            return cls(len(value), value)
        raise SettingsError(
            f"retry={value!r} is not valid: expected a number of attempts, a list of delays, "
            "or a Retry."
        )

    def to_json(self) -> str:
        """For those that have not loaded the application: errors stand there by their names."""
        kinds = {name: [_name_of(kind) for kind in _each(getattr(self, name))] for name in KINDS}
        return json.dumps({**asdict(self), **kinds}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: bytes | str) -> Retry | None:
        """None for what is no such text, or of a version that has more to say."""
        try:
            value = json.loads(text)
            known = {field.name for field in fields(cls)}
            return cls(**value) if isinstance(value, Mapping) and set(value) <= known else None
        except (ValueError, TypeError, RecursionError, SettingsError):
            return None

    def applies_to(self, error: BaseException) -> bool:
        """Whether a job that ends with this error is retried at all."""
        if any(_is_a(error, kind) for kind in _each(self.never)):
            return False
        return not self.on or any(_is_a(error, kind) for kind in _each(self.on))

    def seconds_before(
        self, number: int, choose: Callable[[float, float], float] = random.uniform
    ) -> float:
        """The delay before the retry of this number, which begins at 1."""
        if self.delays:
            delay = _seconds("delays", self.delays[min(number, len(self.delays)) - 1])
        elif self.delay is None:
            delay = float(FIRST_DELAY + number**4)
        else:
            delay = _grown(_seconds("delay", self.delay), self.growth, number - 1)
        if self.longest is not None:
            delay = min(delay, _seconds("longest", self.longest))
        return min(delay + choose(0, delay * self.jitter), LONGEST_DELAY)

    def is_in_time(self, now: float, first: float, seconds: float) -> bool:
        """Whether a retry in so many seconds is not too late after the first failure."""
        return self.within is None or now + seconds - first <= _seconds("within", self.within)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


KINDS = ("on", "never")


def _grown(delay: float, growth: float, times: int) -> float:
    try:
        return min(delay * growth**times, LONGEST_DELAY)
    except OverflowError:
        return LONGEST_DELAY


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = parse_seconds(value)
    except ValueError as expected:
        raise _invalid(name, value, str(expected)) from None
    if seconds > LONGEST_DELAY:
        raise _invalid(name, value, "at most ten years")
    return seconds


def _kinds(name: str, value: Any) -> tuple[type[BaseException] | str, ...]:
    kinds = tuple(_each(value))
    for kind in kinds:
        is_class = isinstance(kind, type) and issubclass(kind, BaseException)
        if not is_class and not isinstance(kind, str):
            raise _invalid(name, value, "classes of exceptions")
    return kinds


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _is_a(error: BaseException, kind: type[BaseException] | str) -> bool:
    if isinstance(kind, type):
        return isinstance(error, kind)
    return kind in map(_name_of, type(error).__mro__)


def _name_of(kind: type | str) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _invalid(name: str, value: Any, expected: str) -> SettingsError:
    return SettingsError(f"Retry: {name}={value!r} is not valid: expected {expected}.")
