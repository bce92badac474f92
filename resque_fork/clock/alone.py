"""The clock in a process of its own, for a Redis whose workers are of another language."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from ..errors import ResqueError
from ..failure import FailedEntries
from ..logs import LogFiles, lifecycle
from ..settings import Settings
from ..store.delayed import DelayedSet
from ..store.metrics import QueueMarks
from ..store.redis_url import RedisURL
from ..store.schedules import StoredSchedules
from ..store.worker_connection import BestEffort, WorkerConnection
from ..system import process
from ..system.service import STOPPING, Service
from ..wire.keys import Keys
from .clock import NOT_WAITED_FOR, Clock
from .mover import Mover
from .ticker import Ticker

log = logging.getLogger("resque_fork")


class ClockAlone(Service):
    """Moves what is due until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        server: RedisURL,
        keys: Keys,
        entries: FailedEntries,
        log_files: LogFiles | None = None,
    ) -> None:
        super().__init__(settings, log_files)
        name = f"{socket.gethostname()}:{os.getpid()}:clock"
        self._connection = WorkerConnection(server, self._loop, keys.queues, self._stop.deadline)
        redis, prefix = BestEffort(self._connection, NOT_WAITED_FOR), settings.scheduler_lock_prefix
        self._clock = Clock(
            self._loop,
            Mover(self._loop, DelayedSet(redis, keys, name, prefix), entries, _here),
            Ticker(StoredSchedules(redis, keys, prefix)),
            mark=QueueMarks(redis, keys).mark,
        )

    def run(self) -> int:
        """Until TERM, INT or QUIT; the exit status. Signals stay blocked: the program leaves."""
        self._signals.install(
            {**dict.fromkeys(STOPPING, self.shutdown), signal.SIGHUP: self._log_files.reopen}
        )
        self._procline.keeping_the_clock()
        lifecycle.info("The clock is starting")
        status = 1
        try:
            self._connection.open_or_refuse()
            self._loop.tasks.append(self._clock)
            while not self.stopping:
                self._loop.idle()
            self._clock.close()
            status = 0
        except ResqueError as error:
            log.error("%s", error)
        finally:
            process.block_signals()
            self._connection.close()
            lifecycle.info("The clock has left")
        return status

    def shutdown(self) -> None:
        """Stop after what is under way."""
        self._ask_to_stop()
        self._clock.stop()


def _here(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
    """It has nothing else to do meanwhile."""
    return work()
