"""Queues: the set of their names, one list of payloads each, and pauses of some or of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ResqueError
from ..wire.keys import Keys, to_text
from .changes import Changes
from .long_list import LongList, delete_list

if TYPE_CHECKING:
    from .client import Client


class Queues:
    """The queues of one namespace."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def names(self) -> list[str]:
        """Every known queue, sorted; an empty queue stays known."""
        return sorted(map(to_text, self._redis.execute_command("SMEMBERS", self._keys.queues)))

    def push(self, queue: str, *payloads: bytes) -> ResqueError | None:
        """Append to the queue and make it known, in one round trip.

        Returns the error that kept it from being made known, if any.
        """
        made_known, pushed = self._redis.execute_many(
            [("SADD", self._keys.queues, queue), ("RPUSH", self._keys.queue(queue), *payloads)],
            errors=True,
        )
        if isinstance(pushed, ResqueError):
            raise pushed
        return made_known if isinstance(made_known, ResqueError) else None

    def pop(self, queue: str) -> bytes | None:
        """Take the first payload. It is on nobody's record: what happens to it is up to you."""
        taken = f"A job may have been taken from {queue!r}, and is lost then."
        key = self._keys.queue(queue)
        payload: bytes | None = self._redis.execute_command("LPOP", key, perhaps=taken)
        return payload

    def size(self, queue: str) -> int:
        return int(self._redis.execute_command("LLEN", self._keys.queue(queue)))

    def sizes(self) -> dict[str, int]:
        """Number of jobs by queue, in one round trip; a key of another type counts 0."""
        names = self.names()
        lengths = [("LLEN", self._keys.queue(name)) for name in names]
        replies = self._redis.execute_many(lengths, errors=True)
        return {
            name: reply if isinstance(reply, int) else 0
            for name, reply in zip(names, replies, strict=True)
        }

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        """`count` payloads from place `start`; a negative one counts from the last."""
        if start < 0 < count:
            length = self.size(queue)
            count = min(count, -start) - max(0, -start - length)
            start = max(0, length + start)
        found = LongList(self._redis, self._keys.queue(queue)).page(start, count)
        return [entry.raw for entry in found]

    def remove(self, queue: str) -> int:
        """Delete a queue with all its jobs; returns how many there were."""
        along = [("SREM", self._keys.queues, queue)]
        removed = f"{queue!r} may have been removed."
        return delete_list(self._redis, self._keys.queue(queue), along, removed)

    def clear(self, queue: str) -> int:
        """Delete all jobs of a queue, which stays known; returns how many there were."""
        cleared = f"{queue!r} may have been cleared."
        return delete_list(self._redis, self._keys.queue(queue), perhaps=cleared)

    def remove_matching(
        self,
        queue: str,
        matches: Callable[[bytes], bool],
        progress: Callable[[int], object],
        removed: Callable[[list[bytes]], object],
    ) -> int:
        """Remove the payloads that match, the last first; returns how many were removed.

        Workers take from the other end, so few of the rest move meanwhile. What is pushed
        meanwhile may stay. Page by page, `progress` is told how many were looked at, and
        `removed` which were removed. What is raised on the way has ``done`` and ``perhaps``, as
        `Changes` has.
        """
        payloads = LongList(self._redis, self._keys.queue(queue))
        changes = Changes(payloads, from_last=True)
        with changes.counted():
            for page in payloads.pages(backwards=True):
                entries = [entry for entry in page if matches(entry.raw)]
                done = changes.remove(entries)
                removed(
                    [entry.raw for entry, is_done in zip(entries, done, strict=True) if is_done]
                )
                progress(len(page))
        return changes.done

    def remove_one(self, queue: str, matches: Callable[[bytes], bool]) -> bool:
        """Remove the last payload that matches; False if there is none."""
        payloads = LongList(self._redis, self._keys.queue(queue))
        for page in payloads.pages(backwards=True):
            for entry in page:
                if matches(entry.raw):
                    return Changes(payloads, from_last=True).remove([entry])[0]
        return False

    # --- pauses

    def pause(self, queue: str) -> bool:
        """Keep our workers from taking jobs of a queue; False if it is paused already."""
        paused = f"{queue!r} may have been paused."
        return bool(
            self._redis.execute_command("SADD", self._keys.paused_queues, queue, perhaps=paused)
        )

    def resume(self, queue: str) -> bool:
        """End the pause of a queue; False if it is not paused."""
        ended = f"The pause of {queue!r} may have been ended."
        return bool(
            self._redis.execute_command("SREM", self._keys.paused_queues, queue, perhaps=ended)
        )

    def paused(self) -> list[str]:
        """The names of the paused queues, sorted."""
        names = self._redis.execute_command("SMEMBERS", self._keys.paused_queues)
        return sorted(map(to_text, names))

    def pause_all(self) -> None:
        """Keep every worker from taking jobs."""
        paused = "Workers may have been paused."
        self._redis.execute_command("SET", self._keys.pause, "true", perhaps=paused)

    def resume_all(self) -> None:
        ended = "The pause may have been ended."
        self._redis.execute_command("DEL", self._keys.pause, perhaps=ended)

    def all_paused(self) -> bool:
        value = self._redis.execute_command("GET", self._keys.pause) or b""
        return bool(value.strip().lower() == b"true")
