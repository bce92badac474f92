"""What commands print: tables for people, JSON for programs, and nothing that a terminal obeys."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ..ops.rows import Row, to_json
from ..text import printable
from .app import App

GAP = "  "
WIDEST = 60  # characters of a cell; those in the last column may be wider


@dataclass(frozen=True)
class Column:
    """One column of a table: its head, the text of a row in it, and how that looks."""

    head: str
    text: Callable[[Row], str]
    right: bool = False
    style: Callable[[Row], dict[str, Any]] = lambda row: {}


def listing(
    app: App, rows: Iterable[Row], columns: Sequence[Column], empty: str, *, wrap: bool = False
) -> None:
    """Print rows: as a table, or as a JSON array of them; `empty` tells people of none.

    In a terminal the last column is cut, or with `wrap` goes on in the next line.
    """
    if app.json:
        if isinstance(rows, Sequence):
            print_json(rows)
        else:
            _print_as_they_come(rows)
    elif rows := list(rows):
        echo("\n".join(table(rows, columns, wrap=wrap)))
    else:
        note(empty)


def print_json(value: Any) -> None:
    """Print one JSON document; of an array each item on a line of its own."""
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        lines = ",\n".join(to_json(item) for item in value)
        echo(f"[\n{lines}\n]")
    else:
        echo(to_json(value))


def _print_as_they_come(items: Iterable[Any]) -> None:
    """A JSON array of what may be a million."""
    last = ""
    for item in items:
        echo(f"{last}," if last else "[")
        last = to_json(item)
    echo(f"{last}\n]" if last else "[]")


def note(text: str) -> None:
    """Tell people something that is not part of the result."""
    click.echo(safe(text), err=True)


def say(text: str) -> None:
    """Print what a command has done."""
    echo(safe(text))


def echo(text: str) -> None:
    """Print a result, all of it or with an error.

    Without a buffer (PYTHONUNBUFFERED), Python does not notice that a write was cut short by a
    full disk or a reader that left. So the text then goes through a buffer made here.
    """
    if isinstance(getattr(sys.stdout, "buffer", None), io.RawIOBase):
        with open(
            sys.stdout.fileno(),
            "w",
            encoding=sys.stdout.encoding,
            errors=sys.stdout.errors,
            closefd=False,
        ) as whole:
            click.echo(text, file=whole)
    else:
        click.echo(text)


def safe(text: str) -> str:
    """The text with control characters shown escaped; its lines stay lines."""
    return "\n".join(printable(line) for line in text.split("\n"))


def table(rows: Sequence[Row], columns: Sequence[Column], *, wrap: bool = False) -> Iterator[str]:
    """The lines of a table, its head first."""
    texts = [[printable(column.text(row)) for column in columns] for row in rows]
    for line in texts:  # the last may be long: nothing stands behind it
        line[:-1] = [cut(text, WIDEST) for text in line[:-1]]
    widths = [
        max(len(column.head), *(len(line[i]) for line in texts)) for i, column in enumerate(columns)
    ]
    if sys.stdout.isatty():
        before_last = sum(width + len(GAP) for width in widths[:-1])
        room = max(20, shutil.get_terminal_size().columns - before_last)
        for line in texts:
            line[-1] = _wrapped(line[-1], room, before_last) if wrap else cut(line[-1], room)
        widths[-1] = min(widths[-1], room)
    heads = (
        _padded(column.head, width, column) for column, width in zip(columns, widths, strict=True)
    )
    yield click.style(GAP.join(heads).rstrip(), bold=True)
    for row, line in zip(rows, texts, strict=True):
        cells = zip(columns, line, widths, strict=True)
        yield GAP.join(
            _styled(_padded(text, width, c), c.style(row)) for c, text, width in cells
        ).rstrip()


def _wrapped(text: str, room: int, before: int) -> str:
    return f"\n{' ' * before}".join(textwrap.wrap(text, room)) or ""


def _padded(text: str, width: int, column: Column) -> str:
    return text.rjust(width) if column.right else text.ljust(width)


def _styled(text: str, style: dict[str, Any]) -> str:
    """Blanks stay outside of the colour, so that they can be cut off at the end of a line."""
    return (
        text.replace(text.strip(), click.style(text.strip(), **style))
        if style and text.strip()
        else text
    )


def cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


@contextlib.contextmanager
def progress(label: str, length: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar in a terminal, on stderr; call what it gives with the size of each step."""
    if not sys.stderr.isatty():
        yield lambda steps: None
    elif length is None:
        with click.progressbar(
            itertools.chain[int](), label=label, show_pos=True, file=sys.stderr
        ) as unknown:
            yield unknown.update
    else:
        with click.progressbar(length=length, label=label, file=sys.stderr) as known:
            yield known.update
