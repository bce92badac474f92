"""Reserve a job: the outcome of the last one is written in the same step.

The outcome stays here until the step that writes it has succeeded, and until then the job
stays on record.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..errors import JobKilled, UnknownJob, UnreadablePayload, WrongKeyType
from ..job.redaction import MARK
from ..job.registry import registry
from ..job.reservation import Reservation, refuse_redacted
from ..metrics.tally import Tally
from ..settings import Settings
from ..store.worker_store import NOTHING, Step, WorkerStore
from ..text import did_you_mean
from ..wire.delayed import digest_of
from ..wire.job import Payload
from ..wire.queue_list import QueueList
from ..wire.unreadable import WRAPPED, key_of, unwrapped
from .pauses import Pauses
from .tracking import Tracker

log = logging.getLogger("resque_fork")


class Reserved(NamedTuple):
    """A job on record; with a `problem` it cannot be performed here."""

    job: Reservation
    problem: BaseException | None = None


class Reserver:
    """`finish` is what is to be written of the last job. The step may find that a job which is to
    come back was lost or tried too often, and fail it: then `if_failed`, that job with its
    error, is put into `failed`.

    `paused` says whether the last look found all workers paused by the key, or all queues of this
    one, `more` whether it left jobs in the queue that it took one from.
    """

    def __init__(
        self,
        store: WorkerStore,
        queue_list: QueueList,
        settings: Settings,
        tally: Tally,
        tracker: Tracker,
    ) -> None:
        self.finish = NOTHING
        self.if_failed: tuple[Reservation, BaseException] | None = None
        self.failed: list[tuple[Reservation, BaseException]] = []
        self.more = False
        self._store = store
        self._settings = settings
        self._tally = tally
        self._tracker = tracker
        self._queue_list = queue_list
        self._pauses = Pauses()
        self._known: list[str] = []
        self._queues = queue_list.over([])
        self._stale = True  # queues may have appeared that are not known
        self._wrong: set[str] = set()
        self._unreadable = ""  # why the known queues cannot be read

    def queues(self) -> list[str]:
        """The queues to take jobs from now, in order of priority."""
        return [queue for queue in self._queues if queue not in self._pauses.queues]

    @property
    def paused(self) -> bool:
        return self._pauses.everything

    def warn_of_misspelt(self) -> None:
        """Warn of a queue that was named and is not there, if its name is like that of another."""
        named = self._queue_list.named
        with contextlib.suppress(WrongKeyType):  # told when queues are looked for
            known = {*self._store.known_queues(), *registry.queues()}
            for name in sorted(named - known):
                hint = did_you_mean(name, known - named)
                if hint.endswith("?"):
                    log.warning("There is no queue %s yet%s", name, hint)

    def finish_and_reserve(self, *, look_again: bool = False) -> Reserved | None:
        """Write the last outcome and take the next job; None if there is none to take.

        `look_again` has the known queues read anew before.
        """
        self._tally.run_if_due()
        self._stale = self._stale or look_again
        while True:
            before = self._read_known()
            step = self._step(before)
            if step.found in ("job", "unread"):
                log.debug("Found job on %s", step.queue)
                return self._read(step)
            if step.found == "paused" or self._read_known() == before:
                return None

    def finish_last(self) -> None:
        """Write what became of the last job, if that is still to be written."""
        if self.finish is not NOTHING:
            self._step(None)

    # --- the step

    def _step(self, queues: list[str] | None) -> Step:
        """One step. For a job that another has rescued it counts nothing."""
        if queues is not None and log.isEnabledFor(logging.DEBUG):
            for queue in queues:
                log.debug("Checking %s", queue)
        step = self._store.step(self.finish, queues)
        finish, self.finish = self.finish, NOTHING
        if step.finish == "gone":
            log.warning("The job was rescued by another while it ran: nothing is counted")
        if finish.verb in ("lost", "later") and step.finish == "failed":
            if finish.verb == "lost":
                log.error("The job was lost %d times and has failed", self._settings.max_attempts)
            else:
                log.error("An equal job has used up its retries: the job has failed")
            if self.if_failed is not None:
                self.failed.append(self.if_failed)
        if queues is not None and (step.found == "paused" or step.paused or self._pauses.any):
            self._pauses.note(step, queues)
        self._stale = self._stale or step.known != len(self._known)
        self.more = step.more
        if step.waited is not None:
            self._tally.note_wait(step.queue, step.waited)
        if step.wrong or self._wrong:
            self._complain_of(step.wrong)
        return step

    def _read(self, step: Step) -> Reserved:
        """What was reserved, as far as it can be read here."""
        raw = step.raw
        problem: BaseException | None = None
        payload: Payload | None = None
        try:
            if WRAPPED in raw:
                raw = self._bytes_of(raw)
            take = Payload.take if self._settings.fork_per_job else Payload.parse
            payload = take(raw, self._settings.max_payload)
            if payload.decoded:
                registry.find(payload.class_name)
                if MARK in raw:
                    refuse_redacted(payload)
        except (UnreadablePayload, UnknownJob) as error:
            problem = error
            payload = payload or Payload.undecoded(raw)
        self._store.counted_by = raw
        if problem is None and step.found == "unread" and payload.decoded:
            self._store.describe(payload.class_name, payload.portable)
        job = Reservation(step.queue, payload, step.run_at)
        if job.id and problem is None and not self._tracker.begin(job):
            problem = JobKilled()
        if step.retries and problem is None and (job.retry or not payload.decoded):
            state = self._store.retry_state(digest_of(payload))
            if state is not None:
                job = replace(job, failures=state.failures, first_failed=state.first)
        return Reserved(job, problem)

    def _bytes_of(self, raw: bytes) -> bytes:
        """The payload that a failed entry may have wrapped. Raises UnreadablePayload."""
        key = key_of(raw)
        if key is None:
            return unwrapped(raw)
        kept = self._store.redeem(key)
        if kept is None:
            raise UnreadablePayload(
                f"The payload names the Redis key {key!r}, where its bytes were kept, "
                "and they are no longer there."
            )
        return unwrapped(kept)

    def describe(self, reservation: Reservation) -> None:
        """A child has read the payload of the job on record, which was too large for us."""
        self._tracker.describe(reservation)
        self._store.describe(reservation.class_name, reservation.payload.portable)

    def _read_known(self) -> list[str]:
        """The queues to look at, with those that have appeared since they were last read."""
        if self._stale and self._queue_list.is_dynamic:
            try:
                self._known, self._unreadable = self._store.known_queues(), ""
            except WrongKeyType as problem:
                if self._unreadable != str(problem):
                    log.error("%s", problem)
                self._known, self._unreadable = [], str(problem)
            self._queues = self._queue_list.over(self._known)
        self._stale = False
        return self._queues

    def _complain_of(self, wrong: Sequence[str]) -> None:
        for key in set(wrong) - self._wrong:
            log.error(
                "The Redis key %r is not a list, so it cannot be served; rename or delete it", key
            )
        self._wrong = set(wrong)
