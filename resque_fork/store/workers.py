"""The workers that Redis knows of, of every language: who they are and what they do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import RedisRefused, WrongKeyType
from ..wire.keys import Keys, to_text
from ..wire.times import read_time
from . import scripts
from .retries import RetryState, retry_keys, retry_state
from .scripts import Commands
from .worker_store import NOTHING, Finish

if TYPE_CHECKING:
    from .client import Client

RESCUE_SECONDS = 5  # for which a rescuer has a dead worker to itself
RECORDS = 100  # workers whose records are read in one command
LONGEST_PID = 10  # digits; Python refuses to read numbers of thousands


@dataclass(frozen=True, slots=True)
class WorkerId:
    """``host:pid:queue,queue``; `pid` is None where another implementation puts more there."""

    text: str
    host: str
    pid: int | None
    queues: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> WorkerId:
        """Of any id, however few parts it has; nothing here raises."""
        host, _, rest = text.partition(":")
        pid, _, queues = rest.partition(":")
        is_pid = pid.isascii() and pid.isdecimal() and len(pid) <= LONGEST_PID
        number = int(pid) if is_pid else None
        return cls(text, host, number, tuple(queues.split(",")) if queues else ())


@dataclass(frozen=True, slots=True)
class Found:
    """A worker as it was found. It is rescued only if it is still the same.

    `process` is what it left under ``fork:<id>`` (empty for other
    implementations), `record` the bytes of its job on record, as they stand
    in ``worker:<id>`` or, if `unread`, in ``fork:unread:<id>``; None if it has none.
    Of a `hopeless` job, which rescuers have died of, they are not read, and empty.
    While another rescuer has the worker in hand it is `busy`.
    """

    worker_id: str
    process: dict[str, str]
    record: bytes | None = None
    unread: bool = False
    queue: str = ""  # of an unread job
    class_name: str = ""  # likewise, if it is known
    portable: bool = False
    hopeless: bool = False
    busy: bool = False


class Workers:
    """Finds and removes workers; a worker keeps what is its own with `WorkerStore`.

    `others` carries what concerns the keys of a single worker.
    """

    def __init__(self, redis: Commands, keys: Keys, others: Commands | None = None) -> None:
        self._redis = redis
        self._others = others or redis
        self._keys = keys
        self._me = os.urandom(8).hex()
        self._count = itertools.count()

    def ids(self) -> list[str]:
        """Every registered worker's id, sorted."""
        return self._members("SMEMBERS", self._keys.workers)

    def own_ids(self) -> list[str]:
        """Those of our own workers, also of those that a Ruby worker removed; sorted."""
        return self._members("SMEMBERS", self._keys.own_workers)

    def all_ids(self) -> list[str]:
        """`ids` and `own_ids`, sorted."""
        try:
            return self._members("SUNION", self._keys.workers, self._keys.own_workers)
        except WrongKeyType:
            self.own_ids()  # the error names the first key; this raises if it is the other
            raise

    def _members(self, *command: str) -> list[str]:
        return sorted(to_text(i) for i in self._redis.execute_command(*command))

    def exists(self, worker_id: str) -> bool:
        """Whether it is one of `all_ids`."""
        sets = (self._keys.workers, self._keys.own_workers)
        return any(self._redis.execute_command("SISMEMBER", key, worker_id) for key in sets)

    def records(self, worker_ids: Sequence[str]) -> dict[str, bytes]:
        """What is on record, for those that have a job; the bytes may be anything."""
        found: dict[str, bytes] = {}
        for start in range(0, len(worker_ids), RECORDS):
            ids = worker_ids[start : start + RECORDS]
            values = self._redis.execute_command("MGET", *map(self._keys.worker, ids))
            found |= {i: value for i, value in zip(ids, values, strict=True) if value}
        return found

    def heartbeats(self) -> dict[str, float | None]:
        """Seconds since the epoch by worker id; None for a time that cannot be read."""
        beats = self._redis.execute_command("HGETALL", self._keys.heartbeats)
        return {to_text(i): read_time(to_text(beat)) for i, beat in _pairs(beats)}

    def own_heartbeat(self, worker_id: str) -> float | None:
        """What one of our workers notes of its last heartbeat under ``fork:<id>``.

        0 if it notes nothing, None if what it notes cannot be read.
        """
        beat = self.process(worker_id).get("beat")
        return read_time(beat) if beat is not None else 0.0

    def started(self, worker_id: str) -> float | None:
        """Seconds since the epoch, or None."""
        text = self._redis.execute_command("GET", self._keys.started(worker_id))
        return read_time(to_text(text)) if text else None

    def now(self) -> float:
        """The server's clock, by which heartbeats are written."""
        seconds, micros = self._redis.execute_command("TIME")
        return int(seconds) + int(micros) / 1e6

    def process(self, worker_id: str) -> dict[str, str]:
        """What one of our workers left under ``fork:<id>``; empty for others."""
        return _fields(self._others.execute_command("HGETALL", self._keys.fork(worker_id)))

    def find(self, worker_id: str, max_attempts: int = 1) -> Found:
        """The worker with its job on record, as it stands now.

        The look is counted: a job of which `max_attempts` rescuers died is hopeless.
        """
        keys = self._keys
        state, process, *job = scripts.run(
            self._others,
            "find",
            [keys.fork(worker_id), keys.worker(worker_id), keys.unread(worker_id), keys.attempts],
            [worker_id, max_attempts, RESCUE_SECONDS, self._me],
        )
        fields = _fields(process)
        if state == b"busy":
            return Found(worker_id, fields, busy=True)
        if not job:
            return Found(worker_id, fields)
        record, queue, class_name, portable = job
        return Found(
            worker_id,
            fields,
            record,
            unread=bool(queue),
            queue=to_text(queue),
            class_name=to_text(class_name),
            portable=portable == b"1",
            hopeless=state == b"hopeless",
        )

    def release(self, worker_id: str) -> None:
        """Let others rescue a worker that this one could not rescue; no attempt is counted."""
        self._others.execute_command("HDEL", self._keys.attempts, f"rescue:{worker_id}")

    def rescue(
        self,
        found: Found,
        finish: Finish = NOTHING,
        *,
        queue: str = "",
        raw: bytes = b"",
        counted_by: str = "",
        max_attempts: int = 1,
        heeding_ruby: bool = False,
    ) -> str:
        """Remove a dead worker, and take its job to the failed list, its queue, or later.

        `finish` is ``failed``, ``lost`` or ``later``, as a step has it, or, without a job,
        ``none``. Losses are counted by the digest `counted_by`. A worker of another
        implementation is left alone while a Ruby worker looks for the dead, if
        `heeding_ruby`. Returns ``rescued``, ``failed``, ``requeued`` or ``later``, or
        ``changed`` if the worker is no longer as it was found: somebody else rescued it, or it
        lives. Atomic.
        """
        keys, worker_id = self._keys, found.worker_id
        token = found.process.get("token", "")
        kept = keys.kept(f"{self._me}:{next(self._count)}")

        def run(kept_apart: bool) -> Any:
            written = finish.naming(kept) if kept_apart else finish
            return scripts.run(
                self._others,
                "rescue",
                [
                    keys.workers,
                    keys.heartbeats,
                    keys.fork(worker_id),
                    keys.worker(worker_id),
                    keys.unread(worker_id),
                    keys.started(worker_id),
                    keys.stat("processed", worker_id),
                    keys.stat("failed", worker_id),
                    keys.stat("failed"),
                    keys.failed_queues,
                    keys.queues,
                    keys.attempts,
                    keys.queue(queue),
                    keys.own_workers,
                    keys.rescued(token),
                    keys.pruning_lock,
                    kept,
                    keys.metrics,
                    keys.status_prefix,
                    keys.kill,
                    *retry_keys(keys),
                ],
                [
                    worker_id,
                    token,
                    found.process.get("step", ""),
                    b"" if token else found.record or b"",
                    finish.verb,
                    max_attempts,
                    queue,
                    raw if finish.verb in ("lost", "later") else b"",
                    counted_by,
                    int(kept_apart),
                    int(heeding_ruby),
                    *written.to_args(),
                ],
            )

        try:
            return to_text(run(kept_apart=found.hopeless))
        except RedisRefused as error:
            if not error.is_too_large:
                raise
            return to_text(run(kept_apart=True))

    def declared_retry(self, class_name: str) -> bytes | None:
        """What any worker has declared of how such jobs are retried; see `Retry.to_json`."""
        try:
            text = self._others.execute_command("HGET", self._keys.jobs, class_name)
        except WrongKeyType:
            return None
        return None if text is None else bytes(text)

    def declared_retries(self) -> dict[str, bytes]:
        """What workers have declared of all jobs that are retried, by class."""
        fields = self._others.execute_command("HGETALL", self._keys.jobs)
        return {to_text(name): text for name, text in _pairs(fields)}

    def retry_state(self, digest: str) -> RetryState | None:
        """How often a job has failed that is retried."""
        return retry_state(self._others, self._keys, digest)

    def lock_pruning(self, worker_id: str, seconds: int) -> bool:
        """Whether this worker alone looks for dead workers of the fleet, for `seconds`."""
        lock = ("SET", self._keys.own_pruning_lock, worker_id, "EX", seconds, "NX")
        return bool(self._redis.execute_command(*lock))


def worker_details(
    redis: Client, keys: Keys, ids: Sequence[str]
) -> list[tuple[dict[str, str], float | None]]:
    """What `Workers.process` and `Workers.started` return, of many workers in one round trip.

    A key that holds something else says nothing.
    """
    commands = [(("HGETALL", keys.fork(i)), ("GET", keys.started(i))) for i in ids]
    replies = redis.execute_many([c for pair in commands for c in pair], errors=True)
    known = [None if isinstance(reply, RedisRefused) else reply for reply in replies]
    return [
        (_fields(fields or []), read_time(to_text(text)) if text else None)
        for fields, text in zip(known[::2], known[1::2], strict=True)
    ]


def _fields(reply: Any) -> dict[str, str]:
    return {to_text(name): to_text(value) for name, value in _pairs(reply)}


def _pairs(reply: Any) -> Iterable[tuple[bytes, bytes]]:
    """The pairs of a hash, which RESP2 returns as a flat list."""
    if isinstance(reply, dict):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)
