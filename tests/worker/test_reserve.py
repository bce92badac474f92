"""What a worker finds out about its queues before it takes a job of them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from redis import Redis

from resque_fork import Resque, Settings, job
from resque_fork.child.performer import Performer
from resque_fork.job.registry import registry
from resque_fork.metrics.tally import Tally
from resque_fork.store.worker_store import WorkerStore
from resque_fork.system.loop import Loop
from resque_fork.wire.queue_list import QueueList
from resque_fork.worker.reserve import Reserver
from resque_fork.worker.tracking import Tracker


def reserver_of(store: WorkerStore, *queues: str) -> Reserver:
    tracker = Tracker(Loop(), store, Performer())
    return Reserver(store, QueueList(queues), Settings(), Tally(Loop(), store.add_up), tracker)


def test_a_queue_that_appears_while_all_others_are_paused(resque: Resque, redis: Redis) -> None:
    """It is looked at within the same look, though nobody has told of it."""
    redis.sadd("resque:queues", "mail")
    redis.sadd("resque:fork:queues:paused", "mail")
    store = WorkerStore(resque.client, resque.key_names, "vm:1:*", {})
    store.heartbeat()
    reserver = reserver_of(store, "*")
    assert reserver.finish_and_reserve() is None
    assert reserver.paused
    resque.enqueue_to("low", "nobody.knows")
    reserved = reserver.finish_and_reserve()
    assert reserved is not None
    assert reserved.job.queue == "low"


@pytest.mark.parametrize(
    ("queues", "warned"),
    [
        (["lantren"], ["There is no queue lantren yet; did you mean 'lantern'?"]),
        (["*", "!lantren"], ["There is no queue lantren yet; did you mean 'lantern'?"]),
        (["quroum", "lantern"], ["There is no queue quroum yet; did you mean 'quorum'?"]),
        (["lantern", "lantren"], []),  # both are meant
        (["velvet", "l*", "lantern"], []),
        (["quorums"], []),  # a job is declared for it
    ],
)
def test_misspelt_queues(
    queues: list[str], warned: list[str], resque: Resque, redis: Redis, own_jobs: None, caplog: Any
) -> None:
    """A queue that is not there is warned of if its name is like one that is there or declared."""
    redis.sadd("resque:queues", "lantern", "xenon")
    for queue in ("quorum", "quorums"):
        job(queue=queue, name=uuid.uuid4().hex)(lambda: None)
    store = WorkerStore(resque.client, resque.key_names, "vm:1:q", {})
    reserver_of(store, *queues).warn_of_misspelt()
    assert caplog.messages == warned


def test_misspelt_queues_are_not_worth_an_error(resque: Resque, redis: Redis) -> None:
    """A key that is no set, where the names of queues should be, is somebody else's to tell."""
    redis.set("resque:queues", "x")
    store = WorkerStore(resque.client, resque.key_names, "vm:1:q", {})
    reserver_of(store, "lantren").warn_of_misspelt()
    redis.delete("resque:queues")  # not every test empties the server


def test_queues_of_declared_jobs(own_jobs: None) -> None:
    """The registry knows the queues of all jobs that have one."""
    job(queue="only_here", name=uuid.uuid4().hex)(lambda: None)
    job(name=uuid.uuid4().hex)(lambda: None)
    assert "only_here" in registry.queues()
    assert None not in registry.queues()
