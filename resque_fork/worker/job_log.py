"""The line of the log for each end of a job."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import RetryLater
from ..failure import Failure
from ..job.reservation import Reservation
from ..policies import Action, Outcome
from ..policies.outcome import FAILED, NOT_STARTED
from ..text import duration

log = logging.getLogger("resque_fork")


def log_end(job: Reservation, outcome: Outcome, action: Action) -> None:
    """What became of a job, and with -v where it failed. In JSON it has fields of its own."""
    failure = action.failure or outcome.failure
    level, text = _line(job, outcome, action, failure)
    if not log.isEnabledFor(level):
        return
    told = failure.backtrace if failure and log.isEnabledFor(logging.INFO) else ()
    fields = _fields(job, outcome, action, failure)
    log.log(level, "%s", text, extra={"fields": fields, "backtrace": told})


def _line(
    job: Reservation, outcome: Outcome, action: Action, failure: Failure | None
) -> tuple[int, str]:
    what = f"{failure.exception}: {failure.error}".removesuffix(": ") if failure else ""
    place = _place(failure)
    if action.verb == "failed":
        return logging.ERROR, f"{job} failed: {_with_number(what, job)}{place}"
    if action.verb == "lost":
        return logging.ERROR, f"{job} was lost: {outcome.error}"
    if action.verb == "killed":
        return logging.WARNING, f"{job} was killed on request"
    if action.verb == "later":
        again = _again_in(action.seconds)
        if failure and failure.exception == RetryLater.__name__:
            return logging.INFO, f"{job} is performed {again}, as it asked"
        return logging.WARNING, f"{job} failed: {_with_number(what, job)}, {again}{place}"
    if outcome.kind == NOT_STARTED and outcome.error is not None:
        return logging.ERROR, f"{job} could not be started: {outcome.error}"
    if outcome.kind == FAILED and outcome.action is not None:
        end = "goes back to its queue" if action.verb == "back" else "counts as done"
        return logging.WARNING, f"{job} raised {what}, and {end} by a policy{place}"
    if action.verb == "back":
        return logging.WARNING, f"{job} was stopped and goes back to its queue"
    took = f" in {outcome.used['wall_ms'] / 1000:.3f} s" if "wall_ms" in outcome.used else ""
    return logging.INFO, f"done: {job}{took}"


def _fields(
    job: Reservation, outcome: Outcome, action: Action, failure: Failure | None
) -> Mapping[str, Any]:
    used = outcome.usage
    fields: dict[str, Any] = {
        "job": str(job),
        "queue": job.queue,
        "class": job.class_name,
        "attempt": job.failures + 1,
        "outcome": action.verb,
    }
    if "wall_ms" in used:
        fields["wall_ms"] = used["wall_ms"]
        fields["cpu_ms"] = used.get("user_ms", 0) + used.get("system_ms", 0)
        fields["rss_growth_kb"] = used.get("rss_growth_kb", 0)
    if failure:
        fields["exception"], fields["error"] = failure.exception, failure.error
    return fields


def _place(failure: Failure | None) -> str:
    """The innermost line, as in `` (jobs.py:121 in charge)``; empty if it is not known."""
    innermost = failure.backtrace[0] if failure and failure.backtrace else ""
    found = re.fullmatch(r"(.+):(\d+):in (.+)", innermost)
    return f" ({os.path.basename(found[1])}:{found[2]} in {found[3]})" if found else ""


def _with_number(what: str, job: Reservation) -> str:
    """And which attempt of a job it was, if it has several."""
    if job.retry is None:
        return what
    return f"{what.removesuffix('.')}. Attempt {job.failures + 1} of {job.retry.attempts + 1}"


def _again_in(seconds: float) -> str:
    if not seconds:
        return "again at once"
    return f"again in {seconds:.3g} s" if seconds < 60 else f"again in {duration(seconds)}"
