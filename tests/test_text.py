"""Texts for people: nothing that a terminal obeys, and sizes and times as they were given."""

import datetime
from typing import Any

import pytest

from resque_fork.text import (
    a_or_an,
    duration,
    exact_duration,
    parse_seconds,
    parse_size,
    printable,
    shown_size,
)


def test_printable_leaves_text_alone() -> None:
    """What can be printed is left as it is."""
    assert printable("ünï [x]") == "ünï [x]"
    assert printable("\ud800") == "\\ud800"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(1024**3, "1G"), (1536 * 1024**2, "1536M"), (8 * 1024, "8K"), (1000, "1000 bytes")],
)
def test_shown_size(size: int, shown: str) -> None:
    """A size is shown in the largest unit that says it exactly."""
    assert shown_size(size) == shown


@pytest.mark.parametrize("size", ["1G", "1536M", "8K"])
def test_shown_sizes_can_be_given_again(size: str) -> None:
    """What is shown in a unit is read as the same size."""
    assert shown_size(parse_size(size)) == size


@pytest.mark.parametrize("text", ["", "M", "0", "-1", "1.5M", "1T", "\u00bd"])
def test_no_sizes(text: str) -> None:
    """What is no size is refused with examples of sizes."""
    with pytest.raises(ValueError, match=r"^a size such as 512K, 8M or 1G$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("90", 90), ("1.5m", 90), ("10m", 600), ("6h", 21_600), ("2d", 172_800), ("1w", 604_800)),
        *(
            ("1h30m", 5400),
            ("1d2h3m4s", 93_784),
            (" 90s ", 90),
            (0, 0),
            (1.5, 1.5),
            (datetime.timedelta(minutes=10), 600),
        ),
    ],
)
def test_times(value: Any, seconds: float) -> None:
    """Seconds, text with a unit, or a timedelta."""
    assert parse_seconds(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "m",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "1 m",
            "1.",
            ".5",
            "1M",
            "inf",
            "nan",
            "9" * 400,
            "1h30",
            "h1",
            "1h 30m",
        ),
        *(-1, True, None, float("nan"), float("inf"), 10**400, datetime.timedelta(-1), [5]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_no_times(value: Any) -> None:
    """What is no time is refused with examples of times, however Python would read it."""
    with pytest.raises(ValueError, match=r"^a time such as 30, 10m, 6h or 2d$"):
        parse_seconds(value)


def test_articles() -> None:
    """A noun gets the article that is spoken before it; one that is plural gets none."""
    shown = [a_or_an(noun) for noun in ("set", "int", "app.Order", "Enum", "uuid.UUID", "bytes")]
    assert shown == ["a set", "an int", "an app.Order", "an Enum", "a uuid.UUID", "bytes"]


def test_exact_duration() -> None:
    """Nothing is left out."""
    shown = [exact_duration(seconds) for seconds in (0, 1, 600, 5400, 86_401)]
    assert shown == ["0s", "1s", "10m", "1h 30m", "1d 1s"]


def test_duration() -> None:
    """The two largest units are shown."""
    shown = [duration(seconds) for seconds in (-1, 0.9, 59, 200, 3600, 90_061)]
    assert shown == ["0s", "0s", "59s", "3m 20s", "1h 0m", "1d 1h"]
