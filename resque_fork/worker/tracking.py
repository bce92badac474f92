"""What a worker writes of a tracked job: that it performs it, how far it is, and how it ended."""

from __future__ import annotations

import math
from typing import Any

from ..child.performer import Performer
from ..job.progress import Progress
from ..job.registry import registry
from ..job.reservation import Reservation
from ..policies import Action
from ..store.worker_store import ENDED_KEPT_SECONDS, Tracked, WorkerStore
from ..system.loop import Loop
from ..system.shield import Shield
from ..wire.json import decode
from ..wire.status import (
    COMPLETED,
    DELAYED,
    FAILED,
    KILLED,
    QUEUED,
    WORKING,
    status_text,
)

SECONDS = 1.0  # between two looks at a running job

ENDED = {"done": COMPLETED, "failed": FAILED, "killed": KILLED}


class Tracker:
    """A task of the loop, due while a tracked job runs: writes how far that is.

    In the same command it learns whether somebody wants the job killed.
    """

    def __init__(self, loop: Loop, store: WorkerStore, performer: Performer) -> None:
        self.due = math.inf
        self.job: Reservation | None = None  # the one that runs, if it is tracked
        self._loop = loop
        self._store = store
        self._performer = performer
        self._written: Progress | None = None
        self._shield = Shield()

    def begin(self, job: Reservation) -> bool:
        """Write that a job is performed; False if it is not to be, because it was killed."""
        self._performer.progress.clear()
        self.job, self._written = job, None
        self.due = self._loop.clock() + SECONDS
        return self._store.begin_status(job.id, _text(job, WORKING))

    def describe(self, job: Reservation) -> None:
        """A child has read the payload of the job, which was too large for us."""
        if self.job is not None:
            self.job = job

    def end(self) -> Progress | None:
        """The job has ended: how far it was, if it has said so."""
        job, self.job, self.due = self.job, None, math.inf
        return None if job is None else self._performer.progress.read(job.id)

    def run(self) -> None:
        """Write what is new of the job, and kill it if it is to be."""
        self.due = self._loop.clock() + SECONDS
        with self._shield("following a job"):
            if self.job is not None and not self._goes_on(self.job):
                self.due = math.inf
                self._performer.kill_job()

    def _goes_on(self, job: Reservation) -> bool:
        progress = self._performer.progress.read(job.id)
        if progress is None or progress == self._written:
            return self._store.note_status(job.id, b"")
        self._written = progress
        return self._store.note_status(
            job.id, _text(job, WORKING, progress, message=progress.message)
        )


def status_after(
    job: Reservation, action: Action, progress: Progress | None = None, result: str = ""
) -> Tracked:
    """What is known of a tracked job after an attempt at it."""
    failure = action.failure
    why = "" if failure is None else f"{failure.exception}: {failure.error}"
    state = ENDED.get(action.verb)
    if state is not None:
        seconds = ENDED_KEPT_SECONDS
        more = {}
        if state == COMPLETED and result:
            more["result"] = decode(result.encode())
            declared = registry.get(job.class_name)
            seconds = int(declared.result or seconds) if declared else seconds
        return Tracked(job.id, _text(job, state, progress, message=why, **more), seconds=seconds)
    waits = action.verb == "later" and round(action.seconds * 1000) > 0
    text = _text(job, DELAYED if waits else QUEUED, message=why)
    return Tracked(job.id, text, if_failed=_text(job, FAILED, progress, message=why))


def _text(
    job: Reservation, state: str, progress: Progress | None = None, message: str = "", **more: Any
) -> bytes:
    queue = job.retry.queue if state == DELAYED and job.retry else None
    if progress is not None:
        more |= {"num": progress.num, "total": progress.total}
    return status_text(job.id, state, job.class_name, queue or job.queue, message=message, **more)
