"""Makes HTML of what pages found: whatever a record holds is escaped, and cut where it is long."""

from __future__ import annotations

import datetime
import functools
import glob
import hashlib
import re
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ..ops.rows import readable
from ..text import counted, due_in, duration, printable
from ..wire.times import read_time
from .ask import KEPT, query_of
from .lines import points

LONGEST = 10_000  # characters of a text
BRIEF = 300  # characters in a table
MOST_ITEMS = 1000  # of a list or an object, and so rows of a page
DEEPEST = 20  # levels of JSON
ROWS = 1  # the level at which those of a page stand
CUT = "…"
# what changes by itself from second to second; a reader's browser counts on from there
_AGES = re.compile(rb"(<time[^>]*>)[^<]*")


def bounded(value: Any, depth: int = 0) -> Any:
    """JSON of any size and depth, cut to what a page can show.

    What is cut says so, but for the rows of the page itself: its template expects rows alone.
    """
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}{CUT} ({len(value)} long)"
    if isinstance(value, (dict, list, tuple)) and depth == DEEPEST:
        return CUT
    if isinstance(value, dict):
        items = [*value.items()][:MOST_ITEMS]
        more = {CUT: f"{len(value)} entries"} if len(value) > MOST_ITEMS else {}
        return {str(key)[:BRIEF]: bounded(item, depth + 1) for key, item in items} | more
    if isinstance(value, (list, tuple)):
        is_cut = len(value) > MOST_ITEMS and depth > ROWS
        more_items = [f"{CUT} ({len(value)} items)"] if is_cut else []
        return [*(bounded(item, depth + 1) for item in value[:MOST_ITEMS]), *more_items]
    return value


def etag(page: bytes) -> str:
    """The same as long as nothing has changed but ages."""
    lasting = _AGES.sub(rb"\1", page)
    return f'"{hashlib.sha256(lasting).hexdigest()[:20]}"'


@functools.cache
def static(name: str) -> tuple[bytes, str]:
    """A file of ours, and its address, which changes with it."""
    content = resources.files(__package__).joinpath("static", name).read_bytes()
    stem, _, suffix = name.rpartition(".")
    return content, f"/static/{stem}-{hashlib.sha256(content).hexdigest()[:10]}.{suffix}"


def _finalize(value: Any) -> Any:
    """Of every expression in a template."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(bounded(value))
    return value


def _brief(value: Any) -> str:
    text = printable(value if isinstance(value, str) else readable(value))
    return text if len(text) <= BRIEF else text[:BRIEF] + CUT


def _seconds(time: str | None) -> float | None:
    return read_time(time) if time else None


def _ago(time: str | None, now: float) -> str:
    seconds = _seconds(time)
    return "?" if seconds is None else duration(now - seconds)


def _until(time: str | None, now: float) -> str:
    seconds = _seconds(time)
    return "?" if seconds is None else due_in(int(seconds - now))


def _clock(time: str | None) -> str:
    """As people read it."""
    seconds = _seconds(time)
    if seconds is None:
        return time or "?"
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _thousands(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def _counted(number: int, noun: str) -> str:
    """``1,000 jobs``."""
    return counted(number, noun).replace(str(number), _thousands(number), 1)


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _size(number: float | None) -> str:
    """Bytes in the unit that suits them."""
    size = float(number or 0)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


@functools.cache
def environment() -> Environment:
    """The templates, and what they can use."""
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": _ago,
        "brief": _brief,
        "clock": _clock,
        "literal": glob.escape,
        "points": points,
        "readable": readable,
        "size": _size,
        "thousands": _thousands,
        "took": _took,
        "until": _until,
    }
    made.globals |= {"counted": _counted, "kept": _kept}
    return made


def _kept(**fields: Any) -> Markup:
    """A hidden field that takes these fields along, whatever bytes they hold."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(KEPT, query_of(fields))


def render(template: str, root: str, **values: Any) -> bytes:
    """A page; `root` is where the dashboard is mounted."""

    def url(path: str, /, **fields: Any) -> Markup:  # which is never cut
        query = query_of(fields)
        return escape(f"{root}{path}{'?' if query else ''}{query}")

    def asset(name: str) -> Markup:
        return escape(root + static(name)[1])

    text = environment().get_template(template).render(url=url, asset=asset, **values)
    return text.encode("utf-8", "backslashreplace")
