"""What all workers do at the moment, of every language, in a few round trips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UnreadablePayload
from ..wire.job import Payload
from ..wire.keys import Keys, to_text
from ..wire.record import WorkerRecord
from ..wire.times import read_time
from .workers import Workers

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker does: its last heartbeat, in seconds since the epoch, None if it sends none;
    whether it has a job, since when, and of which class. Of what cannot be read nothing is told.
    """

    beat: float | None
    busy: bool
    since: float | None = None
    class_name: str = ""


def fleet(redis: Client, keys: Keys) -> list[Work]:
    """All registered workers, by their ids."""
    workers = Workers(redis, keys)
    ids = workers.all_ids()
    records, beats = workers.records(ids), workers.heartbeats()
    asked = [
        command
        for worker_id in ids
        for command in (
            ("HMGET", keys.fork(worker_id), "queue", "run_at", "beat"),
            ("HGET", keys.unread(worker_id), "class"),
        )
    ]
    replies = redis.execute_many(asked, errors=True)
    return [
        _work(beats.get(worker_id), records.get(worker_id), process, class_name)
        for worker_id, process, class_name in zip(ids, replies[::2], replies[1::2], strict=True)
    ]


def _work(beat: float | None, record: bytes | None, process: Any, class_name: Any) -> Work:
    queue, run_at, noted = process if isinstance(process, list) else (None, None, None)
    if beat is None and noted is not None:  # a worker of ours that another has removed
        beat = read_time(to_text(noted))
    if record is not None:
        return _as_recorded(beat, record)
    if queue is None:
        return Work(beat, busy=False)
    name = to_text(class_name) if isinstance(class_name, bytes) else ""
    return Work(beat, True, read_time(to_text(run_at or b"")), name)


def _as_recorded(beat: float | None, record: bytes) -> Work:
    try:
        found = WorkerRecord.parse(record)
        return Work(beat, True, read_time(found.run_at), Payload.parse(found.raw).class_name)
    except (ValueError, RecursionError, UnreadablePayload):
        return Work(beat, busy=True)
