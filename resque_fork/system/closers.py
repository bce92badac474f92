"""What closes connections before a fork, since two processes must not share them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..callables import does_nothing_when_called
from ..errors import HookError

log = logging.getLogger("resque_fork")


class Closers:
    """Functions that close connections. They run before each fork of a worker or supervisor.

    A connection is to be closed by the process that opened it.
    """

    def __init__(self) -> None:
        self.closers: list[Callable[[], object]] = []

    def add(self, close: Callable[[], object]) -> None:
        """Raises HookError for one that would do nothing when called."""
        if reason := does_nothing_when_called(close):
            shown = getattr(close, "__qualname__", repr(close))
            raise HookError(f"{shown} cannot be called before a fork: {reason}.")
        if close not in self.closers:
            self.closers.append(close)

    def run(self) -> None:
        """All of them; one that raises is logged, and keeps nobody from forking."""
        for close in self.closers:
            try:
                close()
            except Exception as error:
                log.warning("A connection could not be closed before a fork: %r", error)


closers = Closers()
