"""The failed list as people use it: read, filter, queue again, remove."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from .errors import StaleEntry
from .keys import Keys
from .payload import decode, encode, failed_time, read_time
from .redaction import is_redacted
from .store.failures import Entry, Failures, Requeue, failed_list_names
from .unreadable import unwrapped

BATCH = 200


def _noop(count: int) -> None:
    """Nobody wants to know of the progress."""


@dataclass(frozen=True)
class FailedJob:
    """One entry, of whatever language; what it does not say is None or empty.

    `index` is its place in the list (0 is the oldest) at the time of reading;
    `id` tells whether an entry found there later is still the same.
    A job that is `redacted` has lost arguments to its declaration.
    """

    index: int
    entry: Entry
    failed_at: str | None = None
    exception: str | None = None
    error: str | None = None
    backtrace: list[str] = field(default_factory=list)
    worker: str | None = None
    queue: str | None = None
    class_name: str | None = None
    args: list[Any] = field(default_factory=list)
    retried_at: str | None = None
    forensics: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None
    redacted: bool = False

    @classmethod
    def read(cls, entry: Entry) -> FailedJob:
        """Never raises: an entry that is not JSON is shown by its error."""
        try:
            item = decode(entry.raw)
        except (ValueError, RecursionError) as problem:
            return cls(entry.place, entry, error=f"(this entry cannot be read: {problem})")
        if not isinstance(item, dict):
            return cls(entry.place, entry, error="(this entry cannot be read: not an object)")
        raw, payload = _kept(item)
        args = payload.get("args")
        return cls(
            entry.place,
            entry,
            failed_at=_text(item.get("failed_at")),
            exception=_text(item.get("exception")),
            error=_text(item.get("error")),
            backtrace=[str(line) for line in _list(item.get("backtrace"))],
            worker=_text(item.get("worker")),
            queue=_text(item.get("queue")),
            class_name=_text(payload.get("class")),
            args=_list(args),
            retried_at=_text(item.get("retried_at")),
            forensics=item["forensics"] if isinstance(item.get("forensics"), dict) else {},
            raw=raw,
            redacted=is_redacted(args),
        )

    @property
    def id(self) -> str:
        """Eight hex digits made of the entry's bytes; another once it is marked as retried."""
        return hashlib.sha256(self.entry.raw).hexdigest()[:8]

    @property
    def can_be_requeued(self) -> bool:
        """Whether it names a queue and has a job to queue, with its own arguments still."""
        if self.queue is None or self.redacted or (self.class_name is None and self.raw is None):
            return False
        try:
            _again(decode(self.entry.raw))
        except ValueError:  # 1e999: no JSON says what it is read as
            return False
        return True

    def age(self, now: float) -> float | None:
        """Seconds since it failed, or None if its time cannot be read."""
        failed = read_time(self.failed_at) if self.failed_at else None
        return None if failed is None else now - failed

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return {
            "index": self.index,
            "id": self.id,
            "failed_at": self.failed_at,
            "queue": self.queue,
            "class": self.class_name,
            "args": self.args,
            "exception": self.exception,
            "error": self.error,
            "backtrace": self.backtrace,
            "worker": self.worker,
            "retried_at": self.retried_at,
            "forensics": self.forensics,
            "raw": self.raw,
        }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True)
class Filter:
    """Which failed jobs are meant; globs are welcome, and what is None matches all."""

    class_name: str | None = None
    queue: str | None = None
    exception: str | None = None
    older_than: float | None = None  # seconds
    newer_than: float | None = None

    def matches(self, job: FailedJob, now: float) -> bool:
        """Whether it is meant; without a readable time it has no age, and no age matches."""
        pairs = (
            (self.class_name, job.class_name),
            (self.queue, job.queue),
            (self.exception, job.exception),
        )
        if not all(glob is None or fnmatch.fnmatchcase(text or "", glob) for glob, text in pairs):
            return False
        if self.older_than is None and self.newer_than is None:
            return True
        age = job.age(now)
        if age is None:
            return False
        return (self.older_than is None or age >= self.older_than) and (
            self.newer_than is None or age < self.newer_than
        )


