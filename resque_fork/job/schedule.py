"""A schedule: a job that is queued again and again, at its ticks."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentsError, SettingsError
from ..text import LONGEST_DELAY, parse_seconds, shown_size
from ..wire.job import Payload
from ..wire.json import decode, encode
from .retry import Time
from .ticks import CannotEvaluate, Every, Ticks

if TYPE_CHECKING:
    from .cron import Cron

CATCH_UP = 3600.0  # seconds, unless told
NONE = "none"  # as in catch_up="none"
LARGEST = 16 * 1024  # bytes of a schedule, args included
MOST_CHARACTERS = 200  # of a cron expression


@dataclass(frozen=True, slots=True)
class Schedule:
    """Queue a job at each tick of `cron`, or every so many seconds.

    `job` is its name on the wire. `cron` is as in ``"0 7 * * 1-5 Europe/Berlin"``, see `Cron`;
    `every` counts from the last tick. When no clock was there at some ticks, the newest of them
    is made up for, unless that is more than `catch_up` ago. Times are seconds or as in
    ``"10m"``; with a `catch_up` of ``"none"`` nothing is made up for. Raises SettingsError.
    """

    name: str
    job: str
    queue: str
    cron: str | None = None
    every: Time | None = None
    args: Sequence[Any] = ()
    description: str = ""
    catch_up: Time = CATCH_UP
    enabled: bool = True

    def __post_init__(self) -> None:
        for key, value in (("name", self.name), ("class", self.job), ("queue", self.queue)):
            if not isinstance(value, str) or not value:
                raise self._invalid(key, value, "a text that is not empty")
        if (self.cron is None) == (self.every is None):
            raise SettingsError(f"The schedule {self.name!r} needs cron or every, and not both.")
        if not isinstance(self.cron, str | None) or len(self.cron or "") > MOST_CHARACTERS:
            raise self._invalid("cron", self.cron, f"text of up to {MOST_CHARACTERS} characters")
        if self.every is not None and not (self.period >= 1 and self.period == self._every()):
            raise self._invalid("every", self.every, "whole seconds, 1 or more")
        _ = self.catch_up_seconds
        if not isinstance(self.args, (list, tuple)):
            raise self._invalid("args", self.args, "a list")
        if not isinstance(self.description, str):
            raise self._invalid("description", self.description, "text")
        if not isinstance(self.enabled, bool):
            raise self._invalid("enabled", self.enabled, "true or false")
        try:
            size = len(self.to_json())
        except ArgumentsError as error:
            raise SettingsError(f"The schedule {self.name!r}: {error}") from None
        except UnicodeEncodeError:
            raise SettingsError(
                f"The schedule {self.name!r} has half of a character, which is no text."
            ) from None
        _refuse_large(self.name, size)

    @property
    def period(self) -> int:
        """Seconds between two ticks; 0 if `cron` tells them."""
        return int(self._every())

    @property
    def catch_up_seconds(self) -> float:
        """How long ago a tick may be that is made up for; 0 for none."""
        return 0.0 if self.catch_up == NONE else self._seconds("catch_up", self.catch_up)

    @property
    def timing(self) -> str:
        """What its ticks go by: equal text, equal ticks."""
        return f"every {self.period}" if self.cron is None else f"cron {self.cron.strip()}"

    def payload(self) -> Payload:
        """What goes to the queue at each tick."""
        return Payload.of(self.job, self.args)

    def ticks(self, start: int) -> Ticks:
        """Its ticks, those of `every` counted from a second.

        Raises SettingsError, or CannotEvaluate for what only this host cannot tell.
        """
        if self.cron is None:
            return Every(self.period, start)
        with self._naming_itself():
            return self._cron(self.cron)

    def check(self) -> None:
        """Raises SettingsError unless its ticks can be told, here too."""
        try:
            self.ticks(0)
        except CannotEvaluate as problem:
            raise SettingsError(str(problem)) from None

    # --- as it stands in Redis

    def to_json(self) -> bytes:
        """All of it but its name."""
        return self._written(self.cron, self._own())

    def to_ruby(self) -> bytes:
        """As resque-scheduler reads it, which takes the zone of its host unless it is named."""
        if self.cron is None:
            return self._written(None, {})
        with self._naming_itself():
            return self._written(self._cron(self.cron).portable(), {})

    def own_json(self) -> bytes:
        """What resque-scheduler does not know of it."""
        return encode(self._own())

    @classmethod
    def from_json(cls, name: str, raw: bytes, own: bytes = b"{}") -> Schedule:
        """From either form, as any language may have written it. Raises SettingsError."""
        _refuse_large(name, len(raw) + len(own))
        try:
            found, more = decode(raw), decode(own)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"The schedule {name!r} cannot be read: {error}.") from None
        if not isinstance(found, dict) or not isinstance(more, dict):
            raise SettingsError(f"The schedule {name!r} cannot be read: it is no JSON object.")
        found = found | more
        cron, every = _first(found.get("cron")) or None, _rubys_period(_first(found.get("every")))
        return cls(
            name,
            found.get("custom_job_class") or found.get("class") or "",
            found.get("queue") or "",
            cron,
            every if cron is None else None,
            _positions(found.get("args")),
            found.get("description") or "",
            found.get("catch_up", CATCH_UP),
            found.get("enabled", True) and _is_for_here(found.get("rails_env") or found.get("env")),
        )

    def _written(self, cron: str | None, own: Mapping[str, Any]) -> bytes:
        timing = {"every": f"{self.period}s"} if cron is None else {"cron": cron}
        job = {"class": self.job, "queue": self.queue, "args": self.payload().args}
        described = {"description": self.description} if self.description else {}
        return encode({**timing, **job, **described, **own})

    def _own(self) -> dict[str, Any]:
        caught = self.catch_up_seconds
        own: dict[str, Any] = {} if caught == CATCH_UP else {"catch_up": caught or NONE}
        return own if self.enabled else {**own, "enabled": False}

    def _cron(self, text: str) -> Cron:
        from .cron import Cron  # not for every process: it and what it needs cost memory

        return Cron(text)

    @contextlib.contextmanager
    def _naming_itself(self) -> Iterator[None]:
        try:
            yield
        except CannotEvaluate as problem:
            raise CannotEvaluate(f"The schedule {self.name!r}: {problem}.") from None
        except ValueError as problem:
            raise SettingsError(
                f"The schedule {self.name!r}: cron={self.cron!r} is not valid: {problem}."
            ) from None

    def _every(self) -> float:
        return 0.0 if self.every is None else self._seconds("every", self.every)

    def _seconds(self, key: str, value: Time) -> float:
        try:
            seconds = parse_seconds(value)
        except ValueError as expected:
            raise self._invalid(key, value, str(expected)) from None
        if seconds > LONGEST_DELAY:
            raise self._invalid(key, value, "at most ten years")
        return seconds

    def _invalid(self, key: str, value: object, expected: str) -> SettingsError:
        shown = repr(value) if len(repr(value)) <= MOST_CHARACTERS else f"{repr(value)[:50]}..."
        return SettingsError(
            f"The schedule {self.name!r}: {key}={shown} is not valid: expected {expected}."
        )


def _refuse_large(name: str, size: int) -> None:
    """The clock of a worker reads all schedules again and again."""
    if size > LARGEST:
        raise SettingsError(f"The schedule {name!r} is larger than {shown_size(LARGEST)}.")


def _first(value: Any) -> Any:
    """Ruby's timings may stand in a list, with options behind them."""
    return value[0] if isinstance(value, list) and value else value


def _rubys_period(value: Any) -> Any:
    """Rufus' durations have longer words too: ``15mins``, ``2 seconds``, ``1M`` of thirty days."""
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS:
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?) ?(M|[a-z]+) ?", value)
    if not parts or "".join("".join(part) for part in parts) != value.replace(" ", ""):
        return value
    days = {"M": 30, "y": 365}
    return "".join(
        f"{float(number) * days[unit[0]]}d" if unit[0] in days else f"{number}{unit[0]}"
        for number, unit in parts
    )


def _is_for_here(environments: Any) -> bool:
    """Whether Ruby would load a schedule that names environments."""
    if not isinstance(environments, str):
        return True
    return os.environ.get("RAILS_ENV", "") in environments.replace(",", " ").split()


def _positions(args: Any) -> Sequence[Any]:
    """Ruby takes a list as positions, anything else as one argument."""
    if args is None or args is False:
        return ()
    return args if isinstance(args, list) else [args]
