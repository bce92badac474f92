"""What became of a job: judged from its child's words and end, and from nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import process, report
from .errors import DirtyExit, JobTimeout, TermException
from .failure import Failure
from .process import End


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
    stopped: bool = False,
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
       of our impatience with its leaving, or of being stopped at that moment.
    3. A failure that was told holds, whatever came after.
    4. A child that we stopped, or that went over a limit, died of that.
    5. One that died of another signal close to its limit of memory may have died of that.
    """
    status = end.wait_status if end else 0
    if broken and (word is None or word["word"] in report.DONE):
        error: BaseException = DirtyExit(
            f"Child process {pid} was killed: what it sent its worker is no report ({broken})"
        )
        return Verdict("failed", Failure.of(error), error)
    if word is not None and word["word"] in report.DONE:
        if status == 0:
            return DONE
        if killed and _died_of(status, signal.SIGKILL):
            return Verdict("done", warning=f"Child {pid} was killed after its job was done")
        return _lost(DirtyExit.of(pid, status, near_limit))
    if word is not None:
        told = settled or word
        if over and told["exception"] == TermException.wire_name:
            return _over(over, steps)
        failure = Failure(told["exception"], told["error"], told["backtrace"], word["used"])
        kind = "stopped" if stopped and failure.exception == TermException.wire_name else "failed"
        return Verdict(kind, failure, saved=bool(settled and settled["saved"]))
    if over and _died_of(status, signal.SIGTERM, signal.SIGKILL, process.LIMIT_SIGNAL):
        return _over(over, steps)
    if stopped and _died_of(status, signal.SIGTERM, signal.SIGKILL):
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


def _over(over: str, steps: Sequence[str]) -> Verdict:
    kind = JobTimeout if "JobTimeout" in steps else MemoryError  # which is not announced
    error = kind(f"{over} (sent: {', '.join(steps)})")
    return Verdict("failed", Failure.of(error), error)


def _lost(error: DirtyExit) -> Verdict:
    return Verdict("lost", Failure.of(error), error)


def _died_of(status: int, *signals: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in signals
