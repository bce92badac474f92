"""What a tracked job returns, for whoever asks for its status."""

from __future__ import annotations

from typing import Any

from ..errors import ResultError, SettingsError
from ..text import parse_seconds
from ..wire.json import DEPTH_FOR_OTHERS, depth_of, encode
from ..wire.status import LONGEST_RESULT
from .retry import Time


def seconds_kept(wire_name: str, value: Time) -> float:
    """For how long a result is kept. Raises SettingsError."""
    try:
        seconds = parse_seconds(value)
    except ValueError as expected:
        raise SettingsError(f"{wire_name}: result must be {expected}, not {value!r}.") from None
    if seconds < 1:
        raise SettingsError(f"{wire_name}: result must be a second or more, not {value!r}.")
    return seconds


def result_text(wire_name: str, value: Any) -> str:
    """What a job has returned, as JSON. Raises ResultError if it is none, or too long."""
    try:
        text = encode(value)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ResultError(f"The result of {wire_name} cannot be kept: {problem}.") from None
    if len(text) > LONGEST_RESULT:
        why = f"it has {len(text)} bytes as JSON, and {LONGEST_RESULT} are the most"
    elif depth_of(text) > DEPTH_FOR_OTHERS:
        why = f"it is nested more than {DEPTH_FOR_OTHERS} levels deep"
    else:
        return text.decode()
    raise ResultError(f"The result of {wire_name} cannot be kept: {why}.")
