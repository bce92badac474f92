"""What is written about a job that has ended."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..child.performer import Performer
from ..errors import GiveUp, PoisonPill
from ..failure import FailedEntries
from ..job.progress import Progress
from ..job.reservation import Reservation
from ..metrics.names import label
from ..metrics.tally import Tally
from ..policies import Action, Outcome, Policies
from ..settings import Settings
from ..store.retries import Comeback
from ..store.worker_store import NOT_TRACKED, Counted, Finish, Tracked
from ..system.service import Stop
from ..wire.delayed import delayed_item, digest_of
from .job_log import log_end
from .tracking import status_after

log = logging.getLogger("resque_fork")


class Finisher:
    """Asks the policies, has hooks run for a job whose process is dead, logs and adds up."""

    def __init__(
        self,
        settings: Settings,
        entries: FailedEntries,
        worker_id: str,
        performer: Performer,
        stop: Stop,
        tally: Tally,
    ) -> None:
        self._policies = Policies.of(settings)
        self._max_attempts = settings.max_attempts
        self._entries = entries
        self._worker_id = worker_id
        self._performer = performer
        self._stop = stop
        self._tally = tally

    def finish_of(
        self, job: Reservation, outcome: Outcome, progress: Progress | None = None
    ) -> Finish:
        """What the next step is to write. `progress` is how far the job was, if it is known."""
        if outcome.warning:
            log.warning("%s", outcome.warning)
        action = self._policies.of_end(job, replace(outcome, worker_stops=self._stop.asked))
        if action.verb != "done" or log.isEnabledFor(logging.INFO):
            log_end(job, outcome, action)
        self._tally.note_job(job.class_name, outcome.usage)
        saved = outcome.saved
        if outcome.error is not None and action.verb in ("failed", "later"):
            later = action if action.verb == "later" else None
            saved = self._performer.handle_failure(job, outcome.error, later)
        tracked = status_after(job, action, progress, outcome.result) if job.id else NOT_TRACKED
        return finish_of(
            job, action, self._entries, self._worker_id, tracked, saved=saved, cause=outcome.cause
        )

    def error_of(self, outcome: Outcome, finish: Finish) -> BaseException:
        """What on_failure hooks get of a job that is to come back, if the step fails it instead."""
        if finish.verb == "lost":
            return PoisonPill.of(self._max_attempts, outcome.error)
        if outcome.error is not None or outcome.failure is None:
            return outcome.error or GiveUp()
        return GiveUp(f"{outcome.failure.exception}: {outcome.failure.error}")


def finish_of(
    job: Reservation,
    action: Action,
    entries: FailedEntries,
    worker_id: str,
    tracked: Tracked,
    *,
    saved: bool = False,
    cause: str = "",
) -> Finish:
    """What an action means for Redis. `tracked` is what is then known of the job, `saved` says that
    other backends have had the failure, `cause` what the job's process died of.
    """
    # of a job that has failed before, whose end is the end of that count
    digest = digest_of(job.payload) if job.first_failed else ""
    counted = Counted(label(job.queue), label(job.class_name), cause)
    if action.failure is None or action.verb == "killed":
        return Finish(action.verb, digest=digest, counted=counted, tracked=tracked)
    written = entries.of(job, action.failure, worker_id, saved=saved)
    if action.verb != "later" or job.retry is None:
        return Finish(action.verb, written, digest, counted=counted, tracked=tracked)
    queue = job.retry.queue or job.queue
    comeback = Comeback(
        seconds=action.seconds,
        retries=job.retry.attempts if action.counts else None,
        queue=queue,
        item=delayed_item(job.payload, queue),
        exception=action.failure.exception,
        error=action.failure.error,
    )
    return Finish("later", written, digest_of(job.payload), comeback, counted, tracked)
