"""Lines of throughput and failures, as numbers and as points of an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ops.rows import Row
from .minutes import MINUTE, Ends

WIDTH, HEIGHT = 600, 60  # of a line, in the units of its points
SPANS = (("last hour", 60, 1), ("last 24 hours", 24 * 60, 10))  # minutes, and of a point


def lines(minutes: Mapping[int, Ends]) -> list[Row]:
    """For each span of time its numbers and its two lines, of jobs a minute."""
    return [_span(minutes, *span) for span in SPANS]


def _span(minutes: Mapping[int, Ends], name: str, length: int, step: int) -> Row:
    last = max(minutes, default=0)
    wanted = range(last - (length - 1) * MINUTE, last + MINUTE, MINUTE)
    ends = [minutes.get(second) for second in wanted]
    found = [each for each in ends if each]
    return {
        "name": name,
        "complete": len(found) == length,
        "minutes": len(found),
        "done": sum(each.done for each in found),
        "failed": sum(each.failed for each in found),
        "again": sum(each.again for each in found),
        "throughput": _line([each and each.done for each in ends], step),
        "failures": _line([each and each.failed + each.again for each in ends], step),
    }


def _line(numbers: Sequence[int | None], step: int) -> Row:
    """The mean of every so many minutes, None where none of them is known, and the largest."""
    parts = (numbers[start : start + step] for start in range(0, len(numbers), step))
    known = ([number for number in part if number is not None] for part in parts)
    means = [round(sum(part) / len(part), 2) if part else None for part in known]
    return {"a_minute": means, "at_most": max((mean or 0 for mean in means), default=0)}


def points(line: Row) -> str:
    """Of an SVG's polyline, from the first value that is known; the largest is at the top."""
    values, largest = line["a_minute"], line["at_most"] or 1
    return " ".join(
        f"{WIDTH * place / (len(values) - 1):.4g},{HEIGHT * (1 - value / largest):.3g}"
        for place, value in enumerate(values)
        if value is not None
    )
