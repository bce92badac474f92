"""For the tests of applications: a Redis of their own, and jobs performed on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .client.resque import Resque
from .embedded import Server
from .job.reservation import Reservation
from .wire.queue_list import QueueList


@contextmanager
def temporary_resque(namespace: str | None = None) -> Iterator[Resque]:
    """A Resque on an embedded server that is gone afterwards.

    Raises EmbeddedServerError where there is no server to start.
    """
    with Server() as server:
        resque = Resque(server.url, namespace=namespace)
        try:
            yield resque
        finally:
            resque.close()


def perform_queued(resque: Resque, *queues: str) -> list[Reservation]:
    """Perform all that is queued, in this process and in a worker's order; returns what it was.

    Hooks run; what a job raises is raised. Without queues all are served.
    """
    order = QueueList(queues or ("*",))
    performed: list[Reservation] = []
    while True:
        for queue in order.over(resque.queues()):
            reservation = resque.reserve(queue)
            if reservation is not None:
                break
        else:
            return performed
        performed.append(reservation)
        reservation.perform()
