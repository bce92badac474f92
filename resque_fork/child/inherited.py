"""What every child inherits of its worker: the ends of streams, and files for stacks."""

from __future__ import annotations

import faulthandler
import os

from ..system import process
from ..system.loop import Loop
from ..system.streams import Stream
from .forensics import CRASH, STACKS, StackFile, StderrTail


class Inherited:
    """They are opened once, before the first fork."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.opened = False

    def open(self) -> None:
        loop = self._loop
        self.opened = True
        self.null = os.open(os.devnull, os.O_RDONLY)
        self.stdout = Stream(loop, 1, "stdout")
        self.stderr = StderrTail(loop)
        self.crash_stack = StackFile(CRASH)  # written when a child crashes
        self.asked_stack = StackFile(STACKS)  # written when it is asked where it is
        faulthandler.register(process.DUMP_SIGNAL, self.asked_stack.fd, all_threads=True)

    def take_stack(self, *, asked: bool) -> list[str]:
        """Where a child crashed, or where it was when it was asked."""
        return self.crash_stack.take() or (self.asked_stack.take() if asked else [])

    def reopened(self) -> None:
        """The worker's own streams are others now."""
        if self.opened:
            self.stdout.reopened()
            self.stderr.reopened()

    def close_streams(self) -> None:
        """Pass on the rest of what children wrote."""
        self.stdout.close()
        self.stderr.close()

    def close(self) -> None:
        """Let go of the rest."""
        self.opened = False
        faulthandler.unregister(process.DUMP_SIGNAL)
        self.crash_stack.close()
        self.asked_stack.close()
        process.close(self.null)
