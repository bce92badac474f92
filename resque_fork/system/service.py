"""The base of processes that wait for events until they are told to stop."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from ..logs import LogFiles, lifecycle
from ..settings import Settings
from ..wire.procline import Procline
from . import libc, process
from .loop import Loop
from .signals import Signals

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # what tells a service to stop


class Stop:
    """Whether a service has been told to stop, and how long it may wait for others then.

    While it is `busy` with a job it has no deadline: the job has its own.
    """

    def __init__(self, clock: Callable[[], float], grace: float) -> None:
        self.asked = self.busy = False
        self._clock = clock
        self._grace = grace  # seconds
        self._since = clock()  # it was told to stop, or was last busy

    def ask(self) -> None:
        self.asked = True
        self._since = self._clock()

    def end_of_job(self) -> None:
        if self.busy:
            self.busy = False
            self._since = self._clock()

    def deadline(self) -> float | None:
        """Until when it may wait for others, by the clock of its loop; None is for ever."""
        return self._since + self._grace if self.asked and not self.busy else None


class Service:
    """Loop, signals, title, log files, and the order to stop.

    What is due again and again is in ``loop.tasks``: `Loop.idle` does it.
    """

    def __init__(self, settings: Settings, log_files: LogFiles | None = None) -> None:
        self.settings = settings
        self._log_files = log_files or LogFiles()
        self._procline = Procline(settings.procline_prefix)
        self._make_loop()

    def _make_loop(self) -> None:
        """Anew, for a process or a life that begins."""
        self.pid = os.getpid()
        self._loop = Loop()
        self._stop = Stop(self._loop.clock, self.settings.term_timeout)
        self._signals = Signals(self._loop)

    def _freeze_memory(self) -> None:
        """What has been loaded by now stays. No garbage collector looks at it, here or in children.

        A collector writes to each object that it looks at, and so to memory that is shared.
        """
        gc.collect()
        gc.freeze()
        libc.trim_memory()

    @property
    def stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stop.asked

    def _is_first_ctrl_c(self) -> bool:
        """Whether an INT that has come is one: what runs is finished, and the next one stops it."""
        return not self._stop.asked and process.in_foreground()

    def _ask_to_stop(self) -> bool:
        """Whether this is the first time."""
        if self._stop.asked:
            return False
        lifecycle.info("Exiting...")
        self._stop.ask()
        return True
