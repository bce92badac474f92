"""For the tests of applications: a Redis of their own, and jobs performed on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .client.resque import Resque
from .embedded import Server
from .job.registry import declaration_of
from .job.reservation import Reservation
from .wire.job import Payload
from .wire.queue_list import QueueList

SHOWN = 10  # jobs that are named when none is as it should be


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


def assert_enqueued(resque: Resque, job: Any, /, *args: Any, queue: str | None = None) -> None:
    """Raises AssertionError unless such a job is queued, and says which ones are.

    Without arguments any job of its class will do, without a `queue` it may be in any.
    """
    declaration = declaration_of(job)
    wanted = Payload.of(declaration.wire_name, declaration.bind(args, {})) if args else None
    found = list(_queued(resque, [queue] if queue else resque.queues()))
    same_class = [each for _, each in found if each.class_name == declaration.wire_name]
    if any(wanted is None or each.args == wanted.args for each in same_class):
        return
    shown = wanted or Payload.of(declaration.wire_name, [])
    told = f"{shown.class_name}{_shown(shown) if wanted else ''}"
    others = "\n".join(f"  {name}: {p.class_name}{_shown(p)}" for name, p in found[:SHOWN])
    more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    where = f" on {queue}" if queue else ""
    raise AssertionError(f"{told} is not queued{where}. These are:\n{others or '  none'}{more}")


def _queued(resque: Resque, queues: list[str]) -> Iterator[tuple[str, Payload]]:
    for queue in queues:
        for item in resque.peek(queue, 0, max(2, resque.size(queue))):
            if isinstance(item, dict) and isinstance(item.get("class"), str):
                yield queue, Payload.of_item(item)


def _shown(payload: Payload) -> str:
    return json.dumps(payload.args, ensure_ascii=False)