class FailedJobs:
    """One list of failed jobs; ``failed`` unless another is named. Made by `Resque.failed`.

    Every method raises RedisUnavailable, AccessRefused or WrongKeyType when
    Redis does: `speaking` puts what redis-py raises about a key in these words.
    """

    def __init__(
        self,
        redis: Any,
        keys: Keys,
        speaking: Callable[[str], AbstractContextManager[None]],
        name: str = "failed",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._redis = redis
        self._keys = keys
        self._speaking = speaking
        self._key = keys.failed_list(name)
        self._list = Failures(redis, keys, name)
        self._clock = clock

    def names(self) -> list[str]:
        """All lists of failed jobs: ``failed``, and those of redis_multi_queue."""
        with self._speaking(self._keys.failed_queues):
            return failed_list_names(self._redis, self._keys)

    def count(self) -> int:
        """Number of jobs in the list."""
        with self._speaking(self._key):
            return self._list.count()

    def page(self, start: int = 0, count: int = 20) -> list[FailedJob]:
        """Jobs from index `start` on, oldest first; a negative start counts from the newest."""
        with self._speaking(self._key):
            entries = self._list.page(start, count)
        return [FailedJob.read(entry) for entry in entries]

    def each(self, which: Filter = Filter(), newest_first: bool = True) -> Iterator[FailedJob]:
        """The jobs that match, read a page at a time."""
        now = self._clock()
        entries = self._list.each(newest_first)
        while True:
            with self._speaking(self._key):
                entry = next(entries, None)
            if entry is None:
                return
            job = FailedJob.read(entry)
            if which.matches(job, now):
                yield job

    def at(self, index: int, id: str | None = None) -> FailedJob:
        """The job at an index; with an `id` the one that was shown there, wherever it is now.

        Raises StaleEntry if there is none.
        """
        jobs = self.page(index, 1) if index >= 0 else []
        if id is not None and (not jobs or jobs[0].id != id):
            jobs = [job for job in self.each() if job.id == id][:1]
            if not jobs:
                raise StaleEntry(
                    f"The failed job {index}:{id} is no longer as it was shown: "
                    "list the failed jobs again."
                )
        if not jobs:
            raise StaleEntry(f"There is no failed job {index}; the list has {self.count()}.")
        return jobs[0]

    def requeue(self, jobs: Iterable[FailedJob], progress: Callable[[int], None] = _noop) -> int:
        """Queue jobs again, each marked with ``retried_at``; returns how many were queued.

        A job whose entry has gone meanwhile is left out, as is one that cannot be
        requeued: it has no queue or class to go by, or its arguments are
        redacted. `progress` is told of each batch's size.
        """
        done = 0
        for batch in _batches(jobs):
            ready = [self._requeue(job) for job in batch if job.can_be_requeued]
            if ready:
                with self._speaking(self._key):
                    done += sum(self._list.requeue(ready))
            progress(len(batch))
        return done

    def remove(self, jobs: Iterable[FailedJob], progress: Callable[[int], None] = _noop) -> int:
        """Remove entries; returns how many were still there."""
        done = 0
        # from the newest on, so that the places of those to come stay true
        for batch in _batches(sorted(jobs, key=lambda job: -job.index)):
            with self._speaking(self._key):
                done += sum(self._list.remove([job.entry for job in batch]))
            progress(len(batch))
        return done

    def clear(self) -> int:
        """Empty the list; returns how many it had."""
        with self._speaking(self._key):
            return self._list.clear()

    def _requeue(self, job: FailedJob) -> Requeue:
        item = decode(job.entry.raw)
        # retried_at stands last, in Ruby too; the rest keeps its bytes
        stamp = b'"retried_at":' + encode(failed_time(self._clock())) + b"}"
        if "retried_at" in item:
            del item["retried_at"]
            marked = _again(item)[:-1] + b"," + stamp
        else:
            marked = job.entry.raw.rstrip()[:-1] + b"," + stamp
        return Requeue(job.entry, marked, job.queue or "", _payload_of(job, item))


def _kept(item: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The bytes that an entry keeps in base64, if it does, and the payload as far as it is one.

    Entries of former versions keep them beside the payload.
    """
    payload = item.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    try:
        shown = _again(payload)
    except ValueError:  # 1e999: no JSON says what it is read as
        shown = b""
    inner = unwrapped(shown)
    if inner == shown:
        return _base64(item.get("raw")), payload
    try:
        found = decode(inner)
    except ValueError:
        found = None
    return base64.b64encode(inner).decode("ascii"), found if isinstance(found, dict) else {}


def _base64(value: Any) -> str | None:
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        return None
    return str(value)


def _payload_of(job: FailedJob, item: dict[str, Any]) -> bytes:
    """What goes back to the queue: the bytes that were kept, or Resque's own form of the job."""
    if job.raw is not None:
        return base64.b64decode(job.raw)
    args = item["payload"].get("args")  # of any type: Ruby takes an object too
    return _again({"class": job.class_name, "args": [] if args is None else args})


def _again(value: Any) -> bytes:
    """JSON for what was JSON before: a lone surrogate, which Node writes, stays an escape."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _batches(jobs: Iterable[FailedJob]) -> Iterator[Sequence[FailedJob]]:
    batch: list[FailedJob] = []
    for job in jobs:
        batch.append(job)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
