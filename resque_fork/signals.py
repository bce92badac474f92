"""Signals become events of the loop.

A handler does nothing. The interpreter writes the signal's number into a pipe,
the loop reads it there, and the action runs between two events like any other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from .loop import Loop


def can_handle_signals() -> bool:
    """Whether this is the thread that Python runs signal handlers in.

    `threading` cannot tell where a library such as eventlet has replaced its functions.
    """
    try:
        before = signal.set_wakeup_fd(-1)
    except ValueError:
        return False
    signal.set_wakeup_fd(before)
    return True


class Signals:
    """While installed, each signal of the table calls its action from the loop."""

    def __init__(self, loop: Loop, actions: Mapping[int, Callable[[], None]]) -> None:
        self._loop = loop
        self._actions = dict(actions)
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._reader = self._writer = -1

    def install(self) -> None:
        """Also unblocks these signals. Raises ValueError outside the main thread."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _noted) for number in self._actions}
        self._loop.watch(self._reader, self._act)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._actions)

    def restore(self) -> None:
        """Put the former handlers back; what is pending by then is dropped."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._loop.forget(self._reader)
        os.close(self._reader)
        os.close(self._writer)

    @property
    def fds(self) -> list[int]:
        """The pipe, which a forked child must let go of."""
        return [self._reader, self._writer]

    def _act(self) -> None:
        try:
            numbers = os.read(self._reader, 512)
        except BlockingIOError:
            return
        for number in numbers:
            action = self._actions.get(number)
            if action:
                action()


def _noted(number: int, frame: FrameType | None) -> None:
    """The interpreter has written the number into the pipe; that is all there is to do."""
