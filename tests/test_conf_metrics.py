"""The alert rules and the dashboard in conf/ use the metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from resque_fork.metrics.names import METRICS

ROOT = Path(__file__).resolve().parent.parent
RULES, DASHBOARD = ROOT / "conf/prometheus-alerts.yml", ROOT / "conf/grafana-dashboard.json"

# Metrics on which nobody is to be woken: each is a cause or a size, whose effect is alerted on.
NOT_ALERTED = {
    "resque_job_cpu_seconds_total",
    "resque_job_duration_seconds",
    "resque_job_memory_growth_bytes",
    "resque_job_wait_seconds",
    "resque_queue_jobs",
    "resque_delayed_jobs",
    "resque_retrying_jobs",
}


def names() -> dict[str, tuple[str, ...]]:
    """Every series that there is, and its labels."""
    found = {}
    for metric in METRICS:
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = (*metric.labels, "le")
            found[f"{metric.name}_sum"] = found[f"{metric.name}_count"] = metric.labels
        else:
            found[metric.name] = metric.labels
    return found


def expressions(path: Path) -> list[str]:
    if path is DASHBOARD:
        panels = json.loads(path.read_text())["panels"]
        return [target["expr"] for panel in panels for target in panel["targets"]]
    return re.findall(r"expr: (?:\|\n)?(.*?)\n +(?:for|labels):", path.read_text(), re.DOTALL)


def used(path: Path) -> set[str]:
    """The metrics that a file uses; `resque_x_bucket` is one of `resque_x`."""
    text = "\n".join(expressions(path))
    series = set(re.findall(r"\bresque_\w+", text))
    assert series <= set(names())
    return {re.sub("_bucket$", "", name) for name in series}


def test_dashboard_shows_every_metric() -> None:
    """Each metric has its place, and none is shown that does not exist."""
    assert used(DASHBOARD) == {metric.name for metric in METRICS}


def test_rules_watch_every_metric_but_some() -> None:
    """Each metric has an alert, or is one of those that need none."""
    assert used(RULES) == {metric.name for metric in METRICS} - NOT_ALERTED


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=lambda path: path.name)
def test_labels_exist(path: Path) -> None:
    """What is selected and grouped by is a label of the metric."""
    assert expressions(path)
    for expression in expressions(path):
        labels = {
            label for name in re.findall(r"\bresque_\w+", expression) for label in names()[name]
        }
        for grouped in re.findall(r"\b(?:by|on) \((.*?)\)", expression):
            assert set(grouped.split(", ")) <= labels, expression
        for name, selected in re.findall(r"\b(resque_\w+)\{(.*?)\}", expression):
            assert set(re.findall(r"(\w+)[=!]", selected)) <= set(names()[name]), expression


def test_places_of_panels() -> None:
    """No panel of the dashboard lies over another, and each has a number of its own."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        area = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not area & taken, panel["title"]
        assert max(x for x, _ in area) < 24
        taken |= area


def test_alerts_are_documented() -> None:
    """docs/metrics.md has a row for each alert, and for each metric."""
    page = (ROOT / "docs/metrics.md").read_text()
    cells = set(re.findall(r"^\| `(\w+)[{`]", page, re.MULTILINE))
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert cells == alerts | {metric.name for metric in METRICS}
