"""What is written about a job that has ended."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..child.performer import Performer
from ..errors import GiveUp, PoisonPill, RetryLater
from ..failure import FailedEntries
from ..job.reservation import Reservation
from ..policies import Action, Outcome, Policies
from ..policies.outcome import FAILED, NOT_STARTED
from ..settings import Settings
from ..store.retries import Comeback
from ..store.worker_store import Finish
from ..system.service import Stop
from ..text import duration
from ..wire.delayed import delayed_item, digest_of

log = logging.getLogger("resque_fork")


class Finisher:
    """Asks the policies, has hooks run for a job whose process is dead, and logs what happens."""

    def __init__(
        self,
        settings: Settings,
        entries: FailedEntries,
        worker_id: str,
        performer: Performer,
        stop: Stop,
    ) -> None:
        self._policies = Policies.of(settings)
        self._max_attempts = settings.max_attempts
        self._entries = entries
        self._worker_id = worker_id
        self._performer = performer
        self._stop = stop

    def finish_of(self, job: Reservation, outcome: Outcome) -> Finish:
        """What the next step is to write."""
        if outcome.warning:
            log.warning("%s", outcome.warning)
        action = self._policies.of_end(job, replace(outcome, worker_stops=self._stop.asked))
        _log(job, outcome, action)
        saved = outcome.saved
        if outcome.error is not None and action.verb in ("failed", "later"):
            later = action if action.verb == "later" else None
            saved = self._performer.handle_failure(job, outcome.error, later)
        return finish_of(job, action, self._entries, self._worker_id, saved=saved)

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
    *,
    saved: bool = False,
) -> Finish:
    """What an action means for Redis. `saved` says that other backends have had the failure."""
    # of a job that has failed before, whose end is the end of that count
    digest = digest_of(job.payload) if job.first_failed else ""
    if action.failure is None:
        return Finish(action.verb, digest=digest)
    written = entries.of(job, action.failure, worker_id, saved=saved)
    if action.verb != "later" or job.retry is None:
        return Finish(action.verb, written, digest)
    queue = job.retry.queue or job.queue
    comeback = Comeback(
        seconds=action.seconds,
        retries=job.retry.attempts if action.counts else None,
        queue=queue,
        item=delayed_item(job.payload, queue),
        exception=action.failure.exception,
        error=action.failure.error,
    )
    return Finish("later", written, digest_of(job.payload), comeback)


def _log(job: Reservation, outcome: Outcome, action: Action) -> None:
    failure = action.failure or outcome.failure
    what = f"{failure.exception}: {failure.error}" if failure else ""
    if action.verb == "failed":
        log.error("%s failed: %s%s", job, what, _number(job))
    elif action.verb == "lost":
        log.error("%s was lost: %s", job, outcome.error)
    elif action.verb == "later" and failure and failure.exception == RetryLater.__name__:
        log.info("%s is performed %s, as it asked", job, _again_in(action.seconds))
    elif action.verb == "later":
        log.warning("%s failed: %s%s, %s", job, what, _number(job), _again_in(action.seconds))
    elif outcome.kind == NOT_STARTED and outcome.error is not None:
        log.error("%s could not be started: %s", job, outcome.error)
    elif outcome.kind == FAILED and outcome.action is not None:
        end = "goes back to its queue" if action.verb == "back" else "counts as done"
        log.warning("%s raised %s, and %s by a policy", job, what, end)
    elif action.verb == "back":
        log.warning("%s was stopped and goes back to its queue", job)
    else:
        log.info("done: %s", job)


def _number(job: Reservation) -> str:
    """Which attempt of a job it was, if it has several."""
    if job.retry is None:
        return ""
    return f". Attempt {job.failures + 1} of {job.retry.attempts + 1}"


def _again_in(seconds: float) -> str:
    if not seconds:
        return "again at once"
    return f"again in {seconds:.3g} s" if seconds < 60 else f"again in {duration(seconds)}"
