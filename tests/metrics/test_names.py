"""Which numbers there are, and by which names they are counted."""

from __future__ import annotations

import math
import re

import pytest

from resque_fork.metrics.names import (
    LONGEST_NAME,
    METRICS,
    SCALES,
    UNREADABLE,
    Distribution,
    label,
)


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("mail", "mail"),
        ("", UNREADABLE),
        ("a\tb\nc", r"a\tb\nc"),
        ("\udcff\x00", r"\xff\x00"),
        ('"ü"', '"ü"'),
        ("x" * LONGEST_NAME, "x" * LONGEST_NAME),
        ("x" * 10_000_000, "x" * (LONGEST_NAME - 3) + "..."),
        ("\x00" * LONGEST_NAME, r"\x00" * 24 + r"\..."),
    ],
)
def test_label(name: str, counted: str) -> None:
    """A name is counted as printable text of limited length, so that no tab stands in it."""
    assert label(name) == counted
    assert len(label(name)) <= LONGEST_NAME
    assert label(name).encode()


@pytest.mark.parametrize(
    ("measured", "number", "bucket"),
    [
        ("duration", 0, "0.01"),
        ("duration", 10, "0.01"),
        ("duration", 11, "0.025"),
        ("duration", 1_800_000, "1800"),
        ("duration", 1_800_001, "+Inf"),
        ("growth", 1024, "1048576"),
        ("growth", 1025, "4194304"),
        ("wait", 86_400_001, "+Inf"),
    ],
)
def test_buckets(measured: str, number: int, bucket: str) -> None:
    """A value is counted under the first bound that is not below it, as Prometheus has it."""
    assert SCALES[measured].bucket(number) == bucket


def test_count_of_a_distribution() -> None:
    """It is that of all buckets."""
    assert Distribution({1.0: 2, 5.0: 0, float("inf"): 3}, 40.0).count == 5


def test_metrics_are_named_as_prometheus_wants() -> None:
    """Counters end with _total and others do not, and no label names a worker or a host."""
    for metric in METRICS:
        assert re.fullmatch(r"resque_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind in ("counter", "gauge", "histogram")
        assert set(metric.labels) <= {"queue", "class", "outcome", "cause", "mode", "state"}
        assert metric.help.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_quantiles() -> None:
    """They are estimated within a bucket; beyond the last bound nothing more is known than that."""
    values = Distribution({1.0: 0, 2.0: 10, 4.0: 10, math.inf: 0}, 0)
    assert [values.quantile(share) for share in (0.25, 0.5, 0.75, 1)] == [1.5, 2, 3, 4]
    assert Distribution({1.0: 1, math.inf: 9}, 0).quantile(0.5) == 1
    assert Distribution({1.0: 0, math.inf: 0}, 0).quantile(0.5) is None
