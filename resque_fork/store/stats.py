"""Counters: ``stat:processed``, ``stat:failed``, and whatever an application counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..wire.keys import Keys

if TYPE_CHECKING:
    from .client import Client


class Stats:
    """Whole numbers under ``stat:<name>``; what was never counted is 0."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def get(self, name: str) -> int:
        return count_of(self._redis.execute_command("GET", self._keys.stat(name)))

    def set(self, name: str, value: int) -> None:
        self._change("SET", name, value)

    def incr(self, name: str, by: int = 1) -> int:
        """Add to the count and return it."""
        return int(self._change("INCRBY", name, by))

    def decr(self, name: str, by: int = 1) -> int:
        """Subtract from the count and return it."""
        return int(self._change("DECRBY", name, by))

    def clear(self, name: str) -> None:
        self._change("DEL", name)

    def _change(self, command: str, name: str, *values: int) -> Any:
        changed = "The counter may have been changed."
        return self._redis.execute_command(command, self._keys.stat(name), *values, perhaps=changed)


def count_of(value: bytes | None) -> int:
    """What a counter says: 0 if it is missing, or no number."""
    try:
        return int(value or 0)
    except ValueError:
        return 0
