"""What a worker keeps in Redis about itself: its registration, and the job it has on record.

`pruning` removes what a dead worker leaves. Each process has a random token and numbers its
steps, so that a step that is repeated, or comes in late, changes nothing.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..errors import NameTaken, RedisRefused
from ..wire.failed import entry_with
from ..wire.keys import Keys, to_text
from ..wire.request import Answer
from ..wire.times import run_time, started_time
from ..wire.unreadable import reference
from . import scripts
from .packing import Packed
from .retries import Comeback, RetryState, retry_keys, retry_state
from .scripts import Commands, Packs

log = logging.getLogger("resque_fork")

KILL = 2  # see ``note_status.lua``
ANSWER_SECONDS = 60  # for which an answer to a request stays in Redis
ENDED_KEPT_SECONDS = 86400  # for which a status is kept, once the job has ended


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """One entry for one list of failed jobs; `member` names the list in ``failed_queues``."""

    list_key: str
    entry: bytes
    member: str = ""

    def naming(self, key: str) -> FailedEntry:
        """One that is small enough for every server: the payload stands under a key of its own."""
        return replace(self, entry=entry_with(self.entry, reference(key)))

    def to_args(self) -> Sequence[Any]:
        """As the scripts take it."""
        return (self.list_key, self.member, self.entry)


class Counted(NamedTuple):
    """Under which names the outcome of a job is counted, and what its process died of, if so."""

    queue: str
    class_name: str
    cause: str = ""


NOT_COUNTED = Counted("", "")


class Tracked(NamedTuple):
    """What is known of a tracked job once its attempt has ended, and if it fails instead.

    If the job has ended, that is kept for so many seconds.
    """

    job_id: str
    status: bytes
    if_failed: bytes = b""
    seconds: int = ENDED_KEPT_SECONDS


NOT_TRACKED = Tracked("", b"", seconds=0)


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of the job on record: ``done``, ``killed``, ``failed``, ``back``, ``lost`` or
    ``later``.

    `digest` is what its retries are counted by, empty if nothing is known of any. `comeback` is
    how a job comes back later; `entries` are written if it has no retries left. By `counted` its
    outcome is counted, or not at all; `tracked` is what is then known of a tracked job.
    """

    verb: str
    entries: Sequence[FailedEntry] = ()
    digest: str = ""
    comeback: Comeback | None = None
    counted: Counted = NOT_COUNTED
    tracked: Tracked = NOT_TRACKED

    def naming(self, key: str) -> Finish:
        """With entries and an item that are small enough for every server."""
        return replace(
            self,
            entries=[entry.naming(key) for entry in self.entries],
            comeback=self.comeback and self.comeback.naming(key),
        )

    def to_args(self) -> Sequence[Any]:
        """As the scripts take it."""
        comeback = self.comeback.to_args() if self.comeback else ()
        entries = (part for entry in self.entries for part in entry.to_args())
        return [*self.counted, *self.tracked, self.digest, *comeback, *entries]


NOTHING = Finish("none")
GONE = Finish("gone")  # a peer has rescued the job: there is nothing to write

REPLACED = "The Redis key %r held something else than a worker keeps there, and was replaced"


class Step(NamedTuple):
    """What one step did.

    `finish` is the verb that took effect, or ``gone`` if a peer has taken the job off
    the record: nothing was counted. `found` is ``job``, ``unread`` (not fit for others,
    or too large to tell), ``empty``, ``paused`` or ``none``; `queue`, `run_at`
    and `raw` are the job's. `known` counts the known queues, `more` says whether
    the queue has another job, `retries` whether any job at all has failed and is retried;
    `paused` names all paused queues. `waited` are the milliseconds that the job has waited, of
    one that was marked; `wrong` names keys that should be lists.
    """

    finish: str
    found: str = "none"
    queue: str = ""
    run_at: str = ""
    raw: bytes = b""
    known: int = 0
    more: bool = False
    retries: bool = False
    paused: Sequence[str] = ()
    waited: int | None = None
    wrong: Sequence[str] = ()


