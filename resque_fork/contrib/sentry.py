"""Failed jobs as events in Sentry: ``--failure-backend=redis,resque_fork.contrib.sentry:Sentry``.

The application calls ``sentry_sdk.init()`` when it is imported. Events are captured in the child
and sent before it exits. The death of a child is captured in the process that the worker forks
to handle it. The worker itself captures nothing, since that would start a thread in it.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger, ignore_logger_for_sentry_logs

from ..failure import Backend
from ..job.hooks import after_fork
from ..job.registry import registry
from ..job.reservation import Reservation

LOGGERS = "resque_fork*"
FLUSH_SECONDS = 0.8  # less than what logging handlers have at the end of a child


class Sentry(Backend):
    """Captures a failure with its stack, and with the job's queue, class, attempt and arguments.

    Arguments that the job declares secret are left out, and the local variables in its stack.
    """

    def save(self) -> None:
        name = self.payload.get("class") or ""
        declaration = registry.get(name)
        args = None if declaration and declaration.sensitive else self.payload.get("args")
        with sentry_sdk.new_scope() as scope:
            _describe(scope, self.queue, name, self.attempt)
            scope.set_context("resque-fork", {"worker": self.worker, "args": args})
            if self.exception.__traceback__ is None:  # Sentry would group deaths of all jobs
                scope.fingerprint = ["{{ default }}", name]
            sentry_sdk.capture_exception(self.exception)
        sentry_sdk.flush()


class FlushAtExit(logging.Handler):
    """A child runs no exit functions, but has all logging handlers flushed.

    So what a job has captured by itself is sent, whether it fails or not.
    """

    def flush(self) -> None:
        sentry_sdk.flush(FLUSH_SECONDS)


_of_job = contextlib.ExitStack()


@after_fork
def begin_scope(reservation: Reservation) -> None:
    """What a job sets, such as a tag or user, is not on the events of the next one."""
    _of_job.close()
    scope = _of_job.enter_context(sentry_sdk.isolation_scope())
    _describe(scope, reservation.queue, reservation.class_name, reservation.failures + 1)


def _describe(scope: Any, queue: str, name: str, attempt: int) -> None:
    scope.set_transaction_name(name, source="task")
    scope.set_tag("resque.queue", queue)
    scope.set_tag("resque.class", name)
    scope.set_tag("resque.attempt", attempt)
    declaration = registry.get(name)
    if declaration and (declaration.redact or declaration.sensitive):
        scope.add_event_processor(_without_variables)


def _without_variables(event: Any, hint: Any) -> Any:
    for error in event.get("exception", {}).get("values", ()):
        for frame in (error.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return event


# Each failure is logged too, which would be a second event, without a stack.
ignore_logger(LOGGERS)
ignore_logger_for_sentry_logs(LOGGERS)
flush_at_exit = FlushAtExit()
