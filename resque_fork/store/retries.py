"""What Redis remembers of a job that has failed and comes back; see ``lua/retry.lua``.

The state stands under a digest of class and arguments, and not in the payload: schedulers of
other languages write payloads anew, and would drop it. Equal jobs share their state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import WrongKeyType
from ..wire.delayed import item_of
from ..wire.json import sayable
from ..wire.keys import Keys
from ..wire.unreadable import reference
from .scripts import Commands

LONGEST_ERROR = 1000  # characters that are remembered of the last failure's text
MOST_FAILURES, LAST_TIME = 10**6, 2**33  # what else stands there was written by nobody of us


@dataclass(frozen=True, slots=True)
class RetryState:
    """How often equal jobs have failed since `first`, in seconds since the epoch."""

    failures: int
    first: float


@dataclass(frozen=True, slots=True)
class Comeback:
    """How a job comes back: as `item`, in so many seconds, to `queue`.

    It has so many `retries`; None if this one does not count. `exception` and `error` tell why.
    """

    seconds: float
    retries: int | None
    queue: str
    item: bytes
    exception: str
    error: str

    def naming(self, key: str) -> Comeback:
        """With an item that is small enough: the payload stands under a key of its own."""
        return replace(self, item=item_of(reference(key), self.queue))

    def to_args(self) -> Sequence[Any]:
        """As the scripts take it."""
        return (
            round(self.seconds * 1000),
            "" if self.retries is None else self.retries,
            self.queue,
            self.item,
            sayable(self.exception),
            sayable(self.error[:LONGEST_ERROR]),
        )


def retry_keys(keys: Keys) -> Sequence[str]:
    """What the scripts need to have a job come back."""
    return (
        keys.retries,
        keys.delayed_times,
        keys.delayed_prefix,
        keys.timestamps_prefix,
        keys.retry_prefix,
        keys.queue(""),
    )


def retry_state(redis: Commands, keys: Keys, digest: str) -> RetryState | None:
    """What is known of jobs with this digest; None if nothing is, or nothing that can be read."""
    try:
        values = redis.execute_command("HMGET", keys.retry(digest), "attempt", "first")
        failures, first = (int(value) for value in values)
    except (WrongKeyType, ValueError, TypeError):
        return None
    is_count = 0 <= failures <= MOST_FAILURES and 0 < first < LAST_TIME
    return RetryState(failures, float(first)) if is_count else None
