"""Queues: the set of their names, and one list of payloads each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..wire.keys import Keys, to_text
from .changes import Changes
from .long_list import LongList, delete_list


class Queues:
    """`redis` is a redis-py client: pushes go out in pipelines."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def names(self) -> list[str]:
        """Every known queue, sorted; an empty queue stays known."""
        return sorted(to_text(name) for name in self._redis.smembers(self._keys.queues))

    def watch(self, queue: str) -> None:
        """Make a queue known."""
        self._redis.sadd(self._keys.queues, queue)

    def push(self, queue: str, *payloads: bytes) -> None:
        """Append to the queue and make it known, in one round trip.

        An error says in ``pushed`` if they were appended all the same.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.sadd(self._keys.queues, queue)
        pipe.rpush(self._keys.queue(queue), *payloads)
        made_known, pushed = pipe.execute(raise_on_error=False)
        for key, reply in ((self._keys.queue(queue), pushed), (self._keys.queues, made_known)):
            if isinstance(reply, Exception):
                reply.key = key  # type: ignore[attr-defined]
                reply.pushed = reply is not pushed  # type: ignore[attr-defined]
                raise reply

    def pop(self, queue: str) -> bytes | None:
        """Take the first payload. It is on nobody's record: what happens to it is up to you."""
        payload: bytes | None = self._redis.lpop(self._keys.queue(queue))
        return payload

    def size(self, queue: str) -> int:
        return int(self._redis.llen(self._keys.queue(queue)))

    def sizes(self) -> dict[str, int]:
        """Number of jobs by queue, in one round trip; a key of another type counts 0."""
        names = self.names()
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.llen(self._keys.queue(name))
        replies = pipe.execute(raise_on_error=False) if names else []
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
        return delete_list(self._redis, self._keys.queue(queue), along)

    def clear(self, queue: str) -> int:
        """Delete all jobs of a queue, which stays known; returns how many there were."""
        return delete_list(self._redis, self._keys.queue(queue))

    def removal(self, queue: str) -> Removal:
        """To remove some payloads of a queue."""
        return Removal(LongList(self._redis, self._keys.queue(queue)))


class Removal:
    """Removes payloads that match from a queue, the last first.

    Workers take from the other end, so most of what moves has moved out of the way.
    What is pushed meanwhile may stay. `done` and `perhaps` are those of `Changes`.
    """

    def __init__(self, payloads: LongList) -> None:
        self._payloads = payloads
        self._changes = Changes(payloads, from_last=True)

    @property
    def done(self) -> int:
        return self._changes.done

    @property
    def perhaps(self) -> int:
        return self._changes.perhaps

    def run(self, matches: Callable[[bytes], bool], progress: Callable[[int], object]) -> None:
        """`progress` is told how many were looked at, page by page."""
        for page in self._payloads.pages(backwards=True):
            self._changes.remove([entry for entry in page if matches(entry.raw)])
            progress(len(page))
