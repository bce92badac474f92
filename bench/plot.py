"""The results as a picture: jobs a second of all systems, and how far each goal is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .figures import Figure, Result

COLOURS = {"ours": "#c2410c", "floor": "#9ca3af", "peer": "#2563eb"}
RATES = (1, 2, 3)  # rows


def save(results: Sequence[Result], file: Path) -> None:
    """Write a PNG. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates = [f for r in results if r.number in RATES for f in r.figures if f.unit == "jobs/s"]
    checks = [(f"{r.number}: {c.what}", c) for r in results for c in r.checks]
    height = 1.2 + 0.28 * max(len(rates), len(checks), 4)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, height), layout="constrained")
    _rates(left, sorted(rates, key=lambda f: f.value))
    right.barh(
        [name for name, _ in checks][::-1],
        [min(check.share, 100) for _, check in checks][::-1],
        color=["#15803d" if check.holds else "#b91c1c" for _, check in checks][::-1],
    )
    right.axvline(1, color="black", linewidth=1)
    right.set_xscale("log")
    right.set_title("Goals: 1 is reached, further right is better")
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _rates(axes: object, rates: Sequence[Figure]) -> None:
    """Jobs a second, a logarithmic scale, with the lowest and highest round."""
    axes.barh(  # type: ignore[attr-defined]
        [figure.what for figure in rates],
        [figure.value for figure in rates],
        xerr=[[f.value - f.low for f in rates], [f.high - f.value for f in rates]],
        color=[COLOURS.get(figure.kind, "#6b7280") for figure in rates],
    )
    axes.set_xscale("log")  # type: ignore[attr-defined]
    axes.set_title("Jobs (or turns of a bare loop) a second, one worker, no-op")  # type: ignore[attr-defined]
