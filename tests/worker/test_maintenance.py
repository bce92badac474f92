"""Heartbeats and the search for the dead come when they are due, and stop for nothing."""

from __future__ import annotations

import logging
import os
import socket
import time

import pytest
from redis import Redis

from resque_fork import Resque, Settings
from resque_fork.errors import WrongKeyType
from resque_fork.failure import Backends, FailedEntries
from resque_fork.store.worker_store import WorkerStore
from resque_fork.store.workers import Workers
from resque_fork.system.identity import Identity
from resque_fork.system.loop import Loop
from resque_fork.wire.record import WorkerRecord
from resque_fork.wire.times import run_time
from resque_fork.worker.maintenance import Maintenance
from resque_fork.worker.pruning import Pruner

HOST = socket.gethostname()
ID = f"{HOST}:{os.getpid()}:mail"
DEAD = f"{HOST}:99999999:mail"
HEARTBEATS = "resque:workers:heartbeat"


class Parts:
    """The maintenance of a worker, its clock, and what it works on."""

    def __init__(self, resque: Resque) -> None:
        self.now = 100.0
        loop = Loop(lambda: self.now)
        keys, client = resque.key_names, resque.client
        self.redis: Redis = resque.redis
        store = WorkerStore(client, keys, ID, Identity.here().to_fields())
        settings = Settings(heartbeat_interval=60)
        self.pruner = Pruner(Workers(client, keys), settings, FailedEntries(Backends(), keys))
        self.maintenance = Maintenance(loop, store, self.pruner, settings, ["mail"])

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.maintenance.run()


@pytest.fixture
def parts(resque: Resque) -> Parts:
    return Parts(resque)


def test_what_is_due_is_done(parts: Parts) -> None:
    """All of it at first, then each in its time, and nothing before."""
    parts.redis.sadd("resque:workers", f"{HOST}:1:mail")
    parts.later(0)
    assert parts.redis.hexists(HEARTBEATS, ID)
    assert parts.pruner.fleet == 2
    assert parts.now < parts.maintenance.due < parts.now + 60
    parts.redis.hdel(HEARTBEATS, ID)
    parts.redis.sadd("resque:workers", f"{HOST}:2:mail")
    parts.later(59)
    assert parts.pruner.fleet == 3
    assert not parts.redis.hexists(HEARTBEATS, ID)
    parts.later(1)
    assert parts.redis.hexists(HEARTBEATS, ID)


def test_the_rescued_are_kept_for_their_hooks(parts: Parts) -> None:
    """With the job and the error that explains its end, when there is time for it."""
    record = WorkerRecord("mail", run_time(time.time()), b'{"class":"Job","args":[1]}')
    parts.redis.sadd("resque:workers", DEAD)
    parts.redis.hset(HEARTBEATS, DEAD, "2020-01-01T00:00:00+00:00")
    parts.redis.set(f"resque:worker:{DEAD}", record.to_json())
    assert parts.pruner.rescued == []
    parts.later(0)
    ((job, error, action),) = parts.pruner.rescued
    assert action is None
    assert job.class_name == "Job"
    assert str(error) == f"Worker {DEAD} did not gracefully exit while processing Job"


def test_a_key_in_the_way_is_said_once(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """And what is due is tried again when it is due again."""
    parts.redis.set(HEARTBEATS, "in the way")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            parts.later(60)
    assert [record.getMessage() for record in caplog.records] == [str(WrongKeyType(HEARTBEATS))]
    parts.redis.delete(HEARTBEATS)
    parts.later(60)
    assert parts.redis.hexists(HEARTBEATS, ID)
