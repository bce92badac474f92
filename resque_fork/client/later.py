"""What callers may say of when a job is due, and what waits for it."""

from __future__ import annotations

import datetime
import math
import time
from typing import Any

from ..errors import ArgumentsError
from ..job.retry import Time
from ..text import LONGEST_DELAY, parse_seconds
from ..wire.delayed import delayed_item
from ..wire.job import Payload

When = datetime.datetime | float


def moment_of(when: When) -> int:
    """The first whole second that is not before it. Raises ArgumentsError."""
    if isinstance(when, datetime.datetime):
        if when.tzinfo is None:
            raise ArgumentsError(
                f"{when} has no time zone: give a datetime with one, such as "
                "datetime.now(UTC) + timedelta(hours=1)."
            )
        seconds = when.timestamp()
    elif isinstance(when, (int, float)) and not isinstance(when, bool) and math.isfinite(when):
        seconds = float(when)
    else:
        raise ArgumentsError(
            f"{when!r} is no time: expected a datetime with a time zone, or seconds since the "
            "epoch."
        )
    _refuse_far(seconds - time.time())
    return math.ceil(seconds)


def seconds_of(delay: Time) -> float:
    """A delay in seconds. Raises ArgumentsError."""
    try:
        seconds = parse_seconds(delay)
    except ValueError as expected:
        raise ArgumentsError(f"The delay {delay!r} is not valid: expected {expected}.") from None
    _refuse_far(seconds)
    return seconds


def _refuse_far(seconds: float) -> None:
    if seconds > LONGEST_DELAY:  # a mistake, such as milliseconds
        raise ArgumentsError("A job cannot be delayed by more than ten years.")


def new_item(payload: Payload, queue: str) -> bytes:
    """What waits for a new job. Raises ArgumentsError for one that other schedulers cannot read."""
    refuse_unless_for_others(payload, "delayed")
    return delayed_item(payload, queue)


def refuse_unless_for_others(payload: Payload, what: str) -> None:
    """Raises ArgumentsError for a job that schedulers of other languages cannot read."""
    if not payload.portable or not all(_is_for_others(arg) for arg in payload.args):
        raise ArgumentsError(
            f"{payload.class_name}: a job with these arguments cannot be {what}, because "
            "schedulers of other languages cannot read them: they are nested more than 98 levels "
            "deep, or have a number that no float can hold."
        )


def _is_for_others(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_for_others, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_for_others, value))
    if isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            return False
    return True
