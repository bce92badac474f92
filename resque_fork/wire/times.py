"""Times as Resque writes them, and as any Resque wrote them.

Seconds since the epoch in and out; all that is written is UTC.
"""

from __future__ import annotations

import functools
import re
import time
from datetime import datetime

LONGEST_TIME = 200  # characters; patterns would take for ever over a megabyte of blanks

_EPOCH = datetime(1970, 1, 1)
_ZONED = re.compile(  # a time of day, what it says of its zone, and perhaps the year after it
    r"(?P<clock>[^:]*\d:\d\d(?::\d\d(?:\.\d+)?)?) ?"
    r"(?P<name>[A-Za-z][A-Za-z ]*)?(?P<offset>[+-]\d\d(?::?\d\d)?)?(?P<year> \d{4})?"
)
_FOREIGN_CLOCKS = ("%a %b %d %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y")
_UTC_NAMES = ("UTC", "GMT", "UT", "Z")
_OF_SEVERAL_ZONES = ("BST", "CDT", "CST", "IST", "PST")  # of America and Asia, of three countries


@functools.lru_cache(8)  # of this second, most of the time
def run_time(seconds: float) -> str:
    """``2026-11-23T06:51:50Z``, of a worker's record."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def failed_time(seconds: float) -> str:
    """``2026/11/23 06:51:55 UTC``, of a failed entry."""
    return time.strftime("%Y/%m/%d %H:%M:%S UTC", time.gmtime(seconds))


def started_time(seconds: float) -> str:
    """``2026-11-23 06:51:48 +0000``, of a worker's start."""
    return time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(seconds))


def read_time(text: str) -> float | None:
    """Seconds since the epoch of a time that any Resque wrote, or None if it cannot be told.

    Nor can it be told of a time without a zone, or with the name of a zone that is
    neither UTC nor certainly this host's: see `zone_of`.
    """
    if len(text) > LONGEST_TIME:
        return None
    text = text.strip()
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    try:  # first, because most are, and because Python's other way costs memory
        moment = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return _read_foreign_time(text)
    return moment.timestamp() if moment.tzinfo else None


def zone_of(text: str) -> str | None:
    """The zone that keeps `read_time` from telling a time: its name, or ``none`` if it has none.

    None if the time can be told, or is no time at all.
    """
    if read_time(text) is not None or len(text) > LONGEST_TIME:
        return None
    zoned = _zoned(text.strip())
    return None if zoned is None else zoned[1] + zoned[2] or "none"


def _read_foreign_time(text: str) -> float | None:
    zoned = _zoned(text)
    if zoned is None:
        return None
    clock, name, offset = zoned
    if name.upper() in _UTC_NAMES or (offset and not name):
        return (clock - _EPOCH).total_seconds() - _seconds_east(offset)
    if not name or offset or name in _OF_SEVERAL_ZONES:
        return None
    return _local_time(clock, name)


def _zoned(text: str) -> tuple[datetime, str, str] | None:
    """What a clock showed, the name of its zone and its offset, each of which may be empty."""
    found = _ZONED.fullmatch(re.sub(r"\s*\(.*\)$", "", text))  # Node's zone in words
    if found is None:
        return None
    clock = found["clock"] + (found["year"] or "")
    zone = (found["name"] or "").strip(), found["offset"] or ""
    try:
        return datetime.fromisoformat(clock.replace("/", "-")), *zone
    except ValueError:
        pass
    for layout in _FOREIGN_CLOCKS:
        try:
            return datetime.strptime(clock, layout), *zone
        except ValueError:
            continue
    return None


def _seconds_east(offset: str) -> int:
    """Of ``+0545``, ``-05:00`` or ``+02``; 0 of nothing."""
    digits = offset[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if offset.startswith("-") else seconds


def _local_time(clock: datetime, zone: str) -> float | None:
    """When the clocks of this host showed this under this zone's name; None if they never did."""
    for fold in (0, 1):
        try:
            moment = clock.replace(fold=fold).timestamp()
            if time.localtime(moment).tm_zone == zone:
                return moment
        except (OverflowError, OSError, ValueError):
            return None
    return None
