"""The books that a worker keeps on itself: its registration, and the job it has on record.

A worker that has died without closing its books is taken off them by
`pruning`. Each process has a random token and numbers its steps, so that a
step that is repeated, or comes in late, changes nothing.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from ..errors import NameTaken
from ..keys import Keys, to_text
from ..payload import run_time, shortened_entry, started_time
from . import scripts
from .packing import Packed
from .refusals import is_too_large
from .scripts import Commands, Packs


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """One entry for one list of failed jobs; `member` names the list in ``failed_queues``."""

    list_key: str
    entry: bytes
    member: str = ""

    def shortened(self) -> FailedEntry:
        """One that every server takes."""
        return replace(self, entry=shortened_entry(self.entry))


@dataclass(frozen=True, slots=True)
class Finish:
    """What became of the job on record: ``done``, ``failed``, ``back`` or ``lost``."""

    verb: str
    entries: Sequence[FailedEntry] = ()

    def shortened(self) -> Finish:
        """With entries that every server takes."""
        return Finish(self.verb, [entry.shortened() for entry in self.entries])


NOTHING = Finish("none")


class Step(NamedTuple):
    """What one step did.

    `finish` is the verb that took effect, or ``gone`` if the job was no longer
    on record, or ``unregistered`` if the worker itself was not, in which case
    nothing else was done. `found` is ``job``, ``unread`` (not fit for others,
    or too large to tell), ``empty``, ``paused`` or ``none``; `queue`, `run_at`
    and `raw` are the job's. `known` counts the known queues, `more` says whether
    the queue has another job; `wrong` names keys that should be lists.
    """

    finish: str
    found: str = "none"
    queue: str = ""
    run_at: str = ""
    raw: bytes = b""
    known: int = 0
    more: bool = False
    wrong: Sequence[str] = ()


class Books:
    """`identity` names what tells this process from others of its pid and host.

    `lesser` carries what a worker can do without for a while, its heartbeats
    and the names of all queues.
    """

    def __init__(
        self,
        redis: Commands,
        keys: Keys,
        worker_id: str,
        identity: Mapping[str, str],
        max_attempts: int = 1,
        lesser: Commands | None = None,
    ) -> None:
        self.worker_id = worker_id
        self.token = os.urandom(8).hex()
        self._redis = redis
        self._lesser = lesser or redis
        self._number = 0
        self._started = started_time(time.time())
        self._identity = [part for pair in identity.items() for part in pair]
        self._keys = keys
        self._queue_prefix = keys.queue("")
        prefix = self._queue_prefix.encode("utf-8", "surrogateescape")
        self._constants = (str(len(prefix)), str(max_attempts))
        self._own = (keys.fork(worker_id), keys.worker(worker_id), keys.unread(worker_id))
        self._stats = tuple(
            keys.stat(name, whose)
            for name in ("processed", "failed")
            for whose in (None, worker_id)
        )
        self._queues: Sequence[str] = ()
        self._own_step_keys = [
            *self._own,
            *self._stats,
            keys.pause,
            keys.failed_queues,
            keys.queues,
            keys.attempts,
            self._queue_prefix,
        ]
        self._step_keys = self._keys_with(())

    def on(self, redis: Commands) -> Books:
        """The same books, kept over another connection."""
        other = copy.copy(self)
        other._redis = other._lesser = redis
        return other

    def heartbeat(self) -> bool:
        """Say that the worker lives; True if it had to be registered (first, or anew).

        Raises NameTaken if another process has registered itself under this id.
        """
        keys = self._keys
        answer = scripts.run(
            self._lesser,
            "heartbeat",
            [
                keys.workers,
                keys.started(self.worker_id),
                keys.heartbeats,
                self._own[0],
                keys.own_workers,
            ],
            [self.worker_id, self.token, self._number, self._started, *self._identity],
        )
        if answer == b"taken":
            raise NameTaken(self.worker_id)
        return bool(answer == b"registered")

    def step(self, finish: Finish, queues: Sequence[str] | None) -> Step:
        """Finish the job on record and reserve the next of `queues`, if any are given.

        One round trip, atomic, and safe to repeat. Raises NameTaken.
        """
        self._number += 1
        try:
            reply = self._step(finish, queues)
        except ResponseError as error:
            if not (finish.entries and is_too_large(error)):
                raise
            reply = self._step(finish.shortened(), queues)
        if reply[0] == b"taken":
            raise NameTaken(self.worker_id)
        if reply[0] == b"stranger":
            return Step("unregistered")
        done, found, queue, run_at, raw, known, more, *wrong = reply
        return Step(
            done.decode(),
            found.decode(),
            to_text(queue),
            run_at.decode(),
            raw,
            known,
            bool(more),
            tuple(to_text(key) for key in wrong),
        )

    def _step(self, finish: Finish, queues: Sequence[str] | None) -> Any:
        return scripts.run(
            self._redis,
            "step",
            self._keys_of(queues or ()),
            [
                self.token,
                self._number,
                finish.verb,
                # as bytes: the line remembers how text is packed, and this comes but once
                run_time(int(time.time())).encode() if queues is not None else b"",
                *self._constants,
                *(
                    part
                    for failed in finish.entries
                    for part in (failed.list_key, failed.member, failed.entry)
                ),
            ],
        )

    def _keys_of(self, queues: Sequence[str]) -> Sequence[str] | Packed:
        """The same queues are asked for again and again, and may be thousands."""
        if queues is not self._queues:
            self._queues = queues
            self._step_keys = self._keys_with(queues)
        return self._step_keys

    def _keys_with(self, queues: Sequence[str]) -> Sequence[str] | Packed:
        keys = [*self._own_step_keys, *(self._queue_prefix + queue for queue in queues)]
        return self._redis.pack(keys) if isinstance(self._redis, Packs) else keys

    def known_queues(self) -> list[str]:
        """The names of all known queues, sorted."""
        return sorted(
            to_text(q) for q in self._lesser.execute_command("SMEMBERS", self._keys.queues)
        )

    def record(self) -> None:
        """Let others read the job on record, which was too large for the server to judge."""
        scripts.run(self._redis, "record", self._own, [self.token, self._number])

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
                *self._own,
                keys.started(worker_id),
                keys.stat("processed", worker_id),
                keys.stat("failed", worker_id),
            ],
            [worker_id, self.token],
        )
