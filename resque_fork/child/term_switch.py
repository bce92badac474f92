"""What a child hears of its parent while it performs a job: to stop, that it is over a limit, or
that somebody kills the job.
"""

from __future__ import annotations

import time
from types import FrameType

from ..errors import JobKilled, JobTimeout, TermException
from ..job.limits import NO_LIMITS, Limits


class TermSwitch:
    """Turns TERM into a TermException, once, in the job and nowhere else: ``with term: ...``

    Likewise the parent's word that a limit is exceeded into a JobTimeout, and that the job is
    killed into JobKilled. Of that the job ends, also if it returns all the same, or is left by
    something else that is no Exception.
    """

    def __init__(self) -> None:
        self._in_job = False
        self._asked = False
        self._raised = False
        self._ended_by: JobTimeout | JobKilled | None = None
        self._limits = NO_LIMITS
        self._started = 0.0

    @property
    def raised(self) -> bool:
        """Whether the present job, or the last, was told to stop."""
        return self._raised

    def begin_job(self, limits: Limits) -> None:
        """The limits of the job that begins now."""
        if self._raised:  # in the job before, which has swallowed it
            self._asked = self._raised = False
        self._ended_by = None
        self._limits = limits
        self._started = time.monotonic()

    def on_term(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._in_job:
            self._raise()

    def out_of_limit(self, number: int, frame: FrameType | None) -> None:
        if self._in_job:
            limits, elapsed = self._limits, time.monotonic() - self._started
            timeout = limits.timeout
            late = timeout is not None and (limits.cpu is None or elapsed >= timeout)
            self._ended_by = JobTimeout(limits.out_of_time() if late else limits.out_of_cpu())
            raise self._ended_by

    def on_kill(self, number: int, frame: FrameType | None) -> None:
        if self._in_job:
            self._ended_by = JobKilled()
            raise self._ended_by

    def __enter__(self) -> None:
        try:
            self._in_job = True
            if self._asked:
                self._raise()
        except (TermException, JobTimeout, JobKilled):
            self._in_job = False
            raise

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        self._in_job = False
        cause, self._ended_by = self._ended_by, None
        if cause is not None and not isinstance(error, Exception) and error is not cause:
            kind = type(cause)
            sent = f"{kind.__name__}, TERM" if self._raised else kind.__name__
            raise kind(f"{cause} (sent: {sent})").with_traceback(cause.__traceback__)

    def _raise(self) -> None:
        if not self._raised:
            self._raised = True
            raise TermException("SIGTERM")
