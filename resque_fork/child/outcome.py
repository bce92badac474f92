"""What became of a job: told from its child's reports and end, and from nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import DirtyExit, JobKilled, JobTimeout, TermException, signal_name
from ..policies.outcome import (
    BROKEN,
    BY_KILL,
    BY_MEMORY,
    BY_STOP,
    BY_TIMEOUT,
    DONE,
    EXIT,
    FAILED,
    KILLED,
    LOST,
    STOPPED,
    UNKNOWN,
    Outcome,
)
from ..system import process
from .report import Done, Failed, Handled


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a child ended a job, or itself.

    `wait_status` is 0 while it lives or once it has finished, when its exit does not count;
    None if it is not known. `stop_signals` and `limit_signals` are the names of the signals that
    it was sent to stop it, and because the job exceeds a limit or is killed, as `exceeded` says;
    `term_timeout` is in seconds.
    """

    pid: int
    job: object = "The job"
    report: Done | Failed | None = None
    handled: Handled | None = None
    wait_status: int | None = 0
    stopped: bool = False
    stop_signals: Sequence[str] = ()
    term_child: bool = True
    term_timeout: float = 0.0
    exceeded: str = ""
    limit_signals: Sequence[str] = ()
    killed: bool = False
    near_limit: str = ""
    broken: str = ""

    def may_have_died_of(self, *signals: int) -> bool:
        """Whether one of these signals ended it, as far as that is known."""
        status = self.wait_status
        return status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in signals)


OF_LIMITS = (signal.SIGTERM, signal.SIGKILL, process.LIMIT_SIGNAL, process.KILL_SIGNAL)


def outcome_of(end: ChildEnd) -> Outcome:
    """The rules.

    0. A child that sends something else than reports has failed, even if it had reported
       success. If it had reported a failure, that failure stands.
    1. No report, no success: whatever the exit status.
    2. "performed" holds, unless the child then died of something else than us: of our
       impatience with its leaving, or of being stopped at that moment; or unless the job
       exceeded a limit and ignored its JobTimeout.
    3. A failure that was reported holds, whatever came after. One that a stop explains is a stop.
    4. A child that we stopped, that exceeded a limit, or whose job we killed, died of that.
    5. One that died of another signal is lost. If it was close to its limit of memory, the
       error says so.
    6. Of a status that is not known, the child died of what we did, or else of itself; after
       its report it left in good order.
    """
    if end.broken and not isinstance(end.report, Failed):
        what = f"what it sent to its worker is not a report ({end.broken})"
        return Outcome.of(FAILED, DirtyExit(f"Child process {end.pid} was killed: {what}"), BROKEN)
    if isinstance(end.report, Failed):
        return _reported(end, end.report)
    if end.report is not None:
        return replace(_done(end), used=end.report.used, result=end.report.result)
    if end.exceeded and end.may_have_died_of(*OF_LIMITS):
        return _over_limit(end)
    if end.stopped and end.may_have_died_of(signal.SIGTERM, signal.SIGKILL):
        return Outcome.of(STOPPED, _stop(end), BY_STOP)
    return _lost(end)


def _done(end: ChildEnd) -> Outcome:
    if end.killed and end.may_have_died_of(signal.SIGKILL):
        return Outcome(DONE, warning=f"Child {end.pid} was killed after its job was done")
    if end.wait_status:
        return _lost(end)
    if end.exceeded and "TERM" in end.limit_signals:
        return replace(_over_limit(end), cause="")
    if "TERM" in end.stop_signals:
        return Outcome(DONE, warning=f"{end.job} was sent TERM and returned: it is done")
    return Outcome(DONE)


def _reported(end: ChildEnd, report: Failed) -> Outcome:
    """Of a child that reported how its job failed: whether that was of itself."""
    told = end.handled or report
    saved = end.handled is not None and end.handled.saved
    failure = replace(told.failure, forensics=report.used)
    if report.failure.exception == JobKilled.wire_name:
        return Outcome(KILLED, failure)
    by_term = report.failure.exception == TermException.wire_name or report.after_term
    if end.exceeded and by_term:
        over = _over_limit(end)
        if over.failure is not None:
            failure = replace(failure, exception=over.failure.exception, error=over.failure.error)
        error = over.error if report.left_to_worker else None
        return Outcome(over.kind, failure, error, saved=saved)
    error = TermException(failure.error) if report.left_to_worker else None
    if not (end.stopped and (by_term or ("TERM" in end.stop_signals and report.leaving))):
        return Outcome(FAILED, failure, error, saved=saved, by_term=by_term, action=report.action)
    if report.leaving:
        return Outcome(STOPPED, failure, error, saved=saved)
    warning = f"{end.job} was stopped, and raised {failure.exception}: {failure.error}"
    return Outcome(STOPPED, failure, error, saved=saved, warning=warning)


def _stop(end: ChildEnd) -> BaseException:
    if not end.term_child:
        return DirtyExit.of(end.pid, end.wait_status)
    if "KILL" in end.stop_signals:
        late = f"it was still running {end.term_timeout:g} seconds later"
        return TermException(f"SIGTERM (killed: {late})")
    return TermException("SIGTERM")


def _over_limit(end: ChildEnd) -> Outcome:
    """It exceeded a limit, or was killed. The limit of memory is not announced to a job."""
    text = f"{end.exceeded} (sent: {', '.join(end.limit_signals)})"
    if "JobKilled" in end.limit_signals:
        return Outcome.of(KILLED, JobKilled(text), BY_KILL)
    if "JobTimeout" in end.limit_signals:
        return Outcome.of(FAILED, JobTimeout(text), BY_TIMEOUT)
    return Outcome.of(FAILED, MemoryError(text), BY_MEMORY)


def _lost(end: ChildEnd) -> Outcome:
    cause, status = UNKNOWN, end.wait_status
    if status is not None:
        cause = signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else EXIT
    return Outcome.of(LOST, DirtyExit.of(end.pid, status, end.near_limit), cause)
