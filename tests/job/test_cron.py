"""Cron expressions: zones, days on which clocks change, and what is wrong with an expression."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from resque_fork.job import cron
from resque_fork.job.cron import NICKNAMES, Cron
from resque_fork.job.ticks import CannotEvaluate, Every

FIVE_FIELDS = (
    'expected five fields, or six with seconds first, and a zone, such as "0 7 * * 1-5 '
    'Europe/Berlin"'
)


def at(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp())


def ticks(expression: str, after: str, count: int) -> list[str]:
    """The next ticks as the clocks of the zone show them; told backwards they are the same."""
    one, second, found = Cron(expression), at(after), []
    for _ in range(count):
        tick = one.next_after(second)
        assert tick is not None
        assert tick > second
        assert one.last_until(tick) == one.last_until(tick + 1) == tick
        second = tick
        found.append(one.local(second).isoformat())
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("0 7 * * 1-5 Europe/Berlin", "Europe/Berlin", "At 07:00 on Monday through Friday"),
        ("  0 7  * * mon-fri ", "UTC", "At 07:00 on Monday through Friday"),
        ("@daily", "UTC", "At 00:00 every day"),
        ("@Daily Asia/Tokyo", "Asia/Tokyo", "At 00:00 every day"),
        ("0 0 7 * * MON", "UTC", "At 07:00 on Monday"),
        ("0 0 7 * * MON CET", "CET", "At 07:00 on Monday"),
        ("*/3 * * * * *", "UTC", "Every third second of every minute"),
        ("* * * * * W-SU", "W-SU", "Every minute"),
        ("5 0 L * * Etc/UTC", "Etc/UTC", "At 00:05 on the last day of every month"),
    ],
)
def test_what_it_says(expression: str, zone: str, words: str) -> None:
    """Five fields or six, a zone as the last word, nicknames; the rest is cronsim's."""
    one = Cron(expression)
    assert (one.zone, one.words) == (zone, words)


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_nicknames(nickname: str) -> None:
    """Each has a tick, at the begin of a minute."""
    tick = Cron(nickname).next_after(at("2027-06-01T00:00:30Z"))
    assert tick is not None
    assert tick % 3600 == 0


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("", FIVE_FIELDS),
        ("* * * *", FIVE_FIELDS),
        ("* * * * Europe/Berlin", f"bad day-of-week; {FIVE_FIELDS}"),
        ("@reboot", FIVE_FIELDS),
        ("* * * * * * * *", FIVE_FIELDS),
        ("60 * * * *", f"bad minute; {FIVE_FIELDS}"),
        ("5/* * * * *", f"bad minute; {FIVE_FIELDS}"),
        ("9999999999 * * * *", f"bad minute; {FIVE_FIELDS}"),
        ("* 24 * * *", f"bad hour; {FIVE_FIELDS}"),
        ("* * * * 8", f"bad day-of-week; {FIVE_FIELDS}"),
        ("0 0 31 2 *", f"bad day-of-month; {FIVE_FIELDS}"),
        ("* * * * * Nowhere/City", "there is no time zone 'Nowhere/City'"),
        ("* * * * * Europe", "there is no time zone 'Europe'"),
        ("* * * * * E/../../etc/passwd", "there is no time zone 'E/../../etc/passwd'"),
        ("0 0 */30 2 MON#5", "there is no such time in 50 years"),
    ],
)
def test_what_is_wrong(expression: str, problem: str) -> None:
    """Each fault is told in words."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        Cron(expression)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        (  # what does not exist is made up for right after the gap
            "30 2 * * * Europe/Paris",
            "2026-03-28T00:00+01:00",
            ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (  # what exists twice counts once
            "30 2 * * * Europe/Paris",
            "2026-10-24T12:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (  # also if one asks in the second of the two hours
            "50 2 * * * Europe/Paris",
            "2026-10-25T02:45+01:00",
            ["2026-10-26T02:50:00+01:00"],
        ),
        (
            "30 2 * * * America/New_York",
            "2027-03-13T12:00-05:00",
            ["2027-03-14T03:00:00-04:00", "2027-03-15T02:30:00-04:00"],
        ),
        (
            "30 1 * * * America/New_York",
            "2027-11-06T12:00-04:00",
            ["2027-11-07T01:30:00-04:00", "2027-11-08T01:30:00-05:00"],
        ),
        (  # clocks change by half an hour
            "15 2 * * * Australia/Lord_Howe",
            "2026-10-03T00:00+10:30",
            ["2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        (
            "45 1 * * * Australia/Lord_Howe",
            "2026-04-04T12:00+11:00",
            ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
        ),
        (  # a whole day does not exist
            "0 9 * * * Pacific/Apia",
            "2011-12-29T00:00-10:00",
            ["2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"],
        ),
        (  # an interval goes on through both hours
            "*/30 * * * * Europe/Paris",
            "2026-10-25T02:15+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"],
        ),
        (
            "0 * * * * Europe/Paris",
            "2026-03-29T01:15+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
        ),
        (  # seconds that say nothing do not cost the care for changes of clocks
            "00 30 2 * * * Europe/Paris",
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "0 0 29 2 *",
            "2026-01-01T00:00+00:00",
            ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"],
        ),
        (
            "*/20 * * * * *",
            "2026-12-31T23:59:30+00:00",
            ["2026-12-31T23:59:40+00:00", "2027-01-01T00:00:00+00:00"],
        ),
    ],
)
def test_ticks(expression: str, after: str, expected: list[str]) -> None:
    """On days when clocks change, and in leap years."""
    assert ticks(expression, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "warned"),
    [
        ("10 30 2 * * * Europe/Paris", True),
        ("10 30 2 * * *", False),
        ("10 30 * * * * Europe/Paris", False),
        ("0 30 2 * * * Europe/Paris", False),
        ("30 2 * * * Europe/Paris", False),
    ],
)
def test_warning(expression: str, warned: bool) -> None:
    """Seconds with a fixed hour get no care on days when clocks change."""
    words = (
        "With seconds, an hour of the day may be left out, or have its ticks twice, when clocks "
        "change: leave the seconds out, or use UTC."
    )
    assert Cron(expression).warning == (words if warned else "")


@pytest.mark.parametrize(
    ("expression", "portable"),
    [
        ("0  7 * * *", "0 7 * * * UTC"),
        ("@daily Europe/Paris", "0 0 * * * Europe/Paris"),
        ("*/2 * * * * * Asia/Tokyo", "*/2 * * * * * Asia/Tokyo"),
    ],
)
def test_portable(expression: str, portable: str) -> None:
    """Ruby takes the zone of its host, so it is named."""
    assert Cron(expression).portable() == portable


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        *((text, "resque-scheduler cannot read it") for text in (
            *("0 0 * * 5L", "0 0 * * MON,5L", "0 0 LW * *", "*/100 * * * *", "1-5/100 * * * *"),
            *("007 * * * *", "000 7 * * *", "*/007 * * * *", "0 0 * * 1#05", "0 0 L/2 * *"),
            *("0 0 * * 001", "* * * * * localtime", "* * * * * posixrules"),
        )),
        *((text, "it means something else to resque-scheduler") for text in (
            *("16 12 */25 * TUE-FRI", "0 12 8,21 * */1", "0 0 * * 2/2", "0 0 * * *,3"),
            *("1-1/2 * * * *", "0 0 * * 1,3/2"),
        )),
    ],
)  # fmt: skip
def test_not_portable(expression: str, problem: str) -> None:
    """What Ruby's parser does not know would keep its scheduler from starting."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        Cron(expression).portable()


