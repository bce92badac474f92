"""Times of every language are read, and ours are written as Ruby's."""

import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.wire.times import failed_time, read_time, run_time, started_time, zone_of
from wire.examples import MOMENT


def test_run_at_format() -> None:
    """The three times that we write have Resque's three forms, all of them in UTC."""
    assert run_time(MOMENT + 0.9) == "2026-11-23T06:51:50Z"
    assert failed_time(MOMENT) == "2026/11/23 06:51:50 UTC"
    assert started_time(MOMENT) == "2026-11-23 06:51:50 +0000"


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-23T06:51:50Z",
        "2026-11-23T06:51:50.9Z",
        "2026-11-23T01:51:50-05:00",
        "2026-11-23T06:51:50.900000000Z",
        "2026/11/23 06:51:50 UTC",
        "2026/11/23 06:51:50 GMT",
        "2026/11/23 06:51:50 Z",
        "2026/11/23 08:51:50 UTC+02:00",
        "2026/11/23 12:36:50 +0545",
        "2026-11-23 06:51:50 +0000",
        "2026-11-23 01:51:50 -0500",
        "2026-11-23 01:51:50 -05",
        "Mon Nov 23 2026 06:51:50 GMT+0000 (Coordinated Universal Time)",
        "Mon Nov 23 2026 01:51:50 GMT-0500 (Eastern Standard Time)",
        "Mon Nov 23 06:51:50 UTC 2026",
        "Mon Nov 23 12:36:50 +0545 2026",
        "1795416710",
        " 1795416710.9 ",
    ],
)
def test_times_of_every_language_are_read(told: str) -> None:
    """The times that Ruby, Node, Go and PHP write are read."""
    moment = read_time(told)
    assert moment is not None
    assert int(moment) == MOMENT


@pytest.mark.parametrize(
    "told",
    ["", "garbage", "99", "2026-13-45", "Mon", "a" + " " * 1_000_000 + "b", "(" * 1_000_000],
    ids=lambda told: told[:10],
)
def test_times_that_cannot_be_told(told: str) -> None:
    """A time that is none is None."""
    assert read_time(told) is None


@pytest.fixture
def host_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put this host in a time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("2026/11/23 06:51:50 EST", "EST"),
        ("Mon Nov 23 06:51:50 CET 2026", "CET"),
        ("2026/11/23 06:51:50 Eastern Standard Time", "Eastern Standard Time"),  # Ruby on Windows
        ("2026/11/23 06:51:50 CST", "CST"),  # of America, China or Cuba
        ("2026-11-23 06:51:50 EST+0100", "EST+0100"),
        ("2026/11/23 06:51:50", "none"),  # Resque of long ago
        ("2026-11-23 06:51:50.123456", "none"),  # pyres
    ],
)
@pytest.mark.parametrize("host", ["UTC", "Asia/Kathmandu", "Asia/Shanghai"])
def test_times_of_unknown_zones(
    told: str, zone: str, host: str, host_in: Callable[[str], None]
) -> None:
    """A time without a zone, or with a name that may be anybody's, is not told, and its zone is."""
    host_in(host)
    assert (read_time(told), zone_of(told)) == (None, zone)


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2026/11/23 01:51:50 EST", MOMENT),
        ("Mon Nov 23 01:51:50 EST 2026", MOMENT),
        ("2026/11/01 01:30:00 EDT", 1793511000),
        ("2026/11/01 01:30:00 EST", 1793514600),  # an hour later, when clocks show it again
        ("2026/11/23 06:51:50 EDT", None),  # which nobody there says in winter
        ("2026/11/23 06:51:50 CET", None),
    ],
)
def test_zone_of_this_host_by_its_name(
    told: str, moment: float | None, host_in: Callable[[str], None]
) -> None:
    """A time with the name that this host's own zone had then is this host's time."""
    host_in("America/New_York")
    assert read_time(told) == moment


@pytest.mark.parametrize("told", ["2026/11/23 06:51:50 UTC", "1795416710", "garbage", ""])
def test_no_zone_to_be_told_of(told: str) -> None:
    """Of a time that can be told, and of what is none, no zone is named."""
    assert zone_of(told) is None


@given(st.integers(0, 4102444800))
def test_our_times_read_back(moment: int) -> None:
    """What we write, we read."""
    for write in (run_time, failed_time, started_time):
        assert read_time(write(moment)) == moment
