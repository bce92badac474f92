"""One list of failures for each queue: ``<queue>_failed``."""

from __future__ import annotations

from ..wire.keys import Keys
from .base import ListBackend


class RedisMultiQueueBackend(ListBackend):
    """Each queue's failures in a list of their own, all of them named in ``failed_queues``."""

    def list_of(self, keys: Keys, queue: str) -> tuple[str, str]:
        name = f"{queue}_failed"
        return keys.failed_list(name), name
