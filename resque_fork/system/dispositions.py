"""How a process takes signals: recorded before a job, put back after it, reset in its forks."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from . import process

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
UNCHANGEABLE = (signal.SIGKILL, signal.SIGSTOP)
SETTABLE = tuple(sorted(int(n) for n in signal.valid_signals() if n not in UNCHANGEABLE))


class Dispositions:
    """Handlers, mask, wake-up descriptor and timers of this process, as they are now.

    ``with dispositions:`` puts them back after a job. If that raises, call `put_back`: a
    handler of the job's may have raised before the first step of it. `rearm` is called in the
    end, with the signals that the job had changed: the interpreter knows of no handlers
    written in C.
    """

    def __init__(self, rearm: Callable[[set[int]], object] = lambda changed: None) -> None:
        self._handlers = list(map(process.get_handler, SETTABLE))
        self._ours = [(n, h) for n, h in zip(SETTABLE, self._handlers, strict=True) if callable(h)]
        self._mask = process.set_mask(signal.SIG_BLOCK, ())
        self._wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._rearm = rearm

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        try:
            self.put_back()
        except BaseException:  # a handler of the job's has raised meanwhile, for the last time
            self.put_back()
            raise

    def put_back(self) -> None:
        """As they were. What had come to signals that the worker has no use for is dropped."""
        process.set_mask(signal.SIG_BLOCK, SETTABLE)
        for timer in TIMERS:
            signal.setitimer(timer, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        dropped = process.pending_signals() - process.HANDLED
        for number in dropped:
            process.set_handler(number, process.SIG_IGN)
        handlers = list(map(process.get_handler, SETTABLE))
        self._rearm(set() if handlers == self._handlers else self._restore(handlers))
        for number, handler in self._ours:  # their flags may have changed, by siginterrupt
            process.set_handler(number, handler)
        process.set_mask(signal.SIG_SETMASK, self._mask)

    def _restore(self, found: list[Any]) -> set[int]:
        """Put back handlers other than those that were found; which that are."""
        changed = set()
        for number, handler, other in zip(SETTABLE, self._handlers, found, strict=True):
            if other is not handler:
                changed.add(number)
                process.set_handler(number, process.SIG_DFL if handler is None else handler)
        return changed

    def reset_in_forks(self) -> None:
        """From now on a process that is forked does not have these handlers, but the system's.

        Those signals are blocked across the fork, so that none is lost. Handlers that were
        set since stay, as they do outside of a worker.
        """
        masks: dict[int, Any] = {}
        ours = [(n, h) for n, h in self._ours if n in process.HANDLED]

        def block() -> None:
            blocked = process.set_mask(signal.SIG_BLOCK, process.HANDLED)
            masks[threading.get_ident()] = blocked

        def unblock() -> None:
            process.set_mask(signal.SIG_SETMASK, masks.pop(threading.get_ident()))

        def reset() -> None:
            for number, handler in ours:
                if process.get_handler(number) is handler:
                    default = signal.default_int_handler if number == signal.SIGINT else None
                    process.set_handler(number, default or process.SIG_DFL)
            unblock()

        os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)
