"""How ``work`` starts and leaves: its signals until the worker or supervisor handles them.

TERM, INT, QUIT    leave with status 0, and do not finish loading the application
USR1               nothing: there is no job to stop
USR2, CONT, HUP    wait for the worker, which starts paused, or opens its log files anew

Loading an application may take a minute, and is interrupted as Ctrl-C interrupts any program: by
an exception. One that the application swallows has its effect as soon as it is loaded.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, Self

from ..logs import lifecycle
from ..system import process

STOPPING: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
KEPT: tuple[int, ...] = (signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP)
SIGNALS = (*STOPPING, *KEPT, signal.SIGUSR1)
UNDOES: dict[int, int] = {signal.SIGCONT: signal.SIGUSR2, signal.SIGUSR2: signal.SIGCONT}


class Stopped(KeyboardInterrupt):
    """Told to stop while starting.

    A KeyboardInterrupt, because libraries such as asyncio let that through and no other.
    """


def hold_signals() -> None:
    """Block them until `Starting` handles them, also while this program is started anew."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def leave(status: int) -> None:
    """End the process as the interpreter does, but without waiting for threads."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    process.leave(status)


class Starting:
    """Handles signals while entered; `hand_over` leaves them to the worker.

    After a stop the block ends without an error, even if the application swallowed the exception.
    """

    def __init__(self) -> None:
        self._stopped = self._raised = self._handed_over = False
        self._interruptible = False
        self._kept: set[int] = set()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def __exit__(self, *exception: object) -> bool:
        if self._stopped:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # told twice, it also leaves with 0
            lifecycle.info("Exiting...")
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        return self._stopped

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Code that a stop interrupts. Elsewhere, such as in cleaning up, a stop waits.

        It does so once, or a second stop would interrupt the cleaning up after the first.
        """
        self._interruptible = True
        try:
            self._leave_if_stopped()
            yield
            self._leave_if_stopped()
        finally:
            self._interruptible = False

    def hand_over(self) -> None:
        """Leave signals to the worker: they wait, blocked, until it handles them."""
        for number in SIGNALS:
            signal.signal(number, self._note)  # the application may have set handlers of its own
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._handed_over = True  # first: a thread may take one of them just now
        self._leave_if_stopped()
        for number in self._kept:
            signal.raise_signal(number)

    def _leave_if_stopped(self) -> None:
        if self._stopped:
            raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._handed_over:  # a thread of the application, where it is not blocked, took it
            signal.raise_signal(number)
        elif number in KEPT:
            self._kept.discard(UNDOES.get(number, 0))
            self._kept.add(number)
        elif number in STOPPING:
            self._stopped = True
            if self._interruptible and not self._raised:
                self._raised = True
                raise Stopped
