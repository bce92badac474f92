"""Texts for people: made safe to show, and sizes and times as they are written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

UNITS = {"G": 1024**3, "M": 1024**2, "K": 1024}  # the largest first
# seconds for which a job may wait; also what Redis and other languages can take
LONGEST_DELAY = 10 * 366 * 86400.0
SECONDS = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


def printable(text: str) -> str:
    """The text with control characters and undecodable bytes shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is unknown."""
    import difflib  # not for every worker: it costs memory, and so makes every fork slower

    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else "."


def parse_size(text: str) -> int:
    """``8M`` in bytes. Raises ValueError, with what it expects, unless it is a size above zero."""
    text = text.strip().upper().removesuffix("B")
    number = text[:-1] if text[-1:] in UNITS else text
    if not number.isdecimal() or int(number) < 1:
        raise ValueError("a size such as 512K, 8M or 1G")
    return int(number) * UNITS.get(text[-1:], 1)


def shown_size(size: int) -> str:
    """``8M`` for so many bytes, or ``1500 bytes`` where no unit fits."""
    for unit, factor in UNITS.items():
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"


_PART = r"(\d+(?:\.\d+)?)([wdhms])"


def parse_seconds(value: Any) -> float:
    """``"10m"``, ``"1h30m"``, 600 or a timedelta in seconds.

    Raises ValueError, with what it expects.
    """
    try:
        if isinstance(value, datetime.timedelta):
            seconds = value.total_seconds()
        elif isinstance(value, str):
            seconds = _sum_of(value.strip())
        else:
            seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds < float("inf"):
        raise ValueError("a time such as 30, 10m, 6h or 2d")
    return seconds


def _sum_of(text: str) -> float:
    """Raises ValueError for what is no time."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not re.fullmatch(f"(?:{_PART})+", text):
        raise ValueError
    return sum(float(number) * SECONDS[unit] for number, unit in re.findall(_PART, text))


def exact_duration(seconds: int) -> str:
    """All units that there are, as in ``1d 30m``."""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        number, seconds = divmod(seconds, SECONDS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def duration(seconds: float) -> str:
    """The two largest units, as in ``3m 20s``."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, rest = divmod(rest, size)
        if number or parts or unit == "s":
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


def a_or_an(noun: str) -> str:
    """The noun with its article, if it has one: ``a set``, ``an int``, ``bytes``."""
    if noun == "bytes":
        return noun
    return f"{'an' if noun[:1].lower() in ('a', 'e', 'i', 'o') else 'a'} {noun}"


def counted(number: int, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def due_in(seconds: int | None) -> str:
    """When a job is due that waits; ``?`` for a time that is none."""
    if seconds is None:
        return "?"
    return duration(seconds) if seconds > 0 else "due"
