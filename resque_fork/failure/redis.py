"""The list ``failed``, Resque's default."""

from __future__ import annotations

from ..wire.keys import Keys
from .base import ListBackend


class RedisBackend(ListBackend):
    """All failures in one list."""

    def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
        return keys.failed, ""
