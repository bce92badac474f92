"""An entry of the failed list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .json import encode, sayable
from .times import failed_time


def failed_entry(
    *,
    failed_at: float,
    payload: bytes,
    exception: str,
    error: str,
    backtrace: Sequence[str],
    worker: str,
    queue: str,
    forensics: Mapping[str, Any] | None = None,
) -> bytes:
    """An entry of the failed list, in Resque's words and order; ours come last.

    `payload` is a JSON object that every language can read and write; its bytes are kept.
    """
    after: dict[str, Any] = {
        "exception": sayable(exception),
        "error": sayable(error),
        "backtrace": [sayable(line) for line in backtrace],
        "worker": sayable(worker),
        "queue": sayable(queue),
    }
    if forensics:
        after["forensics"] = {
            key: [sayable(line) for line in value] if isinstance(value, list) else value
            for key, value in forensics.items()
        }
    head = encode({"failed_at": failed_time(failed_at)})[:-1]
    return head + b',"payload":' + payload + b"," + encode(after)[1:]


def entry_with(entry: bytes, payload: bytes) -> bytes:
    """One of our entries with another payload."""
    start = entry.index(b'"payload":') + len(b'"payload":')
    return entry[:start] + payload + entry[entry.rindex(b',"exception":') :]
