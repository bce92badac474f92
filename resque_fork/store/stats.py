"""Counters: ``stat:processed``, ``stat:failed``, and whatever an application counts."""

from __future__ import annotations

from ..wire.keys import Keys
from .scripts import Commands


class Stats:
    """Whole numbers under ``stat:<name>``; what was never counted is 0."""

    def __init__(self, redis: Commands, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def get(self, name: str) -> int:
        try:
            return int(self._redis.execute_command("GET", self._keys.stat(name)) or 0)
        except ValueError:
            return 0

    def set(self, name: str, value: int) -> None:
        self._redis.execute_command("SET", self._keys.stat(name), value)

    def incr(self, name: str, by: int = 1) -> int:
        """Add to the count and return it."""
        return int(self._redis.execute_command("INCRBY", self._keys.stat(name), by))

    def decr(self, name: str, by: int = 1) -> int:
        """Subtract from the count and return it."""
        return int(self._redis.execute_command("DECRBY", self._keys.stat(name), by))

    def clear(self, name: str) -> None:
        self._redis.execute_command("DEL", self._keys.stat(name))
