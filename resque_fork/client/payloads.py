"""Payloads as people look at them, and look for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..errors import UnreadablePayload
from ..wire.job import Payload
from ..wire.json import encode


def decoded(raw: bytes) -> Any:
    """A payload as people look at it; bytes that are not JSON are shown as text."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "backslashreplace")


def is_job(class_name: str, args: list[Any] | None) -> Callable[[bytes], bool]:
    """Whether a payload is a job of this class, with these arguments if any are given."""
    written = encode(class_name)[1:-1]
    wanted = None if args is None else encode(args)

    def matches(raw: bytes) -> bool:
        if written not in raw and b"\\" not in raw:  # a quick test, which most payloads fail
            return False
        try:
            payload = Payload.parse(raw)
            same = wanted is None or encode(payload.args) == wanted
        except (UnreadablePayload, ValueError):
            return False
        return same and payload.class_name == class_name

    return matches