class WorkerStore:
    """`identity` is what tells this process from others with its pid and host.

    `best_effort` carries what a worker can do without for a while, its heartbeats
    and the names of all queues.
    """

    def __init__(
        self,
        redis: Commands,
        keys: Keys,
        worker_id: str,
        identity: Mapping[str, str],
        max_attempts: int = 1,
        best_effort: Commands | None = None,
    ) -> None:
        self.worker_id = worker_id
        self.token = os.urandom(8).hex()
        self._redis = redis
        self._best_effort = best_effort or redis
        self.requests: list[bytes] = []  # to this worker, still to be answered
        self._number = 0  # of the last step that went through
        self._added = 0  # number of the last addition to what is counted
        self._held: Step | None = None  # the job on record
        self.paused = False  # by a signal, as Redis knows it
        self.counted_by = b""  # the payload by whose bytes losses of that job are counted
        self._started = started_time(time.time())
        self._identity = [part for pair in identity.items() for part in pair]
        self._keys = keys
        self._queue_prefix = keys.queue("")
        self._constants = (str(max_attempts), worker_id)
        self._rescued = keys.rescued(self.token)
        self._own = (keys.fork(worker_id), keys.worker(worker_id), keys.unread(worker_id))
        self._stats = tuple(
            keys.stat(name, whose)
            for name in ("processed", "failed")
            for whose in (None, worker_id)
        )
        self._own_step_keys = [
            *self._own,
            *self._stats,
            keys.pause,
            keys.failed_queues,
            keys.queues,
            keys.attempts,
            keys.workers,
            keys.started(worker_id),
            keys.paused_queues,
            *retry_keys(keys),
            keys.metrics,
            keys.marks_prefix,
            keys.status_prefix,
            keys.kill,
        ]
        self._pack_keys(None)

    def on(self, redis: Commands) -> WorkerStore:
        """The same worker over another connection."""
        other = copy.copy(self)
        other._redis = other._best_effort = redis
        return other

    def heartbeat(self, redis: Commands | None = None) -> bool:
        """Say that the worker lives; True if it had to be registered (first, or anew).

        Raises NameTaken if another process has registered itself under this id.
        """
        keys = self._keys
        answer = scripts.run(
            redis or self._best_effort,
            "heartbeat",
            [
                keys.workers,
                keys.started(self.worker_id),
                keys.heartbeats,
                self._own[0],
                keys.own_workers,
            ],
            [
                *(self.worker_id, self.token, self._number, self._started, *self._identity),
                *(("paused", 1) if self.paused else ()),
            ],
        )
        if answer == b"taken":
            raise NameTaken(self.worker_id)
        if answer == b"replaced":
            log.error(REPLACED, self._own[0])
        return bool(answer != b"known")

    def step(self, finish: Finish, queues: Sequence[str] | None) -> Step:
        """Finish the job on record and reserve the next of `queues`, if any are given.

        One round trip, atomic, and safe to repeat. If Redis has forgotten the worker or the
        job, both are put back first, so that what became of the job is written. Raises
        NameTaken.
        """
        while (reply := self._tried(finish, queues))[0] in (b"unregistered", b"forgotten"):
            if reply[0] == b"unregistered":
                log.warning("The worker was no longer registered in Redis: it registers anew")
                self.heartbeat(self._redis)
            else:
                log.warning("Redis has lost the record of the job: it is written anew")
            if self._restore(finish) == b"gone" or self._held is None:
                finish, self._held = GONE if finish is not NOTHING else NOTHING, None
        if reply[0] == b"taken":
            raise NameTaken(self.worker_id)
        done, found, queue, run_at, raw, known, more, retries, paused, waited, *wrong = reply
        step = Step(
            GONE.verb if finish is GONE else done.decode(),
            found.decode(),
            to_text(queue),
            run_at.decode(),
            raw,
            known,
            bool(more),
            bool(retries),
            tuple(map(to_text, paused)),
            waited if isinstance(waited, int) else None,
            tuple(map(to_text, wrong)),
        )
        self._number += 1
        self._held = step if step.found in ("job", "unread") else None
        self.counted_by = b""
        return step

    def _tried(self, finish: Finish, queues: Sequence[str] | None) -> Any:
        try:
            return self._step(finish, queues)
        except RedisRefused as error:
            if not ((finish.entries or finish.comeback) and error.is_too_large):
                raise
        key = self._keys.kept(f"{self.token}:{self._number}")
        scripts.run(self._redis, "keep", [self._own[0], self._own[2], key], [self.token])
        return self._step(finish.naming(key), queues)

    def _step(self, finish: Finish, queues: Sequence[str] | None) -> Any:
        if queues is not self._queues:
            self._pack_keys(queues)
        return scripts.run(
            self._redis,
            "step",
            self._step_keys,
            [
                self.token,
                self._number + 1,
                NOTHING.verb if finish is GONE else finish.verb,
                # as bytes: the packing of text is cached, and this text comes only once
                run_time(int(time.time())).encode() if queues is not None else b"",
                *self._constants,
                digest(self.counted_by).encode() if self.counted_by else b"",
                *finish.to_args(),
            ],
        )

    def _restore(self, finish: Finish) -> bytes:
        """Put the job that is being performed back on record; ``gone`` if a peer has rescued it."""
        held = self._held or Step("none")
        answer, *replaced = scripts.run(
            self._redis,
            "restore",
            [*self._own, self._rescued],
            [self.token, self._number, held.queue, held.run_at, held.raw, finish.verb],
        )
        for key in replaced:
            log.error(REPLACED, to_text(key))
        return bytes(answer)

    def _pack_keys(self, queues: Sequence[str] | None) -> None:
        """The same queues are asked for again and again, and may be thousands."""
        self._queues = queues
        keys = [*self._own_step_keys, *(self._queue_prefix + queue for queue in queues or ())]
        self._step_keys: Sequence[str] | Packed = (
            self._redis.pack(keys) if isinstance(self._redis, Packs) else keys
        )

    def look(self) -> list[str]:
        """The ids of all workers, sorted; what is asked of this one is added to `requests`."""
        keys = [self._keys.workers, self._keys.own_workers, self._keys.ask(self.worker_id)]
        ids, requests = scripts.run(self._best_effort, "look", keys, [])
        self.requests += requests
        return sorted(map(to_text, ids))

    def answer(self, token: str, answer: Answer) -> None:
        """Answer a request; nobody may wait for it any more."""
        key = self._keys.answer(token)
        scripts.run(self._best_effort, "post", [key], [answer.to_json(), ANSWER_SECONDS])

    def known_queues(self) -> list[str]:
        """The names of all known queues, sorted."""
        names = self._best_effort.execute_command("SMEMBERS", self._keys.queues)
        return sorted(map(to_text, names))

    def declare_retries(self, retries: Mapping[str, str | None]) -> None:
        """Tell all workers how jobs are retried, by class; None for one that is not.

        Whoever rescues a job may not have loaded the application that declares it. Raises
        WrongKeyType.
        """
        declared = [part for name, text in retries.items() if text for part in (name, text)]
        others = [name for name, text in retries.items() if text is None]
        if declared:
            self._best_effort.execute_command("HSET", self._keys.jobs, *declared)
        if others:
            self._best_effort.execute_command("HDEL", self._keys.jobs, *others)

    def retry_state(self, digest: str) -> RetryState | None:
        """How often a job has failed that is retried; None if that is not known, or never."""
        return retry_state(self._best_effort, self._keys, digest)

    def describe(self, class_name: str, portable: bool) -> None:
        """Note what the job on record is that stands in ``fork:unread:<id>``."""
        scripts.run(
            self._redis,
            "describe",
            [self._own[0], self._own[2]],
            [self.token, self._number, class_name, int(portable)],
        )

    def begin_status(self, job_id: str, status: bytes) -> bool:
        """Write that the tracked job on record begins; False if somebody wants it killed."""
        return self._note_status(self._redis, job_id, status)

    def note_status(self, job_id: str, status: bytes) -> bool:
        """Write what is new of it, if anything is; False if somebody wants it killed."""
        return self._note_status(self._best_effort, job_id, status)

    def _note_status(self, redis: Commands, job_id: str, status: bytes) -> bool:
        keys = [self._own[0], self._keys.status(job_id), self._keys.kill]
        args = [self.token, self._number, job_id, status]
        return bool(scripts.run(redis, "note_status", keys, args) != KILL)

    def note_pause(self, paused: bool) -> None:
        """Let those who look at workers know whether a signal has paused this one."""
        self.paused = paused
        args = [self.token, int(paused)]
        scripts.run(self._best_effort, "note_pause", [self._own[0]], args)

    def redeem(self, key: str) -> bytes | None:
        """The payload that stands under a key of its own, now on record; None if it is gone."""
        if not key.startswith(self._keys.kept_prefix):
            return None
        raw: bytes | None = scripts.run(
            self._redis, "redeem", [*self._own, key], [self.token, self._number]
        )
        if raw is not None and self._held is not None:
            self._held = self._held._replace(raw=raw)
        return raw

    def add_up(self, measured: str) -> bool:
        """Add JSON (see ``add_up.lua``) to what is counted; False if it is not registered now."""
        added = scripts.run(
            self._best_effort,
            "add_up",
            [self._own[0], self._keys.metrics],
            [self.token, self._added + 1, measured],
        )
        self._added += bool(added)
        return bool(added)

    def unregister(self) -> None:
        """Leave nothing behind."""
        keys, worker_id = self._keys, self.worker_id
        scripts.run(
            self._redis,
            "unregister",
            [
                keys.workers,
                keys.heartbeats,
                keys.own_workers,
                keys.own_pruning_lock,
                *self._own,
                keys.started(worker_id),
                keys.stat("processed", worker_id),
                keys.stat("failed", worker_id),
                self._rescued,
            ],
            [worker_id, self.token],
        )


def digest(raw: bytes) -> str:
    """What the losses of a job are counted by: equal jobs share a count."""
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()
