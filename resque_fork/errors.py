"""Every exception of resque-fork.

::

    ResqueError
    ├── NoQueueError                   a job without a queue
    ├── NoClassError                   a job without a class
    ├── ArgumentsError                 arguments that JSON cannot carry
    ├── DuplicateJobError              two jobs declared under one wire name
    ├── HookError                      a hook that cannot be called, or would do nothing
    ├── SettingsError                  a setting that makes no sense
    ├── NotOnMainThread                Worker.work() called from a thread
    ├── RedisUnavailable               no answer from Redis
    │   ├── MaybeEnqueued              ... and a push was under way
    │   └── GaveUpWaiting              ... and the worker was told to stop
    ├── RedisRefused                   Redis answers, and refuses a command
    │   ├── AccessRefused              wrong credentials, or an ACL without our commands
    │   └── WrongKeyType               a key holds another Redis type
    ├── NameTaken                      another live process works under our worker id
    ├── StaleEntry                     a failed entry is no longer where it was shown
    └── JobLost                        written to the failed list by the worker
        ├── DirtyExit                  the child died
        │   └── PruneDeadWorkerDirtyExit   the worker died
        ├── PoisonPill                 it died too often
        ├── UnreadablePayload          the payload is not a job
        └── UnknownJob                 its class is not registered
    DontPerform                        raised by a before_perform hook: skip this job
    RetryLater                         raised by a job: perform it again, so much later
    GiveUp                             raised by a job: it has failed, and is not retried
    └── ResultError                    what a job has returned cannot be kept
    SystemExit
    ├── TermException                  raised in a job that is told to stop
    ├── JobTimeout                     raised in a job that is over its limit of time or CPU
    └── JobKilled                      raised in a tracked job that somebody kills

RedisUnavailable and RedisRefused say in ``had_no_effect`` whether the command certainly changed
nothing, and in ``sent`` whether it may have reached Redis. Where Redis said why, ``code`` is the
first word of that and ``reason`` the text.

What ends in the failed list carries a ``wire_name``: the class name that
dashboards of other languages know it by.
"""

from __future__ import annotations

import datetime
import os
import signal

from .text import LONGEST_DELAY, parse_seconds

NO_FORK = "This system cannot fork, so it runs no worker; applications can enqueue from here."


class ResqueError(Exception):
    """Something went wrong in resque-fork."""

    had_no_effect = True

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else self.__doc__)

    def add(self, sentence: str) -> None:
        """Say one thing more."""
        self.args = (f"{self} {sentence}",)


class NoQueueError(ResqueError):
    """Jobs must be placed onto a queue: declare one with @job(queue="...") or use enqueue_to."""


class NoClassError(ResqueError):
    """Jobs must be given a class: pass a declared job or the name its workers know it by."""


class ArgumentsError(ResqueError):
    """The arguments of a job must be JSON: strings, numbers, booleans, null, lists and objects."""


class DuplicateJobError(ResqueError):
    """Two different jobs are declared under one wire name."""


class HookError(ResqueError):
    """A job's hooks must be class or static methods, and no hook may be async."""


class SettingsError(ResqueError):
    """A setting does not make sense."""


class NotOnMainThread(ResqueError):
    """Worker.work() handles signals, so call it from the main thread of its process."""


class RedisUnavailable(ResqueError):
    """Redis does not answer."""

    sent = True
    had_no_effect = False
    code = reason = ""


class MaybeEnqueued(RedisUnavailable):
    """The connection to Redis broke during a push: the job may or may not have been queued."""


class GaveUpWaiting(RedisUnavailable):
    """Redis was away for too long after the worker had been told to stop."""


class RedisRefused(ResqueError):
    """Redis refused a command."""

    sent = True
    code = reason = ""

    @property
    def is_too_large(self) -> bool:
        """Whether an argument was larger than the server's ``proto-max-bulk-len``."""
        return "Protocol error: invalid bulk length" in self.reason


class AccessRefused(RedisRefused):
    """Redis refused the credentials, or they do not allow the commands we need."""


class WrongKeyType(RedisRefused):
    """A key holds another Redis type than Resque's."""

    code = "WRONGTYPE"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"The Redis key {key!r} does not hold what Resque keeps there; rename or delete it."
        )


