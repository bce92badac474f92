"""The failed list as people use it: read, filter, queue again, remove."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import StaleEntry
from ..job.redaction import is_redacted
from ..store.changes import Requeue
from ..store.failures import Failures, failed_list_names
from ..store.long_list import Entry
from ..wire.json import decode, encode
from ..wire.keys import Keys
from ..wire.times import failed_time, read_time, run_time, zone_of
from ..wire.unreadable import UNREADABLE, unwrapped

if TYPE_CHECKING:
    from ..store.client import Client

BATCH = 250  # jobs, if they are read while others are changed
BATCH_OF_LIST = 10_000  # jobs, if all were read before, and so may all have moved

Progress = Callable[[int], object]


def _noop(count: int) -> None:
    """Nobody asked for the progress."""


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
    def parse(cls, entry: Entry) -> FailedJob:
        """Never raises: an entry that is not JSON is shown by its error."""
        item = _read(entry.raw)
        if isinstance(item, str):
            return cls(entry.place, entry, error=f"(this entry cannot be read: {item})")
        return cls._of(entry, item)

    @classmethod
    def _of(cls, entry: Entry, item: dict[str, Any]) -> FailedJob:
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
        return _id(self.entry)

    @property
    def can_be_requeued(self) -> bool:
        """Whether it names a queue and has a job to queue, with its own arguments still."""
        return requeue_of(self, 0.0) is not None

    def age(self, now: float) -> float | None:
        """Seconds since it failed, or None if its time cannot be told."""
        failed = read_time(self.failed_at) if self.failed_at else None
        return None if failed is None else now - failed

    @property
    def unknown_zone(self) -> str | None:
        """The time zone that makes its age unknown, or ``none``; None if the age is known."""
        return zone_of(self.failed_at) if self.failed_at else None

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return {
            "index": self.index,
            "id": self.id,
            "failed_at": _iso(self.failed_at),
            "queue": self.queue,
            "class": self.class_name,
            "args": self.args,
            "exception": self.exception,
            "error": self.error,
            "backtrace": self.backtrace,
            "worker": self.worker,
            "retried_at": _iso(self.retried_at),
            "forensics": self.forensics,
            "raw": self.raw,
        }


def _iso(time: str | None) -> str | None:
    """As all our times, if it can be told."""
    seconds = None if time is None else read_time(time)
    return time if seconds is None else run_time(seconds)


def _id(entry: Entry) -> str:
    return hashlib.sha256(entry.raw).hexdigest()[:8]


def _read(raw: bytes) -> dict[str, Any] | str:
    """What an entry says, or why it cannot be read."""
    try:
        item = decode(raw)
    except (ValueError, RecursionError) as problem:
        return str(problem)
    return item if isinstance(item, dict) else "not an object"


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
    text: str | None = None  # in its class, exception, error, backtrace or arguments; in any case

    def matches(self, job: FailedJob, now: float) -> bool:
        """Whether it is meant; one whose time cannot be told has no age, and no age matches."""
        if not self.matches_names(job.class_name, job.queue, job.exception):
            return False
        if self.text is not None and not _says(job, self.text):
            return False
        if not self.has_age:
            return True
        age = job.age(now)
        if age is None:
            return False
        return (self.older_than is None or age >= self.older_than) and (
            self.newer_than is None or age < self.newer_than
        )

    def matches_names(
        self, class_name: str | None, queue: str | None, exception: str | None
    ) -> bool:
        """Whether a job is meant, of whatever age."""
        pairs = (
            (self.class_name, class_name),
            (self.queue, queue),
            (self.exception, exception),
        )
        return all(glob is None or fnmatch.fnmatchcase(text or "", glob) for glob, text in pairs)

    @property
    def has_age(self) -> bool:
        """Whether it asks for the age of jobs."""
        return self.older_than is not None or self.newer_than is not None


def _says(job: FailedJob, text: str) -> bool:
    said = (job.class_name or "", job.exception or "", job.error or "", *job.backtrace)
    wanted = text.casefold()
    if any(wanted in part.casefold() for part in said):
        return True
    return wanted in json.dumps(job.args, ensure_ascii=False).casefold()


class FailedJobs:
    """One list of failed jobs; ``failed`` unless another is named. Made by `Resque.failed`.

    Every method raises RedisUnavailable or RedisRefused, as those of `Resque`.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        name: str = "failed",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._client = client
        self._keys = keys
        self._list = Failures(client, keys, name)
        self._clock = clock

    def names(self) -> list[str]:
        """All lists of failed jobs: ``failed``, and those of redis_multi_queue."""
        return failed_list_names(self._client, self._keys)

    def count(self) -> int:
        """Number of jobs in the list."""
        return self._list.count()

    def page(self, start: int = 0, count: int = 20) -> list[FailedJob]:
        """Jobs from index `start` on, oldest first; a negative start counts from the newest."""
        entries = self._list.page(start, count)
        return [FailedJob.parse(entry) for entry in entries]

    def each(
        self,
        which: Filter = Filter(),
        newest_first: bool = True,
        progress: Progress = _noop,
        unclear: Callable[[FailedJob], object] | None = None,
    ) -> Iterator[FailedJob]:
        """The jobs that match, read a page at a time.

        `progress` is told of each page's size, `unclear` of each job that would match
        but for its age, which cannot be told because of its time zone.
        """
        for page in self._list.pages(newest_first):
            yield from self._matching(page, which, unclear)
            progress(len(page))

    def at(self, index: int, id: str | None = None) -> FailedJob:
        """The job at an index; with an `id` the one that was shown there, wherever it is now.

        Raises StaleEntry if there is none.
        """
        jobs = self.page(index, 1) if index >= 0 else []
        if id is not None and (not jobs or jobs[0].id != id):
            found = (entry for page in self._list.pages(True) for entry in page if _id(entry) == id)
            jobs = [FailedJob.parse(entry) for entry in itertools.islice(found, 1)]
            if not jobs:
                raise StaleEntry(
                    f"The failed job {index}:{id} is no longer as it was shown: "
                    "list the failed jobs again."
                )
        if not jobs:
            raise StaleEntry(f"There is no failed job {index}; the list has {self.count()}.")
        return jobs[0]

    def requeue(self, jobs: Iterable[FailedJob], progress: Progress = _noop) -> int:
        """Queue jobs again, each marked with ``retried_at``; returns how many were queued.

        A job whose entry has gone meanwhile is left out, as is one that cannot be
        requeued: it has no queue or class to go by, or its arguments are
        redacted. `progress` is told of each batch's size.

        What is raised on the way says in ``done`` how many had been queued, and in
        ``perhaps`` how many more may have been: at most one step of them.
        """
        changes = self._list.changes()
        with changes.counted():
            for batch in _batches(jobs):
                now = self._clock()
                ready = [r for job in batch if (r := requeue_of(job, now)) is not None]
                self._list.requeue(ready, changes)
                progress(len(batch))
        return changes.done

    def remove(self, jobs: Iterable[FailedJob], progress: Progress = _noop) -> int:
        """Remove entries; returns how many were still there.

        What is raised on the way has ``done`` and ``perhaps``, as of `requeue`.
        """
        changes = self._list.changes()
        with changes.counted():
            for batch in _batches(sorted((job.entry for job in jobs), key=lambda e: e.place)):
                self._list.remove(batch, changes)
                progress(len(batch))
        return changes.done

    def remove_matching(
        self,
        which: Filter,
        progress: Progress = _noop,
        unclear: Callable[[FailedJob], object] | None = None,
    ) -> int:
        """Remove all jobs that match, the oldest first; never holds more than a page of them.

        The arguments are those of `each`, the result and the errors those of `remove`.
        """
        changes = self._list.changes()
        with changes.counted():
            for page in self._list.pages():
                found = [job.entry for job in self._matching(page, which, unclear)]
                self._list.remove(found, changes)
                progress(len(page))
        return changes.done

    def clear(self) -> int:
        """Empty the list; returns how many it had."""
        return self._list.clear()

    def _matching(
        self,
        page: Sequence[Entry],
        which: Filter,
        unclear: Callable[[FailedJob], object] | None,
    ) -> Iterator[FailedJob]:
        now = self._clock()
        for entry in page:
            item = _read(entry.raw)
            if isinstance(item, str):
                job = FailedJob.parse(entry)
            else:
                payload = item.get("payload")
                class_name = payload.get("class") if isinstance(payload, dict) else None
                names = (class_name, item.get("queue"), item.get("exception"))
                if class_name != UNREADABLE and not which.matches_names(*map(_text, names)):
                    continue  # before any more is made of it: most do not match
                job = FailedJob._of(entry, item)
            if which.matches(job, now):
                yield job
            elif unclear and which.has_age and job.unknown_zone is not None:
                unclear(job)


