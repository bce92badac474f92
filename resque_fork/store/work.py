"""What workers do at the moment, of every language: what to ask of Redis, and what that means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ResqueError
from ..wire.keys import Keys, to_text
from ..wire.record import LONGEST_HEAD, RecordHead
from ..wire.times import read_time

if TYPE_CHECKING:
    from .client import Client

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """The job that a worker has, None if it has none; and its last heartbeat as it notes it itself,
    in seconds since the epoch: what is ours does so.
    """

    job: RecordHead | None = None
    beat: float | None = None


def commands_of(keys: Keys, worker_ids: Sequence[str]) -> list[Command]:
    """What to ask to know what these workers do."""
    return [
        command
        for worker_id in worker_ids
        for command in (
            ("GETRANGE", keys.worker(worker_id), 0, LONGEST_HEAD),
            ("HMGET", keys.fork(worker_id), "queue", "run_at", "beat"),
            ("HGET", keys.unread(worker_id), "class"),
        )
    ]


def work_of(worker_ids: Sequence[str], replies: Sequence[Any]) -> dict[str, Work]:
    """The replies to these commands, by worker. A key of another type says nothing."""
    found = [None if isinstance(reply, ResqueError) else reply for reply in replies]
    each = zip(found[::3], found[1::3], found[2::3], strict=True)
    return {worker_id: _work(*three) for worker_id, three in zip(worker_ids, each, strict=True)}


def look(redis: Client, keys: Keys, worker_ids: Sequence[str]) -> dict[str, Work]:
    """What these workers do, in one round trip."""
    return work_of(worker_ids, redis.execute_many(commands_of(keys, worker_ids), errors=True))


def _work(record: bytes | None, noted: list[Any] | None, class_name: bytes | None) -> Work:
    queue, run_at, beat = (to_text(value or b"") for value in noted or (b"", b"", b""))
    job = None
    if record:
        job = RecordHead.parse(record)
    elif noted and noted[0] is not None:
        job = RecordHead(queue, run_at, to_text(class_name or b""))
    return Work(job, read_time(beat))
