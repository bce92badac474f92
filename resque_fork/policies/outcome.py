"""What happened to a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..failure import Failure
from .action import Action

DONE, FAILED, STOPPED, LOST, NOT_STARTED = "done", "failed", "stopped", "lost", "not started"


@dataclass(frozen=True)
class Outcome:
    """``done``; ``failed``, by its own exception; ``stopped``, because we stopped it; ``lost``,
    with its process or its worker; or ``not started``, because no process could be had for it,
    or the worker was told to stop.

    `error` is an exception that stands for the death of a process, which never raised one
    itself, or for one that its child has left to the worker to handle. `by_term` if the job
    ended by a TERM, whoever sent it; `worker_stops` if the worker had been told to stop by then.
    `saved` says that hooks and other backends have had the failure. `action` is what a policy
    has decided in the child, `used` what the job has used.
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

    @classmethod
    def of(cls, kind: str, error: BaseException) -> Outcome:
        """One that an exception explains."""
        return cls(kind, Failure.of(error), error)

    def explained(self, forensics: Mapping[str, Any]) -> Outcome:
        """The same outcome with what is known of the dead process."""
        failure = self.failure.explained(forensics) if self.failure else None
        return replace(self, failure=failure)
