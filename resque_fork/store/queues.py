"""Queues: the set of their names, and one list of payloads each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..keys import Keys, to_text
from .scripts import replies

PAGE = 1000


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
        """`count` payloads from place `start`, which may be negative, as in Redis."""
        stop = start + count - 1
        if count < 1:
            return []
        if start < 0 <= stop:
            stop = -1
        return list(self._redis.lrange(self._keys.queue(queue), start, stop))

    def each(self, queue: str) -> Iterator[bytes]:
        """Every payload, a page at a time; what is pushed or popped meanwhile may be missed."""
        start = 0
        while page := self.peek(queue, start, PAGE):
            yield from page
            start += len(page)

    def remove(self, queue: str) -> int:
        """Delete a queue with all its jobs; returns how many there were."""
        self.size(queue)  # raises for a key that is no list, which would be deleted too
        pipe = self._redis.pipeline(transaction=True)
        pipe.srem(self._keys.queues, queue)
        pipe.llen(self._keys.queue(queue))
        pipe.delete(self._keys.queue(queue))
        return int(replies(pipe, self._keys.queues, *[self._keys.queue(queue)] * 2)[1])

    def clear(self, queue: str) -> int:
        """Delete all jobs of a queue, which stays known; returns how many there were."""
        self.size(queue)  # as above
        pipe = self._redis.pipeline(transaction=True)
        pipe.llen(self._keys.queue(queue))
        pipe.delete(self._keys.queue(queue))
        return int(pipe.execute()[0])

    def remove_payloads(self, queue: str, payloads: Sequence[bytes]) -> int:
        """Remove every occurrence of these payloads; returns how many there were."""
        pipe = self._redis.pipeline(transaction=False)
        for payload in payloads:
            pipe.lrem(self._keys.queue(queue), 0, payload)
        return sum(pipe.execute()) if payloads else 0

    def matching(self, queue: str, matches: Callable[[bytes], bool]) -> list[bytes]:
        """The distinct payloads of a queue that match."""
        return list(dict.fromkeys(payload for payload in self.each(queue) if matches(payload)))
