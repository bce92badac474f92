"""Hooks: methods of a job found by the beginning of their names, and functions of the worker.

Which process each runs in, and when:

    before_enqueue, after_enqueue     application   around a push; False from the former stops it
    before_dequeue, after_dequeue     application   around a removal; likewise
    before_schedule, after_schedule   application   around having a job wait; likewise
    before_perform                    child         DontPerform from it skips the job
    around_perform                    child         calls what it is given first, or does not
    after_perform                     child         after the job, unless it raised
    on_failure                        child         gets the exception first; for a dead child it
                                                    runs in a short-lived fork of the worker
    on_retry                          child         instead of on_failure, if the job is retried;
                                                    gets the exception and the seconds until then

    before_first_fork()               worker        once, before it first registers
    before_fork(job)                  worker        before every fork; raising fails that job
    after_fork(job)                   child         first thing before the job's own hooks
    before_pause(worker)              worker        on USR2
    after_pause(worker)               worker        on CONT
    queue_empty()                     worker        when it has run out of jobs, once each time
    shutdown(worker)                  worker        when it has been told to stop
    worker_exit()                     worker        last thing before it leaves
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ..callables import does_nothing_when_called
from ..errors import HookError

log = logging.getLogger("resque_fork")

JOB_HOOKS = (
    "before_enqueue",
    "after_enqueue",
    "before_dequeue",
    "after_dequeue",
    "before_schedule",
    "after_schedule",
    "before_perform",
    "around_perform",
    "after_perform",
    "on_failure",
    "on_retry",
)
WORKER_HOOKS = (
    "before_first_fork",
    "before_fork",
    "after_fork",
    "before_pause",
    "after_pause",
    "queue_empty",
    "shutdown",
    "worker_exit",
)

_JOB_HOOK = re.compile(rf"({'|'.join(JOB_HOOKS)})(_|$)")

Hook = TypeVar("Hook", bound=Callable[..., Any])


def job_hooks(owners: Sequence[type], kind: str) -> list[Callable[..., Any]]:
    """The hooks of one kind that `owners` have or inherit, alphabetical over all of them.

    ``before_perform`` itself comes before ``before_perform_anything``.
    """
    if not owners:
        return []
    found = {
        name: getattr(owner, name)
        for owner in reversed(owners)
        for base in owner.__mro__[:-1]  # `dir` would go through `object` too, and sort
        for name in vars(base)
        if f"{name}_".startswith(f"{kind}_")
    }
    return [found[name] for name in sorted(found) if callable(found[name])]


def check_job_hooks(owner: type) -> None:
    """Raises HookError for a hook that could not be called, or would do nothing if it were."""
    for name in filter(_JOB_HOOK.match, dir(owner)):
        if inspect.isfunction(inspect.getattr_static(owner, name)):
            raise HookError(
                f"{owner.__qualname__}.{name} must be a @classmethod or @staticmethod: "
                "jobs are never instantiated."
            )
        if reason := does_nothing_when_called(getattr(owner, name)):
            raise HookError(f"{owner.__qualname__}.{name} cannot be a hook: {reason}.")


class WorkerHooks:
    """The functions to run at the worker's stations, in the order they were added."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Callable[..., Any]]] = {name: [] for name in WORKER_HOOKS}

    def add(self, name: str, hook: Hook) -> Hook:
        """Raises HookError for a hook that would do nothing when called."""
        if reason := does_nothing_when_called(hook):
            shown = getattr(hook, "__qualname__", repr(hook))
            raise HookError(f"{shown} cannot be a {name} hook: {reason}.")
        self._hooks[name].append(hook)
        return hook

    def remove(self, name: str, hook: Callable[..., Any]) -> None:
        self._hooks[name].remove(hook)

    def any(self, name: str) -> bool:
        return bool(self._hooks[name])

    def run(self, name: str, *args: Any) -> None:
        """Run them in order; the first that raises stops the rest."""
        for hook in list(self._hooks[name]):
            hook(*args)


worker_hooks = WorkerHooks()


class HookDecorator(Protocol):
    """Registers a function and returns it as it is. Raises HookError."""

    def __call__(self, hook: Hook, /) -> Hook: ...


def _decorator(name: str, when: str) -> HookDecorator:
    def add(hook: Hook) -> Hook:
        return worker_hooks.add(name, hook)

    add.__name__ = add.__qualname__ = name
    add.__doc__ = f"Decorator: run {when}"
    return add


before_first_fork = _decorator(
    "before_first_fork", "once in the worker, before it first registers; takes nothing."
)
before_fork = _decorator("before_fork", "in the worker before every fork; takes the reservation.")
after_fork = _decorator("after_fork", "in the child before its job; takes the reservation.")
before_pause = _decorator(
    "before_pause", "in the worker when it is paused by USR2; takes the worker."
)
after_pause = _decorator("after_pause", "in the worker when CONT ends a pause; takes the worker.")
queue_empty = _decorator(
    "queue_empty", "in the worker each time it has run out of jobs; takes nothing."
)
shutdown = _decorator("shutdown", "in the worker when it has been told to stop; takes the worker.")
worker_exit = _decorator(
    "worker_exit", "in the worker as the last thing before it leaves; takes nothing."
)
