"""Rows: one of a listing, as ``--json`` prints it and tables show it."""

from __future__ import annotations

import json
from typing import Any

from ..wire.json import decode

Row = dict[str, Any]


def job_row(index: int, raw: bytes) -> Row:
    """A payload as it stands in a queue: what cannot be read is shown as text."""
    try:
        item = decode(raw)
        to_json(item)
    except (ValueError, RecursionError):
        item = raw.decode("utf-8", "backslashreplace")
    job = item if isinstance(item, dict) else {}
    return {"index": index, "class": job.get("class"), "args": job.get("args"), "payload": item}


def to_json(value: Any) -> str:
    """One line of ASCII, whatever the value."""
    try:
        return json.dumps(value, allow_nan=False, default=str)  # a config file may hold a date
    except ValueError:
        return json.dumps(_finite(value), default=str)


def readable(value: Any) -> str:
    """JSON for people, in which letters stay letters."""
    return json.dumps(value, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """Numbers too large for a float, such as 1e999, become text, however deep they stand."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda name: str(float(name)))
