"""Dead workers are found here and removed, their jobs rescued.

Two ways of finding them: on this host by their processes, at once and without
any lock; anywhere by heartbeats that stopped, under a lock of our own. However many
find the same one, it is rescued once. A Ruby worker that finds one of ours first
removes all that it knows of, but not a job in ``fork:unread:<id>``: so both ways
also look at ``fork:workers``, which only we write.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import (
    DirtyExit,
    JobLost,
    PoisonPill,
    PruneDeadWorkerDirtyExit,
    RedisRefused,
    UnreadablePayload,
)
from ..failure import FailedEntries
from ..job.registry import registry
from ..job.reservation import Reservation
from ..job.retry import Retry
from ..policies import Action, Policies
from ..policies.outcome import BY_WORKER, FAILED, LOST, Outcome
from ..settings import Settings
from ..store.worker_store import NOT_TRACKED, digest
from ..store.workers import Found, WorkerId, Workers
from ..system.identity import Identity
from ..wire.delayed import digest_of
from ..wire.job import MAX_PAYLOAD, Payload
from ..wire.record import WorkerRecord
from ..wire.unreadable import unwrapped
from .finish import finish_of
from .tracking import status_after

log = logging.getLogger("resque_fork")

LOOK_AROUND = 4.0  # seconds between two looks of a worker at the processes of its host
FOREIGN_BEATS = 2 * 60.0  # seconds: two of Ruby's heartbeat intervals
BUSY_SECONDS = 0.2  # between two looks at a worker that another rescuer has in hand
# What became of the job of a worker that was removed, in words.
WHAT_BECAME = {
    "rescued": "it had no job",
    "failed": "its job is in the failed list",
    "requeued": "its job is back in its queue",
    "later": "its job is retried later",
}
CHECKED_AT_ONCE = 20  # living workers that one look makes sure of: five hundred start together


class Pruner:
    """Looks for dead workers on behalf of one worker, or of an operator.

    `rescued` are the jobs that went to the failed list, or are retried later, each with the
    error that explains it, and the action if it is retried. `sleep` waits so many seconds.
    """

    def __init__(
        self,
        workers: Workers,
        settings: Settings,
        entries: FailedEntries,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.fleet = self.neighbours = 1  # workers at the last look, anywhere and on this host
        self._workers = workers
        self._settings = settings
        self._entries = entries
        self.rescued: list[tuple[Reservation, JobLost, Action | None]] = []
        self._policies = Policies.of(settings)
        self._sleep = sleep
        self._hostname = socket.gethostname()
        self._alive: dict[str, Identity] = {}  # what was found alive, and needs no second look
        self._stuck: dict[str, str] = {}  # whom it cannot rescue, and why, which is said once
        self._to_check = CHECKED_AT_ONCE

    def prune(self, queues: Sequence[str] = ("*",)) -> list[tuple[str, str]]:
        """Rescue all that are found dead now: ids, each with one of the words of `WHAT_BECAME`."""
        return self.prune_here(queues, self._workers.all_ids()) + self.prune_everywhere()

    def prune_here(
        self, queues: Sequence[str], ids: Sequence[str], but: str = ""
    ) -> list[tuple[str, str]]:
        """Rescue those of all workers that ran on this host and whose processes are gone.

        `but` is the asking worker.
        """
        self.fleet = max(1, len(ids))
        here = [w for w in map(WorkerId.parse, ids) if w.host == self._hostname and w.text != but]
        self.neighbours = 1 + len(here)
        self._alive = {w.text: self._alive[w.text] for w in here if w.text in self._alive}
        self._to_check = CHECKED_AT_ONCE
        return self._rescued(
            [w.text for w in here],
            lambda _: _left_behind(),
            lambda worker_id: self._is_dead_here(WorkerId.parse(worker_id), queues),
        )

    @property
    def stuck(self) -> dict[str, str]:
        """The workers that could not be rescued at the last look, and why."""
        return dict(self._stuck)

    def pause(self) -> float:
        """Seconds until the next `prune_here`.

        All workers of a host together look often enough, and each look asks for
        the ids of the whole fleet.
        """
        crowd = self.neighbours / 20 + self.fleet / 250
        return LOOK_AROUND * (1 + crowd) * random.uniform(0.75, 1.25)

    def prune_everywhere(self, but: str = "") -> list[tuple[str, str]]:
        """Rescue workers of any host whose heartbeats stopped longer ago than prune_interval.

        Of a worker of ours without a heartbeat, which a Ruby worker removed, the one
        counts that it notes under ``fork:<id>``; one with neither is dead. With its next
        heartbeat a living one has both again.
        """
        beats = self._workers.heartbeats()
        now = self._workers.now()
        ours = [i for i in self._workers.own_ids() if i not in beats]

        def is_dead(worker_id: str) -> bool:
            there = worker_id in beats
            beat = beats[worker_id] if there else self._workers.own_heartbeat(worker_id)
            return beat is not None and int(now - beat) > self._settings.prune_interval

        return self._rescued(
            [i for i in (*beats, *ours) if i != but],
            lambda found: PruneDeadWorkerDirtyExit.by(found.worker_id, _class_of(found)),
            is_dead,
        )

    def prune_under_lock(self, worker_id: str) -> list[tuple[str, str]]:
        """`prune_everywhere`, if no other worker of the fleet has done so in the last minute."""
        if self._workers.lock_pruning(worker_id, 60):
            return self.prune_everywhere(but=worker_id)
        return []

    def remove(self, worker_id: str) -> str:
        """Remove one worker with its job, dead or not; says what became of it."""
        while (answer := self._rescue(worker_id, lambda _: _left_behind())) == "busy":
            self._sleep(BUSY_SECONDS)  # its rescuer may have died: then it is our turn
        return answer

    # --- who is dead

    def _is_dead_here(self, worker: WorkerId, queues: Sequence[str]) -> bool:
        if worker.pid is None:
            return False
        now = Identity.of(worker.pid)
        if now is not None:
            if self._alive.get(worker.text) == now or not self._to_check:
                return False  # it is there; another look will tell whether its pid was used again
            self._to_check -= 1
        registered = Identity.from_fields(self._workers.process(worker.text))
        if registered is None:
            return now is None and self._is_dead_foreigner(worker, queues)
        if not registered.is_here():  # another container of the same host name: see its heartbeat
            return False
        if registered.has_exited(worker.pid):
            return True
        if now is not None:
            self._alive[worker.text] = now
        return False

    def _is_dead_foreigner(self, worker: WorkerId, queues: Sequence[str]) -> bool:
        """Ruby's rule, which spares workers of other queues, and a heartbeat that stopped."""
        if "*" not in queues and set(worker.queues) != set(queues):
            return False
        beat = self._workers.heartbeats().get(worker.text)
        return beat is not None and self._workers.now() - beat > FOREIGN_BEATS

    # --- rescuing

    def _rescued(
        self,
        worker_ids: Sequence[str],
        error_of: Callable[[Found], JobLost],
        is_dead: Callable[[str], bool] = lambda worker_id: True,
    ) -> list[tuple[str, str]]:
        """Rescue the dead among these. One that cannot be must not keep us from the others."""
        rescued = []
        for worker_id in worker_ids:
            try:
                if not is_dead(worker_id):
                    continue
                answer = self._rescue(worker_id, error_of, heeding_ruby=True)
            except RedisRefused as problem:
                if self._stuck.get(worker_id) != str(problem):
                    log.error("Cannot rescue what worker %s left: %s", worker_id, problem)
                self._stuck[worker_id] = str(problem)
                continue
            self._stuck.pop(worker_id, None)
            if answer not in ("changed", "busy"):
                log.warning("Pruned dead worker %s: %s", worker_id, WHAT_BECAME[answer])
                rescued.append((worker_id, answer))
        return rescued

    def _rescue(
        self, worker_id: str, error_of: Callable[[Found], JobLost], heeding_ruby: bool = False
    ) -> str:
        attempts = self._settings.max_attempts
        found = self._workers.find(worker_id, attempts)
        if found.busy:
            return "busy"
        if found.record is None:
            return self._workers.rescue(found, heeding_ruby=heeding_ruby)
        answer = "changed"
        try:
            if found.hopeless:
                error: JobLost = PoisonPill(
                    f"{attempts} rescuers died of this job before they had read it. "
                    "Its bytes are kept unread, and come back if it is queued again."
                )
            else:
                error = error_of(found)
            raw, job = _job_of(found, self._settings.max_payload)
            job = self._with_retries(job)
            action = self._policies.of_end(job, _outcome(found, job, error))
            tracked = status_after(job, action) if job.id else NOT_TRACKED
            answer = self._workers.rescue(
                found,
                finish_of(job, action, self._entries, worker_id, tracked, cause=BY_WORKER),
                queue=job.queue,
                raw=raw,
                counted_by=digest(job.payload.raw),
                max_attempts=attempts,
                heeding_ruby=heeding_ruby,
            )
        finally:
            if answer == "changed":
                self._workers.release(worker_id)
        if answer in ("failed", "later") and job.class_name:
            self.rescued.append((job, error, action if answer == "later" else None))
        return answer

    def _with_retries(self, job: Reservation) -> Reservation:
        """The same job with what Redis knows of its retries, whichever application declares it."""
        declared = job.retry
        if job.class_name and job.class_name not in registry.names():
            declared = Retry.from_json(self._workers.declared_retry(job.class_name) or b"")
        if declared is None:
            return job
        state = self._workers.retry_state(digest_of(job.payload))
        failures, first = (state.failures, state.first) if state else (0, 0.0)
        return replace(job, failures=failures, first_failed=first, declared=declared)


def _outcome(found: Found, job: Reservation, error: JobLost) -> Outcome:
    """A job that cannot go back to its queue has failed, and is not merely lost."""
    return Outcome.of(LOST if job.queue and not found.hopeless else FAILED, error)


def _left_behind() -> DirtyExit:
    return DirtyExit("Job still being processed")


def _job_of(found: Found, limit: int) -> tuple[bytes, Reservation]:
    """The payload as it goes back to its queue, and the job as far as it can be read here.

    A record that cannot be read is a payload that cannot be read.
    """
    raw, queue = found.record or b"", found.queue or found.process.get("queue", "")
    if not found.unread and not found.hopeless:
        try:
            record = WorkerRecord.parse(raw)
            queue, raw = record.queue, record.raw
        except (ValueError, RecursionError):
            queue = ""
    inner = unwrapped(raw)
    try:
        payload = Payload.take(inner, limit)
    except UnreadablePayload:
        payload = Payload.undecoded(inner)
    if not payload.decoded:
        payload = replace(payload, class_name=found.class_name, vouched=found.portable)
    return raw, Reservation(queue, payload)


def _class_of(found: Found) -> str | None:
    return _job_of(found, MAX_PAYLOAD)[1].class_name or None
