"""The results for people: a table for the terminal, and the same for the documents."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from .figures import Result

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
HEADS = ("#", "measure", "goal", "reached", "spread", "holds")
FIGURES = ("#", "figure", "median", "spread", "CPU per job", "page faults per job")


def machine(server: str) -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "server": server,
        "redis-py": redis.__version__,
        "hiredis": "yes" if importlib.util.find_spec("hiredis") else "no",
        "load before": round(load, 2),
    }


def goals(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A line for each goal."""
    return [
        (
            str(result.number),
            f"{result.title}: {check.what}",
            check.goal_text,
            f"{check.text}{check.unit_text}",
            check.spread,
            "yes" if check.holds else "no",
        )
        for result in results
        for check in result.checks
    ]


def details(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A line for each figure behind the goals."""
    return [
        (
            str(result.number),
            figure.what,
            f"{figure.text} {figure.unit}".strip(),
            figure.spread,
            figure.cpu_text,
            figure.faults_text,
        )
        for result in results
        for figure in result.figures
    ]


def terminal(results: Sequence[Result], where: dict[str, Any]) -> str:
    """Both tables and the notes."""
    parts = [_aligned([HEADS, *goals(results)])]
    parts.append(_aligned([FIGURES, *details(results)]))
    parts.append("\n".join(f"{r.number}  {note}" for r in results for note in r.notes))
    parts.append(", ".join(f"{name} {value}" for name, value in where.items()))
    return "\n\n".join(part for part in parts if part)


def markdown(results: Sequence[Result], where: dict[str, Any]) -> str:
    """The same, ready for docs/performance.md."""
    parts = [_markdown([HEADS, *goals(results)])]
    parts.append(_markdown([FIGURES, *details(results)]))
    parts.append("\n".join(f"- {r.number}: {note}" for r in results for note in r.notes))
    parts.append("Measured on: " + ", ".join(f"{name} {value}" for name, value in where.items()))
    return "\n\n".join(part for part in parts if part)


def write_page(page: Path, results: Sequence[Result], where: dict[str, Any]) -> None:
    """Put the tables where the page has the former ones."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    body = markdown(results, where)
    page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", "utf-8")


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = ("| " + " | ".join(cell for cell in line) + " |" for line in lines)
    return "\n".join([head, "| " + " | ".join("---" for _ in lines[0]) + " |", *rest])
