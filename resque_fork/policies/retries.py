"""Jobs that declare ``retry=`` are performed again when they have failed."""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import DirtyExit, GiveUp, JobLost, RetryLater
from ..failure import Failure
from ..job.reservation import Reservation
from ..job.retry import Retry
from ..text import LONGEST_DELAY, parse_seconds
from .action import Action
from .outcome import LOST, STOPPED, Outcome
from .policy import Policy

FAIL = Action("failed")


class Retries(Policy):
    """Applies the job's `Retry`, to what it raised and to deaths alike.

    A job that is stopped together with its worker goes back to its queue at once, and that is
    no attempt. One that is stopped alone was stopped by a person: it fails.
    """

    def of_exception(self, job: Reservation, error: BaseException) -> Action | None:
        retry = job.retry
        if retry is None:
            if isinstance(error, RetryLater):
                error.add_note(f"The job has failed: {job.class_name} declares no retry=.")
            return None
        return decide(retry, job, error, time.time())

    def of_end(self, job: Reservation, outcome: Outcome) -> Action | None:
        retry, error = job.retry, outcome.error
        if retry is None:
            return None
        if outcome.worker_stops and (outcome.by_term or outcome.kind in (STOPPED, LOST)):
            return Action.PUT_BACK
        if outcome.kind == STOPPED or error is None or not (job.queue or retry.queue):
            return None
        if isinstance(error, JobLost) and not isinstance(error, DirtyExit):  # it is no job here
            return None
        action = decide(retry, job, error, time.time())
        if action is None and not retry.applies_to(error):
            return None  # --on-lost decides
        return replace(action or FAIL, failure=outcome.failure or Failure.of(error))


def decide(retry: Retry, job: Reservation, error: BaseException, now: float) -> Action | None:
    """What becomes of a job that ended with this error: retried, or None."""
    number = job.failures + 1
    seconds = _asked_for(error)
    if seconds is not None:
        if not getattr(error, "counts", True):
            return Action("later", seconds=seconds, counts=False)
    elif isinstance(error, GiveUp) or not retry.applies_to(error):
        return None
    else:
        seconds = retry.seconds_before(number)
    if number > retry.attempts or not retry.is_in_time(now, job.first_failed or now, seconds):
        return None
    return Action("later", seconds=seconds)


def _asked_for(error: BaseException) -> float | None:
    """The seconds of a RetryLater; None if a subclass has made something else of them."""
    if not isinstance(error, RetryLater):
        return None
    try:
        seconds = parse_seconds(error.seconds)
    except (AttributeError, ValueError):  # its __init__ has not called ours
        return None
    return seconds if seconds <= LONGEST_DELAY else None