@pytest.mark.parametrize(
    "expression",
    [
        *("*/60 * * * *", "0 0 * */13 *", "5/15 * * * *", "1-5/2,7 * * * *", "0 0 L * *"),
        *("0 0 * * MON#2,5#3", "0 0 1,15 * 1", "0 0 */2 * *", "0 7 * JAN-MAR MON-FRI"),
        *("0 0 * * 1-5/2", "59 23 31 12 0"),
    ],
)
def test_portable_as_it_is(expression: str) -> None:
    """It means the same to both."""
    assert Cron(expression).portable() == f"{expression} UTC"


def test_copies_of_zones() -> None:
    """Some systems have them beside the zones, and others have not."""
    for zone in ("posix/Europe/Berlin", "right/UTC"):
        with pytest.raises(ValueError, match=f"^there is no time zone '{zone}'$"):
            Cron(f"* * * * * {zone}")


def test_without_cronsim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expression may be good."""
    monkeypatch.setattr(cron, "CronSim", None)
    told = "cronsim is not installed: pip install 'resque-fork[schedule]'"
    with pytest.raises(CannotEvaluate, match=f"^{re.escape(told)}$"):
        Cron("* * * * *")


def test_without_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTC is always known; another zone may exist."""

    def unknown(name: str) -> Any:
        raise KeyError(name)

    monkeypatch.setattr(cron, "ZoneInfo", unknown)
    monkeypatch.setattr(cron, "available_timezones", set)
    assert Cron("* * * * * UTC").zone == "UTC"
    told = "this host knows no time zones: pip install 'resque-fork[schedule]'"
    with pytest.raises(CannotEvaluate, match=f"^{re.escape(told)}$"):
        Cron("* * * * * Europe/Berlin")


def test_every() -> None:
    """Counted from its start, forwards and backwards."""
    every = Every(10, 1003)
    assert [every.next_after(second) for second in (1003, 1004, 1012, 1013)] == [
        *(1013, 1013, 1013, 1023)
    ]
    assert [every.last_until(second) for second in (1003, 1012, 1013)] == [1003, 1003, 1013]
    assert (every.words, Every(1, 0).words) == ("Every 10s", "Every 1s")
    assert every.local(0).isoformat() == "1970-01-01T00:00:00+00:00"
    assert (every.zone, every.warning) == ("", "")
