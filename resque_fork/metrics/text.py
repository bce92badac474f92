"""The text in which Prometheus reads metrics.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from .names import BEYOND, Distribution, Metric

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(metrics: Iterable[Metric]) -> str:
    """All of them, each with its help and its kind."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for values, value in sorted(metric.values.items()):
        labels = list(zip(metric.labels, values, strict=True))
        if isinstance(value, Distribution):
            yield from _distribution(metric.name, labels, value)
        else:
            yield f"{metric.name}{_shown(labels)} {value}"


def _distribution(
    name: str, labels: Sequence[tuple[str, str]], value: Distribution
) -> Iterator[str]:
    running = itertools.accumulate(value.buckets.values())
    for bound, count in zip(value.buckets, running, strict=True):
        at_most = BEYOND if bound == float("inf") else str(bound)
        yield f"{name}_bucket{_shown([*labels, ('le', at_most)])} {count}"
    yield f"{name}_sum{_shown(labels)} {value.sum}"
    yield f"{name}_count{_shown(labels)} {value.count}"


def _shown(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
    return f"{{{pairs}}}"
