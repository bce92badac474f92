"""The text in which Prometheus reads metrics."""

from __future__ import annotations

import pytest

from resque_fork.metrics.names import Distribution, Metric
from resque_fork.metrics.text import exposition


def test_kinds_of_values() -> None:
    """Each metric has its help and its kind, and a line for each value, or each bucket of one."""
    inf = float("inf")
    metrics = [
        Metric("up", "gauge", "Is it?", (), {(): 1}),
        Metric("jobs_total", "counter", "Jobs.", ("a", "b"), {("y", "z"): 0.5, ("x", "z"): 2}),
        Metric("none", "gauge", "Nothing.", ("a",)),
        Metric("took", "histogram", "T.", ("a",), {("x",): Distribution({0.5: 2, inf: 1}, 7.25)}),
        Metric("bare", "histogram", "T.", (), {(): Distribution({0.5: 0, inf: 0}, 0)}),
    ]
    assert exposition(metrics).splitlines() == [
        "# HELP up Is it?",
        "# TYPE up gauge",
        "up 1",
        "# HELP jobs_total Jobs.",
        "# TYPE jobs_total counter",
        'jobs_total{a="x",b="z"} 2',
        'jobs_total{a="y",b="z"} 0.5',
        "# HELP none Nothing.",
        "# TYPE none gauge",
        "# HELP took T.",
        "# TYPE took histogram",
        'took_bucket{a="x",le="0.5"} 2',
        'took_bucket{a="x",le="+Inf"} 3',
        'took_sum{a="x"} 7.25',
        'took_count{a="x"} 3',
        "# HELP bare T.",
        "# TYPE bare histogram",
        'bare_bucket{le="0.5"} 0',
        'bare_bucket{le="+Inf"} 0',
        "bare_sum 0",
        "bare_count 0",
    ]
    assert exposition(metrics).endswith("\n")


@pytest.mark.parametrize(
    ("name", "written"),
    [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("}{=,é", "}{=,é")],
)
def test_values_of_labels_are_escaped(name: str, written: str) -> None:
    """Whatever a queue is called, it stays one value of one label."""
    text = exposition([Metric("m", "gauge", "H.", ("q",), {(name,): 1})])
    assert text.splitlines()[2] == f'm{{q="{written}"}} 1'
