"""Cron expressions, evaluated by cronsim.

It goes by Debian's cron where clocks change: a time of day that does not exist is made up for
right after the gap, and one that exists twice counts once. The names of zones, and ``@daily`` and
its like, are understood here.
"""

from __future__ import annotations

import datetime
import re
from zoneinfo import ZoneInfo, available_timezones

from .ticks import CannotEvaluate

try:
    from cronsim import CronSim, CronSimError
except ImportError:  # it is an extra
    CronSim = None  # type: ignore[assignment,misc]

EXTRA = "pip install 'resque-fork[schedule]'"
EXPECTED = 'five fields, or six with seconds first, and a zone, such as "0 7 * * 1-5 Europe/Berlin"'
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# A last word that is no day of the week, as in ``0 7 * * * Europe/Berlin``.
_ZONE = re.compile(r"(?!(?:SUN|MON|TUE|WED|THU|FRI|SAT)(?![A-Z]))[A-Z]", re.IGNORECASE)
# What a field may be for fugit, the parser of resque-scheduler, of what it may be for cronsim.
_VALUE = r"(?:\d{1,2}|[A-Z]{3})"
_PART = rf"(?:L|{_VALUE}#[1-5]|(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?)"
_PORTABLE = re.compile(rf"{_PART}(?:,{_PART})*")
_ONE_TO_ITSELF = re.compile(r"\b(\w+)-\1/")  # 1-1/2 is 1/2 for cronsim
_STEP_FROM_DAY = re.compile(rf"(?:^|,){_VALUE}/")  # of the week
_LOCAL_ZONES = ("localtime", "posixrules")
_LEAP_DAY = datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)


class Cron:
    """``0 7 * * 1-5 Europe/Berlin``: five fields, or six with seconds first, and a zone.

    Without a zone it is UTC, whatever the zone of this host: all hosts have to agree. `words` say
    it, without the zone. Raises ValueError with what is wrong, CannotEvaluate for what only this
    host lacks.
    """

    def __init__(self, text: str) -> None:
        if CronSim is None:
            raise CannotEvaluate(f"cronsim is not installed: {EXTRA}")
        fields, self.zone = _split(text)
        if len(fields) == 6 and fields[0].strip("0") == "":
            del fields[0]  # cronsim sees to changes of clocks in five fields only
        self._fields = " ".join(fields)
        self._zone_info = _zone_info(self.zone)
        try:
            self.words: str = CronSim(self._fields, _LEAP_DAY).explain()
        except (CronSimError, ValueError) as error:
            raise ValueError(f"{str(error).lower()}; expected {EXPECTED}") from None
        if self.next_after(int(_LEAP_DAY.timestamp())) is None:
            raise ValueError("there is no such time in 50 years")

    @property
    def warning(self) -> str:
        """See `Ticks`."""
        seconds, *_, hour, _, _, _ = ["0", *self._fields.split()][-6:]
        if seconds == "0" or hour.startswith("*") or self.zone == "UTC":
            return ""
        return (
            "With seconds, an hour of the day may be left out, or have its ticks twice, when "
            "clocks change: leave the seconds out, or use UTC."
        )

    def portable(self) -> str:
        """The expression with its zone, as resque-scheduler reads it too.

        Raises ValueError for one that it cannot read, or that means something else to it.
        """
        fields = self._fields.upper().split()
        *_, day, _, weekday = fields
        if not all(_PORTABLE.fullmatch(field) for field in fields) or self.zone in _LOCAL_ZONES:
            raise ValueError("resque-scheduler cannot read it")
        if _differs(day, weekday) or any(_ONE_TO_ITSELF.search(field) for field in fields):
            raise ValueError("it means something else to resque-scheduler")
        return f"{self._fields} {self.zone}"

    def next_after(self, second: int) -> int | None:
        """See `Ticks`."""
        for tick in CronSim(self._fields, self.local(second)):
            if tick.timestamp() > second:  # of an hour that exists twice, the first counts
                return int(tick.timestamp())
        return None

    def last_until(self, second: int) -> int | None:
        """See `Ticks`."""
        for tick in CronSim(self._fields, self.local(second + 1), reverse=True):
            if tick.timestamp() <= second:
                return int(tick.timestamp())
        return None

    def local(self, second: int) -> datetime.datetime:
        """See `Ticks`."""
        return datetime.datetime.fromtimestamp(second, self._zone_info)


def _differs(day: str, weekday: str) -> bool:
    """Whether days are others for fugit: it takes either field unless one is just a star."""
    both = [day, weekday]
    starred = any(field.startswith("*") and field != "*" for field in both)
    return (starred and "*" not in both) or "*," in weekday or bool(_STEP_FROM_DAY.search(weekday))


def _split(text: str) -> tuple[list[str], str]:
    """The fields and the zone."""
    words = text.split()
    if words and words[0].lower() in NICKNAMES:
        words[:1] = NICKNAMES[words[0].lower()].split()
    zone = words.pop() if len(words) in (6, 7) and _ZONE.match(words[-1]) else "UTC"
    if len(words) not in (5, 6):
        raise ValueError(f"expected {EXPECTED}")
    return words, zone


def _zone_info(name: str) -> datetime.tzinfo:
    if name == "UTC":
        return datetime.UTC
    if name.startswith(("posix/", "right/")):  # what some systems keep beside the zones
        raise ValueError(f"there is no time zone {name!r}")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        if not available_timezones():
            raise CannotEvaluate(f"this host knows no time zones: {EXTRA}") from None
        raise ValueError(f"there is no time zone {name!r}") from None
