"""A time by which all that a thread does with a client is over.

redis-py's own limits are for each wait alone, so a server that sends a byte now and then would
hold up its caller for ever.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator

INSTANT = 0.001  # seconds: what is left of a time that is over, where 0 would mean something else


class Deadline(threading.local):
    """When a thread has to be done with what it does on the connections of one client."""

    def __init__(self) -> None:
        self._at = math.inf

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        self._at = time.monotonic() + seconds
        try:
            yield
        finally:
            self._at = math.inf

    @property
    def is_over(self) -> bool:
        return self._at <= time.monotonic()

    def limit(self, seconds: float | None) -> float | None:
        """As long as that, or as long as there is time."""
        if self._at == math.inf or seconds == 0:
            return seconds
        left = max(self._at - time.monotonic(), INSTANT)
        return left if seconds is None else min(left, seconds)
