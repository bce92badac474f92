"""The delayed set as applications and people use it: add, look into, take out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import RedisRefused
from ..wire.delayed import digest_of_item, due_of, is_second, payload_of
from ..wire.keys import Keys, to_text
from ..wire.status import id_of_item
from . import scripts
from .delayed import Item

if TYPE_CHECKING:
    from .client import Client

LONGEST_INDEXED = 65536  # bytes of an item that has a key ``timestamps:<item>``; see waiting.lua
COUNTED_AT_ONCE = 1000  # times
PAGE = 500  # times, or items of one time, that are read at once


class DelayedJobs:
    """The delayed jobs of one namespace. Times are whole seconds since the epoch."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def add(
        self,
        item: bytes,
        moment: int | None = None,
        seconds: float = 0.0,
        job_id: str = "",
        status: bytes = b"",
    ) -> int:
        """Have an item wait until a moment, or for so many seconds by the server's clock.

        Returns the time at which it is due. Where scripts may not be run, single commands in a
        transaction do the same, by the clock of this host; not so of a tracked job, which has an
        id and a status.
        """
        keys = self._keys
        try:
            due = scripts.run(
                self._redis,
                "delay",
                [
                    *(keys.delayed_times, keys.delayed_prefix, keys.timestamps_prefix),
                    *(keys.status_prefix, keys.statuses, keys.own_statuses, keys.kill),
                ],
                [
                    round(seconds * 1000),
                    "" if moment is None else moment,
                    item,
                    job_id,
                    status,
                ],
            )
        except RedisRefused as error:
            if error.code != "NOPERM" or job_id:
                raise
            due = math.ceil(time.time() + seconds) if moment is None else moment
            self._add_without_script(item, due)
        return int(due)

    def _add_without_script(self, item: bytes, moment: int) -> None:
        keys = self._keys
        commands: list[tuple[object, ...]] = [
            ("ZADD", keys.delayed_times, moment, moment),
            ("RPUSH", keys.delayed(moment), item),
        ]
        if len(item) <= LONGEST_INDEXED:
            commands.append(("SADD", keys.timestamps(item), f"delayed:{moment}"))
        self._redis.execute_many(commands, transaction=True)

    def count_jobs(self) -> int:
        """Number of delayed jobs, at all times together."""
        keys, place, jobs = [self._keys.delayed_times, self._keys.delayed_prefix], 0, 0
        try:
            while True:
                times, of_these = scripts.run(
                    self._redis, "count_delayed", keys, [place, COUNTED_AT_ONCE]
                )
                place, jobs = place + int(times), jobs + int(of_these)
                if times < COUNTED_AT_ONCE:
                    return jobs
        except RedisRefused as error:
            if error.code != "NOPERM":
                raise
        return sum(size for times in self._pages() for size in self.sizes(times))

    def count_times(self) -> int:
        """Number of times at which something is due."""
        return int(self._redis.execute_command("ZCARD", self._keys.delayed_times))

    def all_times(self) -> list[str]:
        """The whole seconds at which something is due, the earliest first."""
        return [moment for times in self._pages() for moment in times if is_second(moment)]

    def _pages(self) -> Iterator[list[str]]:
        start = 0
        while times := self.times(start):
            yield times
            start += len(times)

    def times(self, start: int = 0, count: int = PAGE) -> list[str]:
        """Times at which something is due, the earliest first, as they stand there."""
        last = start + count - 1
        found = self._redis.execute_command("ZRANGE", self._keys.delayed_times, start, last)
        return [to_text(moment) for moment in found]

    def sizes(self, times: list[str]) -> list[int]:
        """Number of jobs at each of these times; 0 where there is no list."""
        lengths = [("LLEN", f"{self._keys.delayed_prefix}{moment}") for moment in times]
        replies = self._redis.execute_many(lengths, errors=True)
        return [reply if isinstance(reply, int) else 0 for reply in replies]

    def at(self, moment: str, start: int = 0, count: int = PAGE) -> list[Item]:
        """The items of one time, in the order in which they were delayed."""
        key, last = f"{self._keys.delayed_prefix}{moment}", start + count - 1
        return [
            Item(moment, raw) for raw in self._redis.execute_command("LRANGE", key, start, last)
        ]

    def at_each(self, moments: Sequence[str], count: int) -> list[list[Item]]:
        """The first items of several times, in one round trip; none where there is no list."""
        commands = [
            ("LRANGE", f"{self._keys.delayed_prefix}{moment}", 0, count - 1) for moment in moments
        ]
        lists = self._redis.read_each(commands)
        return [
            [Item(moment, raw) for raw in found or ()]
            for moment, found in zip(moments, lists, strict=True)
        ]

    def each(self) -> Iterator[Item]:
        """Every delayed item, the earliest first. Others may move items meanwhile."""
        for moment in self.all_times():
            yield from self.each_at(moment)

    def each_at(self, moment: str) -> Iterator[Item]:
        """Every item of one time."""
        start = 0
        while items := self.at(moment, start):
            yield from items
            start += len(items)

    def moments_of(self, item: bytes) -> list[str]:
        """When this very item is due, the earliest first."""
        if len(item) > LONGEST_INDEXED:
            return sorted({found.moment for found in self.each() if found.raw == item}, key=int)
        members = self._redis.execute_command("SMEMBERS", self._keys.timestamps(item))
        moments = [to_text(member).removeprefix("delayed:") for member in members]
        return sorted(filter(is_second, moments), key=int)

    def remove(self, item: Item) -> int:
        """Take all equal items of this time out; how many there were. They are not retried."""
        return self._take(item, "", b"", digest_of_item(item.raw))

    def enqueue(self, item: Item) -> int:
        """Put all equal items of this time into their queue; how many there were.

        Raises UnreadablePayload.
        """
        due = due_of(item.raw)
        return self._take(item, due.queue, payload_of(item.raw, due), "")

    def _take(self, item: Item, queue: str, payload: bytes, digest: str) -> int:
        keys = self._keys
        taken = scripts.run(
            self._redis,
            "take_delayed",
            [
                *(keys.delayed_times, keys.queues, keys.delayed_prefix, keys.timestamps_prefix),
                *(keys.queue(""), keys.status_prefix, keys.retry_prefix, keys.retries),
            ],
            [item.moment, item.raw, queue, payload, id_of_item(item.raw), digest],
        )
        return int(taken)
