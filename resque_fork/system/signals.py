"""Signals become events of the loop.

The interpreter writes the signal's number into a pipe, the loop reads it there, and the action
runs between two events like any other. The handler itself only notes that there was a signal, for
the case that application code has pointed the interpreter to another pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from types import FrameType
from typing import Any

from . import process
from .loop import Loop

PIPE_BYTES = 65536  # that a pipe holds

Handler = Callable[[int, FrameType | None], None]


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
    """While installed, each signal of a table calls its action from the loop.

    SIGPIPE is ignored meanwhile: a pipe or connection that has broken is an error like others.
    """

    def __init__(self, loop: Loop) -> None:
        self.installed = False
        self._loop = loop
        self._actions: dict[int, Callable[[], None]] = {}
        self._handlers: dict[int, Any] = {}
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._mask_before: set[int] = set()
        self._reader = self._writer = -1
        self._pipe: tuple[int, ...] = ()  # its inodes
        self._noted: set[int] = set()  # signals that have not come out of the pipe yet
        self._missed: list[int] = []  # those that never will, and what stood before them
        self._raising: tuple[Collection[int], Handler] = ((), _nothing)

    def install(self, actions: Mapping[int, Callable[[], None]]) -> None:
        """Also unblocks these signals. Raises ValueError outside the main thread."""
        self._actions = dict(actions)
        self._handlers = {
            **dict.fromkeys(self._actions, self._note),
            signal.SIGPIPE: process.SIG_IGN,
        }
        self._mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._open()
        self.installed = True
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        # not by `signal`, in whose place gevent puts a function of its own for SIGCHLD
        self._before = {n: process.set_handler(n, handler) for n, handler in self._handlers.items()}
        process.hear_signals(self._actions)

    def reinstate(self) -> None:
        """Put back what application code may have changed, and make up for what was missed.

        Event loops, for example, have signals wake them, and in the end nobody.
        """
        if not self.installed:
            return
        moved = not self._has_pipe()
        if moved:  # those descriptors were closed, and may be somebody else's by now
            self._loop.forget(self._reader)
            self._loop.fds -= {self._reader, self._writer}
            self._open()
        before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        moved = moved or before != self._writer
        for number, handler in self._handlers.items():
            if process.get_handler(number) != handler:
                moved = True
                process.set_handler(number, handler)
        process.hear_signals(self._actions)
        if moved:
            self._make_up()

    def restore(self) -> None:
        """Put the former handlers back, and block what was blocked; what is pending is dropped."""
        if not self.installed:
            return
        self.installed = False
        for number, handler in self._before.items():
            process.set_handler(number, process.SIG_IGN)
            process.set_handler(number, process.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._loop.forget(self._reader)
        self._loop.fds -= {self._reader, self._writer}
        process.close(self._reader)
        process.close(self._writer)
        process.set_mask(signal.SIG_SETMASK, self._mask_before)

    @contextlib.contextmanager
    def raising(self, numbers: Collection[int], handler: Handler) -> Iterator[None]:
        """Meanwhile these signals also call a handler, at once; it may raise."""
        self._raising = (numbers, handler)
        try:
            yield
        finally:
            self._raising = ((), _nothing)

    def _open(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._loop.fds |= {self._reader, self._writer}
        self._pipe = (os.fstat(self._reader).st_ino, os.fstat(self._writer).st_ino)
        self._loop.watch(self._reader, self._act)

    def _has_pipe(self) -> bool:
        try:
            return (os.fstat(self._reader).st_ino, os.fstat(self._writer).st_ino) == self._pipe
        except OSError:
            return False

    def _make_up(self) -> None:
        """Have the loop act on what has not come through the pipe, and look at the children."""
        arrived = self._read(PIPE_BYTES)
        missed = self._noted.difference(arrived)
        if signal.SIGCHLD in self._actions:
            missed.add(signal.SIGCHLD)
        self._missed += [*arrived, *missed]
        self._noted.clear()
        process.write(self._writer, b"\0")  # no signal: it wakes the loop

    def _read(self, most: int) -> bytes:
        try:
            return process.read(self._reader, most)
        except BlockingIOError:
            return b""

    def _act(self) -> None:
        numbers, self._missed = self._missed, []
        for number in [*numbers, *self._read(512)]:
            self._noted.discard(number)
            action = self._actions.get(number)
            if action:
                action()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.add(number)
        numbers, handler = self._raising
        if number in numbers:
            handler(number, frame)


def _nothing(number: int, frame: FrameType | None) -> None:
    """For no signal."""
