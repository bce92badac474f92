"""What happened to a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..failure import Failure
from .action import Action

DONE, FAILED, STOPPED, LOST, NOT_STARTED = "done", "failed", "stopped", "lost", "not started"
KILLED = "killed"

# What a job's process died of: its own ``exit``, a signal by its name, or one of these. It was
# stopped, exceeded a limit, was killed by somebody, sent what is no report, or its worker died,
# which ends it too.
BY_STOP, BY_TIMEOUT, BY_MEMORY, BY_WORKER = "stopped", "timeout", "memory", "worker"
BY_KILL = "killed"
OOM, BROKEN, EXIT, UNKNOWN = "oom", "broken", "exit", "unknown"


@dataclass(frozen=True)
class Outcome:
    """``done``; ``failed``, by its own exception; ``stopped``, because we stopped it; ``killed``,
    because somebody asked for that; ``lost``, with its process or its worker; or ``not
    started``, because no process could be had for it, or the worker was told to stop.

    `error` is an exception that stands for the death of a process, which never raised one
    itself, or for one that its child has left to the worker to handle. `by_term` if the job
    ended by a TERM, whoever sent it; `worker_stops` if the worker had been told to stop by then.
    `saved` says that hooks and other backends have had the failure. `action` is what a policy
    has decided in the child, `used` what the job has used, `result` what it has returned, as JSON,
    if that is kept. `cause` is what the job's process died of, in a word; empty if it did not.
    """

    kind: str
    failure: Failure | None = None
    error: BaseException | None = None
    saved: bool = False
    warning: str = ""
    by_term: bool = False
    worker_stops: bool = False
    action: Action | None = None
    used: Mapping[str, Any] = field(default_factory=dict)
    cause: str = ""
    result: str = ""

    @classmethod
    def of(cls, kind: str, error: BaseException, cause: str = "") -> Outcome:
        """One that an exception explains."""
        return cls(kind, Failure.of(error), error, cause=cause)

    @property
    def usage(self) -> Mapping[str, Any]:
        """What the job has used, as far as that is known, however it ended."""
        return {**self.used, **(self.failure.forensics if self.failure else {})}

    def explained(self, forensics: Mapping[str, Any]) -> Outcome:
        """The same outcome with what is known of the dead process."""
        failure = self.failure.explained(forensics) if self.failure else None
        cause = OOM if "oom" in forensics else self.cause
        return replace(self, failure=failure, cause=cause)
