"""What is written about a job that has ended."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..child.performer import Performer
from ..failure import FailedEntries
from ..job.reservation import Reservation
from ..policies import Action, Outcome, Policies
from ..policies.outcome import FAILED, NOT_STARTED
from ..settings import Settings
from ..store.worker_store import Finish
from ..system.service import Stop

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
        if action.failure is None:
            return Finish(action.verb)
        saved = outcome.saved
        if action.verb == "failed" and outcome.error is not None:
            saved = self._performer.handle_failure(job, outcome.error)
        entries = self._entries.of(job, action.failure, self._worker_id, saved=saved)
        return Finish(action.verb, entries)


def _log(job: Reservation, outcome: Outcome, action: Action) -> None:
    failure = outcome.failure
    if action.verb == "failed" and action.failure is not None:
        log.error("%s failed: %s: %s", job, action.failure.exception, action.failure.error)
    elif action.verb == "lost":
        log.error("%s was lost: %s", job, outcome.error)
    elif outcome.kind == NOT_STARTED and outcome.error is not None:
        log.error("%s could not be started: %s", job, outcome.error)
    elif outcome.kind == FAILED and failure is not None:
        end = "goes back to its queue" if action.verb == "back" else "counts as done"
        what = f"{failure.exception}: {failure.error}"
        log.warning("%s raised %s, and %s by a policy", job, what, end)
    elif action.verb == "back":
        log.warning("%s was stopped and goes back to its queue", job)
    else:
        log.info("done: %s", job)
