"""Workers by the hundred in a few processes: each is ours, but for its jobs, which take no child.

    python -m bench.fleet URL FIRST COUNT

Everything that a worker says to Redis, when and how often, is the worker's own
code. Each has a thread, a connection, and a host name of its own, as if they
were spread over as many hosts.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from resque_fork import Resque
from resque_fork.child.fork import ForkedPerformer
from resque_fork.job.reservation import Reservation
from resque_fork.policies import Outcome
from resque_fork.settings import load
from resque_fork.worker.worker import Worker

from . import app as app  # declares the jobs

JOB_SECONDS = 0.003


class IdlePerformer:
    """Takes as long over a job as a fork, and does nothing."""

    def perform(self, reservation: Reservation, read: object, *, more: bool = False) -> Outcome:
        time.sleep(JOB_SECONDS)
        return Outcome("done")

    def __getattr__(self, name: str) -> object:
        """There is no child to retire, to stop or to look after."""
        if hasattr(ForkedPerformer, name):
            return lambda *_: None
        raise AttributeError(name)


class FleetWorker(Worker):
    """A worker in a thread: it hears no signals."""

    def _make_performer(self, restorer: object) -> Any:
        return IdlePerformer()

    def _begin(self) -> None:
        """Signals are for the main thread."""

    def live(self) -> None:
        self.startup()
        self._work(self.settings.interval)


def _leave(problem: threading.ExceptHookArgs) -> None:
    """A fleet with a worker less would be another: whoever measures it is to see that."""
    sys.excepthook(problem.exc_type, problem.exc_value or Exception(), problem.exc_traceback)
    os._exit(1)


def main(url: str, first: int, count: int) -> None:
    resque = Resque(url)
    threading.stack_size(256 * 1024)
    threading.excepthook = _leave
    settings = load({}, {})[0]
    for number in range(first, first + count):
        worker = FleetWorker("*", resque=resque, settings=settings)
        worker.hostname = f"host-{number}"
        worker._make_loop()
        worker._assemble()
        threading.Thread(target=worker.live, daemon=True).start()
        time.sleep(0.002)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
