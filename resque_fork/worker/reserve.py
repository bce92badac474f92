"""Two stations of the parent's: reserve a job, and write down what became of it.

They are one step in Redis. The outcome of a job stays here until the step that
writes it has succeeded, and until then the job stays on record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import UnknownJob, UnreadablePayload, WrongKeyType
from ..failure import Backends, Failure
from ..job.registry import registry
from ..job.reservation import Reservation, refuse_redacted
from ..policies import Policies
from ..policies.outcome import FAILED, NOT_STARTED, Outcome
from ..settings import Settings
from ..store.books import NOTHING, Books, FailedEntry, Finish, Step
from ..wire.job import Payload
from ..wire.keys import Keys
from ..wire.queue_list import QueueList
from ..wire.unreadable import key_of, unwrapped

log = logging.getLogger("resque_fork")


class Bookkeeper:
    """`handle_failure` runs the on_failure hooks and other backends for a job that could not
    itself; `stopping` says whether the worker has been told to stop; `attend` has it do
    what is due, between two jobs that fail without a child.

    `paused` says whether the last look found all workers paused by the key, `more`
    whether it left jobs in the queue that it took one from.
    """

    def __init__(
        self,
        books: Books,
        keys: Keys,
        settings: Settings,
        queue_list: QueueList,
        backends: Backends,
        handle_failure: Callable[[Reservation, BaseException], bool],
        stopping: Callable[[], bool],
        attend: Callable[[], None],
    ) -> None:
        self.paused = self.more = False
        self._books = books
        self._keys = keys
        self._settings = settings
        self._queue_list = queue_list
        self._backends = backends
        self._handle_failure = handle_failure
        self._policies = Policies.of(settings)
        self._stopping = stopping
        self._attend = attend
        self._outcome = NOTHING
        self._known: list[str] = []
        self._queues = queue_list.over([])
        self._stale = True  # queues may have appeared that are not known
        self._wrong: set[str] = set()
        self._unreadable = ""  # why the known queues cannot be read

    def queues(self) -> list[str]:
        """The queues to look at now, in order of priority."""
        return self._queues

    def reserve(self, *, look_again: bool = False) -> Reservation | None:
        """Write the last outcome and take the next job; None if there is none to take.

        What cannot be a job is failed on the way. `look_again` has the known
        queues read anew before.
        """
        self._stale = self._stale or look_again
        while not self._stopping():
            before = self._read_known()
            step = self._step(before)
            if step.found in ("job", "unread"):
                log.debug("Found job on %s", step.queue)
                reservation = self._read(step)
                if reservation is not None:
                    return reservation
                self._attend()
            else:
                self.paused = step.found == "paused"
                if self.paused or self._read_known() == before:
                    return None
        return None

    def conclude(self, job: Reservation, outcome: Outcome) -> None:
        """Decide what is to be written about a job. The next step writes it."""
        if outcome.warning:
            log.warning("%s", outcome.warning)
        action = self._policies.of_end(job, replace(outcome, worker_stops=self._stopping()))
        failure, saved = action.failure, outcome.saved
        if action.verb == "failed" and failure is not None:
            log.error("%s failed: %s: %s", job, failure.exception, failure.error)
            if outcome.error is not None:
                saved = self._handle_failure(job, outcome.error)
        elif action.verb == "lost":
            log.error("%s was lost: %s", job, outcome.error)
        elif outcome.kind == NOT_STARTED:
            log.error("%s could not be started: %s", job, outcome.error)
        elif outcome.failure is not None and outcome.kind == FAILED:
            what, why = outcome.failure.exception, outcome.failure.error
            ends = "goes back to its queue" if action.verb == "back" else "counts as done"
            log.warning("%s raised %s: %s, and %s by a policy", job, what, why, ends)
        elif action.verb == "back":
            log.warning("%s was stopped and goes back to its queue", job)
        else:
            log.info("done: %s", job)
        entries = () if failure is None else self._entries(job, failure, saved)
        self._outcome = Finish(action.verb, entries)

    def put_back(self) -> None:
        """The job that was just reserved is not to be performed after all."""
        self._outcome = Finish("back")

    def done_working(self) -> None:
        """Write what became of the last job, if that is still to be written."""
        if self._outcome is not NOTHING:
            self._step(None)

    # --- the step

    def _step(self, queues: list[str] | None) -> Step:
        """One step of the books. For a job that another has rescued it counts nothing."""
        if queues is not None and log.isEnabledFor(logging.DEBUG):
            for queue in queues:
                log.debug("Checking %s", queue)
        step = self._books.step(self._outcome, queues)
        outcome, self._outcome = self._outcome, NOTHING
        if step.finish == "gone":
            log.warning("The job was rescued by another while it ran: nothing is counted")
        if outcome.verb == "lost" and step.finish == "failed":
            log.error("The job was lost %d times and has failed", self._settings.max_attempts)
        self._stale = self._stale or step.known != len(self._known)
        self.more = step.more
        self._complain_of(step.wrong)
        return step

    def _read(self, step: Step) -> Reservation | None:
        """What was reserved, or None if it is no job that can be performed here."""
        raw, problem = step.raw, None
        payload = Payload.unread(raw)
        try:
            raw = self._bytes_of(raw)
            payload = Payload.unread(raw)
            payload = self._payload_of(raw)
            if payload.decoded:
                registry.find(payload.class_name)
                refuse_redacted(payload)
        except (UnreadablePayload, UnknownJob) as error:
            problem = error
        self._books.count_by(raw)
        reservation = Reservation(step.queue, payload, step.run_at)
        if problem is not None:
            self.conclude(reservation, Outcome.of(FAILED, problem))
            return None
        if step.found == "unread" and payload.decoded:
            self._books.describe(payload.class_name, payload.portable)
        return reservation

    def _bytes_of(self, raw: bytes) -> bytes:
        """The payload that a failed entry may have wrapped. Raises UnreadablePayload."""
        key = key_of(raw)
        if key is None:
            return unwrapped(raw)
        kept = self._books.redeem(key)
        if kept is None:
            raise UnreadablePayload(
                f"The payload names the Redis key {key!r}, where its bytes were kept, "
                "and they are no longer there."
            )
        return unwrapped(kept)

    def _payload_of(self, raw: bytes) -> Payload:
        """Read here if it is small, or if there will be no child to read it."""
        limit = self._settings.max_payload
        if self._settings.fork_per_job:
            return Payload.take(raw, limit)
        return Payload.read(raw, limit)

    def told(self, reservation: Reservation) -> None:
        """A child has read the payload of the job on record, which was too large for us."""
        self._books.describe(reservation.class_name, reservation.payload.portable)

    def _read_known(self) -> list[str]:
        """The queues to look at, with those that have appeared since they were last read."""
        if self._stale and self._queue_list.is_dynamic:
            try:
                self._known, self._unreadable = self._books.known_queues(), ""
            except WrongKeyType as problem:
                if self._unreadable != str(problem):
                    log.error("%s", problem)
                self._known, self._unreadable = [], str(problem)
            self._queues = self._queue_list.over(self._known)
        self._stale = False
        return self.queues()

    def _complain_of(self, wrong: Sequence[str]) -> None:
        for key in set(wrong) - self._wrong:
            log.error(
                "The Redis key %r is not a list, so it cannot be served; rename or delete it", key
            )
        self._wrong = set(wrong)

    def _entries(
        self, reservation: Reservation, failure: Failure, saved: bool
    ) -> list[FailedEntry]:
        entry = failure.entry(
            failed_at=time.time(),
            payload=reservation.shown,
            worker=self._books.worker_id,
            queue=reservation.queue,
        )
        return self._backends.entries(entry, self._keys, reservation.queue, saved)
