"""What became of a job: judged from its child's words and end, and from nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DirtyExit, JobTimeout, TermException
from ..failure import Failure
from ..system import process
from ..system.process import End
from . import report


@dataclass(frozen=True)
class Verdict:
    """``done``; ``failed``, by its own exception; ``stopped``, because we stopped it; ``lost``;
    or ``unperformed``, because there was no process to be had for it.

    `error` is an exception that stands for the death of a child, which never
    raised one itself. `saved` says that hooks and other backends have had it. `told` is the
    class of a payload that only the child has read, and whether it is portable.
    """

    kind: str
    failure: Failure | None = None
    error: BaseException | None = None
    saved: bool = False
    warning: str = ""
    told: tuple[str, bool] | None = None

    def explained(self, forensics: Mapping[str, Any]) -> Verdict:
        """The same verdict with what is known of the dead child."""
        failure = self.failure.explained(forensics) if self.failure else None
        return replace(self, failure=failure)


DONE = Verdict("done")


def judge(
    *,
    pid: int,
    word: dict[str, Any] | None,
    settled: dict[str, Any] | None,
    end: End | None,
    job: object = "The job",
    stopped: bool = False,
    sent_term: bool = False,
    killed: bool = False,
    killed_after_grace: bool = False,
    term_child: bool = True,
    term_timeout: float = 0.0,
    over: str = "",
    steps: Sequence[str] = (),
    near_limit: str = "",
    broken: str = "",
) -> Verdict:
    """The rules.

    0. Who sends what is no report has failed, whatever was said before; a failure that was
       told stays what it is.
    1. No word, no success: whatever the exit status.
    2. "performed" holds, unless the child then died of something else than us:
       of our impatience with its leaving, or of being stopped at that moment; or unless
       the job was over a limit and minded no JobTimeout.
    3. A failure that was told holds, whatever came after. One that a stop explains is a stop.
    4. A child that we stopped, or that went over a limit, died of that.
    5. One that died of another signal close to its limit of memory may have died of that.
    6. Of a status that is not known, the child died of what we did, or else of itself; after
       its word it left in good order.
    """
    status = end.wait_status if end else 0
    if broken and (word is None or word["word"] in report.DONE):
        error: BaseException = DirtyExit(
            f"Child process {pid} was killed: what it sent its worker is no report ({broken})"
        )
        return Verdict("failed", Failure.of(error), error)
    if word is not None and word["word"] in report.DONE:
        if killed and _may_have_died_of(status, signal.SIGKILL):
            return Verdict("done", warning=f"Child {pid} was killed after its job was done")
        if status:
            return _lost(DirtyExit.of(pid, status, near_limit))
        if over and "TERM" in steps:
            return _over(over, steps)
        if sent_term:
            return Verdict("done", warning=f"{job} was sent TERM and returned: it is done")
        return DONE
    if word is not None:
        return _told(word, settled, job, stopped, sent_term, over, steps)
    if over and _may_have_died_of(status, signal.SIGTERM, signal.SIGKILL, process.LIMIT_SIGNAL):
        return _over(over, steps)
    if stopped and _may_have_died_of(status, signal.SIGTERM, signal.SIGKILL):
        if not term_child:
            error = DirtyExit.of(pid, status)
        elif killed_after_grace:
            error = TermException(
                f"SIGTERM (killed: it was still running {term_timeout:g} seconds later)"
            )
        else:
            error = TermException("SIGTERM")
        return Verdict("stopped", Failure.of(error), error)
    return _lost(DirtyExit.of(pid, status, near_limit))


def _told(
    word: Mapping[str, Any],
    settled: Mapping[str, Any] | None,
    job: object,
    stopped: bool,
    sent_term: bool,
    over: str,
    steps: Sequence[str],
) -> Verdict:
    """Of a child that told how its job failed: whether that was of itself."""
    told = settled or word
    saved = bool(settled and settled["saved"])
    failure = Failure(told["exception"], told["error"], told["backtrace"], word["used"])
    by_term = word["exception"] == TermException.wire_name or word.get("after_term") is True
    if over and by_term:
        error = _over_limit(over, steps)
        text = Failure.of(error)
        return Verdict(
            "failed", replace(failure, exception=text.exception, error=text.error), saved=saved
        )
    if not (stopped and (by_term or (sent_term and word.get("leaving")))):
        return Verdict("failed", failure, saved=saved)
    if word.get("leaving"):
        return Verdict("stopped", failure, saved=saved)
    warning = f"{job} was stopped, and raised {failure.exception}: {failure.error}"
    return Verdict("stopped", failure, saved=saved, warning=warning)


def _over(over: str, steps: Sequence[str]) -> Verdict:
    error = _over_limit(over, steps)
    return Verdict("failed", Failure.of(error), error)


def _over_limit(over: str, steps: Sequence[str]) -> BaseException:
    kind = JobTimeout if "JobTimeout" in steps else MemoryError  # which is not announced
    return kind(f"{over} (sent: {', '.join(steps)})")


def _lost(error: DirtyExit) -> Verdict:
    return Verdict("lost", Failure.of(error), error)


def _may_have_died_of(status: int | None, *signals: int) -> bool:
    return status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in signals)
