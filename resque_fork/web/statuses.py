"""Tracked jobs: what is known of each, found by state, class, queue and text; and to kill one."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from ..errors import ResqueError
from ..ops.rows import Row, readable
from ..ops.statuses import nothing_known, status_row
from ..store.statuses import LARGEST, Statuses
from ..wire.status import COMPLETED, KILLED, STATES, UNKNOWN, WORKING, Status
from .ask import Action, Ask, BadRequest, Done, NotFound, Page
from .search import search

READ_AT_ONCE = 100  # statuses, each of which may be as long as LARGEST
FILTERS = ("state", "class", "queue", "text")
SHOWN_STATES = (*STATES, UNKNOWN)


@dataclass(frozen=True)
class Stored:
    """What stands under an id: its `text`, None if its key is of another type."""

    status: Status
    text: bytes | None

    @property
    def has_expired(self) -> bool:
        return self.text == b""

    @property
    def problem(self) -> str | None:
        """Why its state is not known; None if it is."""
        if self.text is None:
            return "Its key in Redis does not hold a text."
        if len(self.text) > LARGEST:
            return f"It has more than {LARGEST:,} bytes: too many to be read."
        if self.status:
            return None
        if self.status.raw is None:
            return "What stands in Redis is not the status of a job."
        return (
            "It was due more than an hour ago: Ruby's scheduler may have moved it, without its id."
        )

    @property
    def raw(self) -> object:
        """All of it: as JSON if it is a status, else as text."""
        if self.status.raw is not None:
            return self.status.raw
        return (self.text or b"").decode("utf-8", "backslashreplace")

    def row(self) -> Row:
        return {**status_row(self.status), "problem": self.problem}


@dataclass(frozen=True)
class Which:
    """Which statuses are meant: what is empty matches all, and names may be globs."""

    state: str
    class_name: str
    queue: str
    text: str  # anywhere in it, in any case

    def matches(self, stored: Stored) -> bool:
        status = stored.status
        return (
            self.state in ("", status.state)
            and _fits(self.class_name, status.name)
            and _fits(self.queue, status.queue)
            and (not self.text or self.text.casefold() in _said(stored))
        )


def _fits(glob: str, name: str) -> bool:
    return not glob or fnmatch.fnmatchcase(name, glob)


def _said(stored: Stored) -> str:
    raw = stored.raw
    text = raw if isinstance(raw, str) else readable(raw)
    return f"{stored.status.id} {text}".casefold()


def which_of(ask: Ask) -> Which:
    """Raises BadRequest."""
    state = ask.text("state")
    if state not in ("", *SHOWN_STATES):
        raise BadRequest(
            f"state={state!r} is not valid: expected one of {', '.join(SHOWN_STATES)}."
        )
    return Which(state, ask.text("class"), ask.text("queue"), ask.text("text"))


class Reader:
    """Reads statuses as pages show them."""

    def __init__(self, ask: Ask) -> None:
        resque = ask.site.resque
        self._statuses = Statuses(resque.client, resque.key_names)
        self.now = ask.site.workers.now()

    def count(self) -> int:
        return self._statuses.count()

    def page(self, start: int, count: int) -> list[Stored]:
        """Some of all, from a place on; the one at place 0 was enqueued first."""
        return self._read(self._statuses.ids(start, count))

    def one(self, job_id: str) -> Stored:
        """Raises NotFound if nothing stands there."""
        [stored] = self._read([job_id])
        if stored.has_expired:
            raise NotFound(nothing_known(job_id))
        return stored

    def _read(self, job_ids: list[str]) -> list[Stored]:
        texts = self._statuses.texts(job_ids)
        return [
            Stored(Status.parse(job_id, text, self.now), text)
            for job_id, text in zip(job_ids, texts, strict=True)
        ]


def show_all(ask: Ask) -> Row:
    """A page of the tracked jobs whose status has not expired, the newest first."""
    reader, which = Reader(ask), which_of(ask)
    count = reader.count()
    before = min(ask.number("before", count), count)
    found = search(
        reader.page,
        lambda stored: not stored.has_expired and which.matches(stored),
        before,
        at_once=READ_AT_ONCE,
    )
    return {
        "now": reader.now,
        "count": count,
        "states": SHOWN_STATES,
        "filter": ask.filled(FILTERS),
        "before": before,
        "looked_at": found.looked_at,
        "go_on_before": found.go_on_before,
        "statuses": [stored.row() for stored in found.entries],
    }


def show(ask: Ask) -> Row:
    """One tracked job: all that is known of it, and its status as it stands in Redis."""
    reader = Reader(ask)
    stored = reader.one(ask.named("id"))
    return {
        "now": reader.now,
        "status": stored.row(),
        "has_result": stored.status.state == COMPLETED and "result" in stored.status.raw,
        "can_be_killed": _can_be_killed(stored.status),
        "raw": stored.raw,
    }


def _can_be_killed(status: Status) -> bool:
    return bool(status) and not status.ended


def _alive(ask: Ask) -> str:
    """The job that is to be killed. Raises ResqueError if that is not possible."""
    stored = Reader(ask).one(ask.named("id"))
    if not _can_be_killed(stored.status):
        raise ResqueError(_cannot_be_killed(stored.status))
    return (
        f"the job {stored.status.id} ({stored.status.name or '?'}), which is {stored.status.state}"
    )


def _cannot_be_killed(status: Status) -> str:
    return f"The job {status.id} cannot be killed: its state is {status.state}."


def kill(ask: Ask) -> Done:
    """Take a job out of its queue or the delayed set, or have its worker end it."""
    job_id = ask.named("id")
    status = ask.site.resque.kill(job_id)
    if not status or (status.ended and status.state != KILLED):
        raise ResqueError(_cannot_be_killed(status))
    if status.state == KILLED:
        said = f"Killed the job {job_id}."
    elif status.state == WORKING:
        said = f"The job {job_id} is to be killed: its worker ends it within seconds."
    else:
        said = f"The job {job_id} is to be killed: the worker that takes it ends it."
    return Done(said, "/status", {"id": job_id})


PAGES = (Page("/statuses", "statuses.html", show_all), Page("/status", "status.html", show))
ACTIONS = (
    Action(
        "/status/kill",
        "Kill",
        kill,
        "Kill {}? It does not fail, and is not tried again.",
        _alive,
    ),
)
