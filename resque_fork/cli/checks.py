"""What a check of ``doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `message` says what to do unless the result is ok."""

    check: str
    result: str
    message: str
