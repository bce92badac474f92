"""Failed entries: what the worker's step, or a rescuer, writes about a job that has failed."""

from __future__ import annotations

import time
from typing import Any

from ..job.reservation import Reservation
from ..store.worker_store import FailedEntry
from ..wire.keys import Keys
from ..wire.times import failed_time
from .base import Failure
from .multiple import Backends


class FailedEntries:
    """Makes the entries for the lists that `backends` keep."""

    def __init__(self, backends: Backends, keys: Keys) -> None:
        self._backends = backends
        self._keys = keys

    def of(
        self, job: Reservation, failure: Failure, worker_id: str, *, saved: bool = False
    ) -> list[FailedEntry]:
        """`saved` says that all other backends have taken the failure.

        Of a job with retries the entries tell how often it was tried.
        """
        if job.retry is not None:
            failure = failure.explained(_history(job))
        entry = failure.entry(
            failed_at=time.time(), payload=job.shown, worker=worker_id, queue=job.queue
        )
        return self._backends.entries(entry, self._keys, job.queue, saved)


def _history(job: Reservation) -> dict[str, Any]:
    history: dict[str, Any] = {"attempts": job.failures + 1}
    if job.first_failed:
        history["first_failed_at"] = failed_time(job.first_failed)
    return history
