"""A Redis from before 6: no HELLO, no CLIENT TRACKING; so no notifications, and RESP2."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from life.harness import Stage, until
from redis import Redis

from resque_fork import Resque

from .nodes import Node

Stages = Callable[[str], Stage]


@pytest.fixture
def old() -> Iterator[Node]:
    """A server that does not know of HELLO, as an old one, and whose tracking is refused."""
    with Node({"rename-command": 'HELLO ""'}) as node:
        with Redis.from_url(node.url, protocol=2) as admin:
            admin.execute_command("ACL", "SETUSER", "default", "-client|tracking")
        yield node


def test_a_worker_and_a_client(old: Node, on: Stages) -> None:
    """Jobs are found when it looks, wildcards included; performed, failed, counted, rescued."""
    stage, resque = on(old.url), Resque(old.url)
    worker = stage.idle("--interval", "0.1", queues="*")
    resque.enqueue_to("new", "quick", 1)
    assert stage.told("quick", by=worker)["args"] == [1]
    resque.enqueue_to("jobs", "boom")
    until(lambda: resque.failed().count() == 1)
    failed = resque.failed()
    assert failed.requeue(failed.page()) == 1
    until(lambda: failed.count() == 2)
    resque.enqueue_to("jobs", "hold")
    stage.told("begun", by=worker)
    assert list(resque.working()) == [stage.id_of(worker, "*")]
    worker.kill()
    successor = stage.idle("--interval", "0.1")
    until(lambda: failed.count() == 3)
    resque.enqueue_to("jobs", "quick", 2)
    stage.told("quick", by=successor)
    assert successor.stop() == 0
    assert (resque.stats.get("processed"), resque.workers(), resque.working()) == (4, [], {})
    assert "WARNING: Redis" not in worker.said + successor.said
    resque.close()
