"""Jobs that have failed and are tried again, each with the delayed items that wait for it."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Iterator, Sequence

from ..errors import ResqueError
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..store.retried_jobs import Retried, Retries
from ..wire.delayed import digest_of_item, due_of, payload_of
from ..wire.job import MAX_PAYLOAD, Payload
from ..wire.times import run_time
from ..wire.unreadable import unwrapped
from .rows import Row
from .site import Site

SHOWN = 8  # hex digits of a digest, which name a job on the command line
PAGE = 100


class RetriedJobs:
    """Jobs that are retried, with the items of theirs that wait."""

    def __init__(self, site: Site) -> None:
        client, keys = site.resque.client, site.resque.key_names
        self.retries = Retries(client, keys)
        self.delayed = DelayedJobs(client, keys)
        self._now = site.workers.now()

    def named(self, id: str) -> Retried:
        """The one whose id begins so. Raises ResqueError if there is not exactly one."""
        found = self.retries.named(id) if id.isalnum() else []
        if len(found) != 1:
            which = "Several jobs have ids that begin" if found else "No job that is retried begins"
            raise ResqueError(f"{which} with {id!r}: see resque-fork retries.")
        return found[0]

    def matching(
        self, class_name: str | None, queue: str | None
    ) -> Iterator[tuple[Retried, list[Item]]]:
        """Those of a class and a queue, which may be globs."""
        jobs = [job for page in self._pages() for job in page]
        for moment, due_then in itertools.groupby(jobs, _moment):  # each second is read once
            waiting = _by_digest(self.delayed.each_at(moment))
            for job in due_then:
                items = waiting.get(job.digest, [])
                name = self.payload(items).class_name if items else ""
                if _fits(class_name, name) and _fits(queue, job.queue):
                    yield job, items

    def _pages(self) -> Iterator[list[Retried]]:
        start = 0
        while page := self.retries.page(start, PAGE):
            yield page
            start += PAGE

    def items_of(self, job: Retried, most: int | None = None) -> list[Item]:
        """What waits for it, each item once; none if it is in its queue by now, or runs.

        With `most` only so many items of its second are looked at: see `is_beyond`.
        """
        waiting = itertools.islice(self.delayed.each_at(_moment(job)), most)
        return _by_digest(waiting).get(job.digest, [])

    def is_beyond(self, job: Retried, most: int) -> bool:
        """Whether more than so many items are due in its second."""
        return self.delayed.sizes([_moment(job)])[0] > most

    def items_of_each(self, jobs: Sequence[Retried], most: int) -> list[list[Item] | None]:
        """`items_of` for several jobs, in one round trip; `most` items of a second are looked at.

        Each is looked at once, however many jobs are due in its second. None for a job that is not
        among them, and may be among the others.
        """
        moments = list({_moment(job) for job in jobs})
        read = dict(zip(moments, self.delayed.at_each(moments, most + 1), strict=True))
        found = {moment: _by_digest(items[:most]) for moment, items in read.items()}
        return [
            found[moment].get(job.digest, None if len(read[moment]) > most else [])
            for job in jobs
            for moment in [_moment(job)]
        ]

    @staticmethod
    def payload(items: Sequence[Item]) -> Payload:
        """What the first of them says. Raises UnreadablePayload."""
        raw = items[0].raw
        return Payload.take(unwrapped(payload_of(raw, due_of(raw))), MAX_PAYLOAD)

    def row(self, job: Retried, items: list[Item]) -> Row:
        payload = self.payload(items) if items else None
        known = payload if payload and payload.decoded else None
        return {
            "id": job.digest[:SHOWN],
            "due_at": run_time(job.due),
            "in_seconds": int(job.due - self._now),
            "queue": job.queue or None,
            "class": known.class_name if known else None,
            "args": known.args if known else None,
            "failures": job.failures,
            "first_failed_at": run_time(job.first) if job.first else None,
            "exception": job.exception or None,
            "error": job.error or None,
            "waiting": job.waiting,
        }


def _moment(job: Retried) -> str:
    """The second at which it is due."""
    return str(int(job.due))


def _by_digest(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Each item once, by the digest of its job; without those that cannot be read."""
    found: dict[str, dict[bytes, Item]] = {}
    for item in items:
        if digest := digest_of_item(item.raw):
            found.setdefault(digest, {})[item.raw] = item
    return {digest: [*its.values()] for digest, its in found.items()}


def _fits(glob: str | None, text: str) -> bool:
    return glob is None or fnmatch.fnmatchcase(text, glob)
