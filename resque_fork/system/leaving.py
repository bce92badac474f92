"""The last things that a forked process does: exit functions, and what is still to be written."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import signal
import sys
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import process

log = logging.getLogger("resque_fork")

FLUSH_SECONDS = 1.0  # for all logging handlers
LEAST_SECONDS = 0.1  # for each of them, after others have taken too long


class _TooLong(BaseException):
    """Interrupts what has no end."""


def forget_exit_functions() -> None:
    """What is registered by now does not run at the end of this process.

    That are functions of atexit and finalizers, as those of temporary directories.
    """
    atexit._clear()
    finalize: Any = weakref.finalize
    for finalizer in list(finalize._registry):
        finalizer.atexit = False
    if finalize._registered_with_atexit:  # once, for all that are still to come
        atexit.register(finalize._exitfunc)
    if "multiprocessing.util" in sys.modules:  # it ends the processes that it has started
        sys.modules["multiprocessing.process"]._children.clear()
        atexit.register(sys.modules["multiprocessing.util"]._exit_function)


def run_exit_functions() -> None:
    atexit._run_exitfuncs()


def flush() -> None:
    """Have logging handlers and output streams write what they hold."""
    flush_logging()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a job may have closed or replaced them
            stream.flush()


def flush_logging() -> None:
    """``logging.shutdown``, but for about a second at most, whatever a handler waits for."""
    late = time.monotonic() + FLUSH_SECONDS
    problems = []
    for reference in reversed(logging._handlerList):  # type: ignore[attr-defined]
        handler, left = reference(), max(LEAST_SECONDS, late - time.monotonic())
        try:
            if _ends_within(left, functools.partial(logging.shutdown, [reference])):
                continue
            problem = (
                f"took longer than {left:.1f} seconds and was left. Does it wait for a thread? "
                "Threads of the worker are not in its children: start such a handler in an "
                "after_fork hook."
            )
        except Exception as error:
            problem = f"raised {error!r}"
        problems.append(f"Flushing the logging handler {_name_of(handler)} {problem}")
    for problem in problems:
        _ends_within(LEAST_SECONDS, functools.partial(log.warning, "%s", problem))


def _name_of(handler: object) -> str:
    return f"{type(handler).__module__}.{type(handler).__qualname__}"


def _ends_within(seconds: float, action: Callable[[], object]) -> bool:
    """Whether it does; else it is interrupted."""
    armed = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if armed:
            raise _TooLong

    process.set_handler(signal.SIGALRM, interrupt)
    process.set_mask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            action()
        finally:
            armed = False
    except _TooLong:
        return False
    signal.setitimer(signal.ITIMER_REAL, 0)
    return True
