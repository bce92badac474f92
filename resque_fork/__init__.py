"""Resque for Python: a worker forks one child per job, and loses nothing.

from resque_fork import Job, Resque, job
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from .errors import (
    NO_FORK,
    AccessRefused,
    ArgumentsError,
    DirtyExit,
    DontPerform,
    DuplicateJobError,
    GaveUpWaiting,
    GiveUp,
    HookError,
    JobKilled,
    JobLost,
    JobTimeout,
    MaybeEnqueued,
    NameTaken,
    NoClassError,
    NoQueueError,
    NotOnMainThread,
    PoisonPill,
    PruneDeadWorkerDirtyExit,
    RedisRefused,
    RedisUnavailable,
    ResqueError,
    ResultError,
    RetryLater,
    SettingsError,
    StaleEntry,
    TermException,
    UnknownJob,
    UnreadablePayload,
    WrongKeyType,
)
from .job.declare import FunctionJob, Job, job
from .job.hooks import (
    after_fork,
    after_pause,
    before_first_fork,
    before_fork,
    before_pause,
    queue_empty,
    shutdown,
    worker_exit,
)
from .job.progress import progress
from .job.reservation import Reservation
from .job.retry import Retry
from .settings import Settings
from .version import __version__

if TYPE_CHECKING:
    from .child.sweep import keep
    from .client.default import default_resque, set_default_resque
    from .client.failed import FailedJob, FailedJobs, Filter
    from .client.receipt import Receipt
    from .client.resque import Resque
    from .failure import Backend, ListBackend, LogBackend, RedisBackend, RedisMultiQueueBackend
    from .policies import Action, Policy, add_policy
    from .wire.status import Status
    from .worker.worker import Worker

# Loaded when they are asked for: to declare jobs takes none of them, and a producer needs no
# worker, and may run where there is no fork.
_LATER = {
    "Action": "policies",
    "Backend": "failure",
    "FailedJob": "client.failed",
    "FailedJobs": "client.failed",
    "Filter": "client.failed",
    "ListBackend": "failure",
    "LogBackend": "failure",
    "Policy": "policies",
    "Receipt": "client.receipt",
    "RedisBackend": "failure",
    "RedisMultiQueueBackend": "failure",
    "Resque": "client.resque",
    "Status": "wire.status",
    "Worker": "worker.worker",
    "add_policy": "policies",
    "default_resque": "client.default",
    "keep": "child.sweep",
    "set_default_resque": "client.default",
}

__all__ = [
    "AccessRefused",
    "Action",
    "ArgumentsError",
    "Backend",
    "DirtyExit",
    "DontPerform",
    "DuplicateJobError",
    "FailedJob",
    "FailedJobs",
    "Filter",
    "FunctionJob",
    "GaveUpWaiting",
    "GiveUp",
    "HookError",
    "Job",
    "JobKilled",
    "JobLost",
    "JobTimeout",
    "ListBackend",
    "LogBackend",
    "MaybeEnqueued",
    "NameTaken",
    "NoClassError",
    "NoQueueError",
    "NotOnMainThread",
    "PoisonPill",
    "Policy",
    "PruneDeadWorkerDirtyExit",
    "Receipt",
    "RedisBackend",
    "RedisMultiQueueBackend",
    "RedisRefused",
    "RedisUnavailable",
    "Reservation",
    "Resque",
    "ResqueError",
    "ResultError",
    "Retry",
    "RetryLater",
    "Settings",
    "SettingsError",
    "StaleEntry",
    "Status",
    "TermException",
    "UnknownJob",
    "UnreadablePayload",
    "Worker",
    "WrongKeyType",
    "__version__",
    "add_policy",
    "after_fork",
    "after_pause",
    "before_first_fork",
    "before_fork",
    "before_pause",
    "default_resque",
    "job",
    "keep",
    "progress",
    "queue_empty",
    "set_default_resque",
    "shutdown",
    "worker_exit",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("Worker", "keep") and not hasattr(os, "fork"):
        raise ImportError(NO_FORK)
    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
