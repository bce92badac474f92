"""What a job returns, as it is kept."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from resque_fork import ResultError, SettingsError, job
from resque_fork.job.result import result_text

pytestmark = pytest.mark.usefixtures("own_jobs")


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), ({"ü": [1, 2.5]}, '{"ü":[1,2.5]}'), ((1, 2), "[1,2]"), ("x" * 65534, None)],
)
def test_json(value: Any, text: str | None) -> None:
    """All that JSON can say, up to 64 kB."""
    assert result_text("report", value) == (text or f'"{value}"')


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        ("x" * 65535, "it has 65537 bytes as JSON, and 65536 are the most"),
        (nested(100), "it is nested more than 99 levels deep"),
        (nested(100_000), "maximum recursion depth exceeded"),
        ("\ud800", "'utf-8' codec can't encode"),
    ],
)
def test_what_cannot_be_kept(value: Any, why: str) -> None:
    """The error says why."""
    with pytest.raises(ResultError) as raised:
        result_text("report", value)
    assert str(raised.value).startswith(f"The result of report cannot be kept: {why}")


@pytest.mark.parametrize(
    ("declared", "seconds"), [("1h", 3600), (90, 90), (datetime.timedelta(days=1), 86400)]
)
def test_declared(declared: Any, seconds: float) -> None:
    """For how long, in the usual forms."""

    @job(track=True, result=declared)
    def report() -> None: ...

    assert report.declaration.result == seconds


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"result": "1h"}, "only a tracked job can keep its result: add track=True."),
        ({"track": True, "result": "soon"}, "result must be "),
        ({"track": True, "result": 0.5}, "result must be a second or more, not 0.5."),
    ],
)
def test_declared_in_vain(options: Any, problem: str) -> None:
    """What makes no sense is refused where it is declared."""

    def report() -> None: ...

    with pytest.raises(SettingsError) as raised:
        job(**options)(report)
    assert str(raised.value).startswith(f"report: {problem}")