def requeue_of(job: FailedJob, now: float) -> Requeue | None:
    """What becomes of an entry that is queued again; None if it cannot be."""
    item = _read(job.entry.raw)
    if isinstance(item, str) or job.queue is None or job.redacted:
        return None
    if job.class_name is None and job.raw is None:
        return None
    # retried_at stands last, in Ruby too; the rest keeps its bytes
    stamp = b'"retried_at":' + encode(failed_time(now)) + b"}"
    try:
        if "retried_at" in item:
            del item["retried_at"]
            marked = _again(item)[:-1] + b"," + stamp
        else:
            marked = job.entry.raw.rstrip()[:-1] + b"," + stamp
        payload = _queued_payload(job, item)
    except ValueError:  # 1e999 is read as infinity, which JSON cannot express
        return None
    return Requeue(job.entry, marked, job.queue, payload)


def _kept(item: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The bytes that an entry keeps in base64, if it does, and the payload as far as it is one.

    Entries of former versions keep them beside the payload.
    """
    payload = item.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    try:
        shown = _again(payload)
    except ValueError:  # 1e999 is read as infinity, which JSON cannot express
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


def _queued_payload(job: FailedJob, item: dict[str, Any]) -> bytes:
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


T = TypeVar("T")


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    size = BATCH_OF_LIST if isinstance(items, Sequence) else BATCH
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch
