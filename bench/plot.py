"""The results as a picture: jobs a second of all systems, and the CPU time of a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from .figures import Figure, Result, readable

COLOURS = {"ours": "#c2410c", "floor": "#9ca3af", "peer": "#2563eb"}
ROWS = (1, 3)


def save(results: Sequence[Result], file: Path) -> None:
    """Write a PNG. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates = [f for r in results if r.number in ROWS for f in r.figures if f.unit == "jobs/s"]
    rates.sort(key=lambda figure: figure.value)
    height = 1.2 + 0.28 * max(len(rates), 4)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, height), layout="constrained")
    _bars(left, rates, lambda rate: rate.value, "Jobs a second, one worker, jobs that do nothing")
    _bars(right, rates, lambda rate: rate.cpu or 0, "CPU time of a job, in milliseconds")
    right.tick_params(labelleft=False)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def _bars(
    axes: object, rates: Sequence[Figure], value: Callable[[Figure], float], title: str
) -> None:
    values = [value(figure) for figure in rates]
    bars = axes.barh(  # type: ignore[attr-defined]
        [figure.what for figure in rates],
        values,
        color=[COLOURS.get(figure.kind, "#6b7280") for figure in rates],
    )
    axes.bar_label(bars, [*map(readable, values)], padding=3)  # type: ignore[attr-defined]
    axes.set_xscale("log")  # type: ignore[attr-defined]
    axes.margins(x=0.15)  # type: ignore[attr-defined]
    axes.set_title(title)  # type: ignore[attr-defined]
