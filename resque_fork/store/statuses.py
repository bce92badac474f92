"""What is known of tracked jobs, as applications and people read it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import WrongKeyType
from ..wire.keys import Keys, to_text
from ..wire.status import Status
from . import scripts

if TYPE_CHECKING:
    from .client import Client

LARGEST = 256 * 1024  # bytes of a status that are read to be listed


class Statuses:
    """The tracked jobs of one namespace."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def get(self, job_id: str) -> Status:
        """What is known of a job now; its state is ``unknown`` if nothing is."""
        try:
            raw = self._redis.execute_command("GET", self._keys.status(job_id))
        except WrongKeyType:
            raw = None
        return Status.parse(job_id, raw, time.time())

    def count(self) -> int:
        """How many tracked jobs are known by id; the statuses of some may have expired."""
        return int(self._redis.execute_command("ZCARD", self._keys.statuses))

    def ids(self, start: int, count: int) -> list[str]:
        """Some of them, from a place on; the one at place 0 was enqueued first."""
        last = start + count - 1
        found = self._redis.execute_command("ZRANGE", self._keys.statuses, start, last)
        return [to_text(job_id) for job_id in found]

    def texts(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """What stands under these ids, in one round trip, and of a large one only its beginning.

        Empty if a status has expired, None if its key is of another type.
        """
        commands = [("GETRANGE", self._keys.status(job_id), 0, LARGEST) for job_id in job_ids]
        return self._redis.read_each(commands)

    def enqueue(self, job_id: str, status: bytes, queue: str, payload: bytes) -> None:
        """Queue a tracked job."""
        keys = self._keys
        scripts.run(
            self._redis,
            "enqueue_tracked",
            [
                *(keys.queues, keys.queue(queue)),
                *(keys.statuses, keys.own_statuses, keys.status_prefix, keys.kill),
            ],
            [job_id, status, queue, payload],
        )

    def ask_to_kill(self, job_id: str) -> None:
        """Have whoever takes a job, or performs it, kill it; Ruby's workers heed that too."""
        self._redis.execute_command("SADD", self._keys.kill, job_id)

    def note_taken_out(self, job_ids: Sequence[str]) -> None:
        """Write of jobs that do not wait in their queue any more that they are killed."""
        keys = [self._keys.status_prefix, self._keys.kill]
        if job_ids:
            scripts.run(self._redis, "end_waits", keys, job_ids)
