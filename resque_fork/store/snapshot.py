"""Queues, workers and counters as they are at one moment, for whoever looks again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ResqueError
from ..wire.keys import Keys, to_text
from ..wire.record import RecordHead
from .stats import count_of
from .work import commands_of, work_of

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`at` is the server's clock in seconds; `queues` has the number of jobs by name, and
    `paused_queues` the names of those that are paused, if not all workers are `paused`.

    `workers` has by id what each performs, None if it is idle. `processed` and `failed` count
    jobs since the beginning, `failures` what stands in all lists of failed jobs.
    """

    at: float
    paused: bool
    paused_queues: frozenset[str]
    queues: dict[str, int]
    workers: dict[str, RecordHead | None]
    processed: int
    failed: int
    failures: int
    retrying: int


class Snapshots:
    """Each costs one round trip, and the first two: it asks for what the one before has named."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._queues: Sequence[str] = ()
        self._workers: Sequence[str] = ()
        self._failed_lists: Sequence[str] = ()  # beside ``failed``
        self._begun = False

    def take(self) -> Snapshot:
        """What is there. A key of the wrong type counts as missing."""
        if not self._begun:
            self._look()
            self._begun = True
        return self._look()

    def _look(self) -> Snapshot:
        keys, queues, workers = self._keys, self._queues, self._workers
        failed_lists = ["failed", *self._failed_lists]
        replies = self._redis.execute_many(
            [
                ("TIME",),
                ("GET", keys.pause),
                ("SMEMBERS", keys.paused_queues),
                ("GET", keys.stat("processed")),
                ("GET", keys.stat("failed")),
                ("ZCARD", keys.retries),
                ("SMEMBERS", keys.failed_queues),
                ("SMEMBERS", keys.queues),
                ("SUNION", keys.workers, keys.own_workers),
                *(("LLEN", keys.queue(name)) for name in queues),
                *(("LLEN", keys.failed_list(name)) for name in failed_lists),
                *commands_of(keys, workers),
            ],
            errors=True,
        )
        if isinstance(replies[0], ResqueError):
            raise replies[0]
        found: list[Any] = [None if isinstance(reply, ResqueError) else reply for reply in replies]
        time, pause, paused, processed, failed, retrying, lists, names, ids, *rest = found
        sizes, rest = rest[: len(queues)], rest[len(queues) :]
        failures, rest = rest[: len(failed_lists)], rest[len(failed_lists) :]
        self._failed_lists = sorted({*map(to_text, lists or ())} - {"failed"})
        self._queues = sorted(map(to_text, names or ()))
        self._workers = sorted(map(to_text, ids or ()))
        return Snapshot(
            at=int(time[0]) + int(time[1]) / 1e6,
            paused=(pause or b"").strip().lower() == b"true",
            paused_queues=frozenset(map(to_text, paused or ())),
            queues={name: size or 0 for name, size in zip(queues, sizes, strict=True)},
            workers={i: work.job for i, work in work_of(workers, rest).items()},
            processed=count_of(processed),
            failed=count_of(failed),
            failures=sum(number or 0 for number in failures),
            retrying=retrying or 0,
        )