class NameTaken(ResqueError):
    """Another live process works under the same worker id."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        super().__init__(
            f"Another process has taken the worker id {worker_id!r}: two containers share a "
            f"host name. Give each its own host name."
        )


class StaleEntry(ResqueError):
    """The failed entry is no longer where it was shown; list the failed jobs again."""


class JobLost(ResqueError):
    """The worker could not bring a job to its end."""

    wire_name = "ResqueFork::JobLost"


class DirtyExit(JobLost):
    """The child process died before it had said how the job went."""

    wire_name = "Resque::DirtyExit"
    pid: int | None = None
    wait_status: int | None = None  # as os.waitpid gives it; of a child only, and if known

    @classmethod
    def of(cls, pid: int, wait_status: int | None, near_limit: str = "") -> DirtyExit:
        """Phrased from the wait status, in Ruby's words where Ruby has them.

        Of a signal, it adds the limit that the process was close to, if any.
        """
        if wait_status is None:
            end = f"exited without finishing its job pid {pid}, its exit status is not known"
            end += ": something else in the worker's process waited for it"
        elif os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            end = f"received unhandled signal pid {pid} {signal_name(number)} (signal {number})"
            if near_limit:
                end += f", {near_limit}"
        else:
            status = os.waitstatus_to_exitcode(wait_status)
            end = f"exited without finishing its job pid {pid} exit {status}"
        error = cls(f"Child process {end}")
        error.pid, error.wait_status = pid, wait_status
        return error


class PruneDeadWorkerDirtyExit(DirtyExit):
    """A worker stopped sending heartbeats while it had a job."""

    wire_name = "Resque::PruneDeadWorkerDirtyExit"

    @classmethod
    def by(cls, worker_id: str, class_name: str | None) -> PruneDeadWorkerDirtyExit:
        job = class_name or "<Unknown Job>"
        return cls(f"Worker {worker_id} did not gracefully exit while processing {job}")


class PoisonPill(JobLost):
    """The job took its worker or child with it too often to be tried again."""

    wire_name = "ResqueFork::PoisonPill"

    @classmethod
    def of(cls, attempts: int, error: BaseException | None) -> PoisonPill:
        return cls(f"Lost {attempts} times, the last time because: {error}")


class UnreadablePayload(JobLost):
    """The payload is not a job."""

    wire_name = "ResqueFork::UnreadablePayload"


class UnknownJob(JobLost):
    """No job is registered under this class."""

    wire_name = "ResqueFork::UnknownJob"


class DontPerform(Exception):
    """Raise it in a before_perform hook to skip the job; a skipped job has not failed."""


class RetryLater(Exception):
    """Raise it in a job that declares ``retry=`` to have it performed again after a delay.

    `delay` is in seconds, or as in ``"10m"``. It counts as one of the job's attempts, and the
    job fails when none is left, unless `counts` is False. Raises ValueError
    unless `delay` is a time of at most ten years.
    """

    def __init__(self, delay: float | str | datetime.timedelta, *, counts: bool = True) -> None:
        try:
            self.seconds = parse_seconds(delay)
        except ValueError as expected:
            raise ValueError(f"RetryLater({delay!r}) is not valid: expected {expected}.") from None
        if self.seconds > LONGEST_DELAY:
            raise ValueError(f"RetryLater({delay!r}) is not valid: expected at most ten years.")
        self.counts = counts
        super().__init__(f"again in {self.seconds:g} seconds")


class GiveUp(Exception):
    """Raise it in a job to have it fail now, however many retries are left."""


class ResultError(GiveUp):
    """What a job has returned cannot be kept as its result."""


class TermException(SystemExit):
    """Raised once in a job whose worker was told to stop.

    It is not an Exception, so that ``except Exception`` in a job does not swallow it. It is a
    SystemExit, because event loops swallow all others.
    """

    wire_name = "Resque::TermException"

    def __init__(self, message: str = "SIGTERM") -> None:
        super().__init__(message)


class JobTimeout(SystemExit):
    """Raised in a job that is over its limit of time or CPU; TERM and KILL follow if it goes on.

    It is a SystemExit and not an Exception, for the same reasons as TermException.
    """

    wire_name = "ResqueFork::JobTimeout"

    def __init__(self, message: str = "The job went over its limit") -> None:
        super().__init__(message)


class JobKilled(SystemExit):
    """Raised in a tracked job that somebody kills; TERM and KILL follow if it goes on.

    It is a SystemExit and not an Exception, for the same reasons as TermException.
    """

    wire_name = "ResqueFork::JobKilled"

    def __init__(self, message: str = "The job was killed on request") -> None:
        super().__init__(message)


def comes_of_term(error: BaseException) -> bool:
    """Whether a TermException is among what it comes of: its causes, contexts and groups."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if isinstance(one, TermException):
            return True
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            left += [one.__cause__, one.__context__]
            left += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return False


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; realtime signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
