"""One look at everything, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from redis import Redis

from resque_fork.store.client import Client
from resque_fork.store.snapshot import Snapshot, Snapshots
from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.wire.keys import Keys
from resque_fork.wire.record import RecordHead

from .conftest import A, BothWays


@pytest.fixture
def snapshots(client: BothWays, keys: Keys) -> Snapshots:
    return Snapshots(client, keys)


def test_an_empty_redis(snapshots: Snapshots) -> None:
    """Nothing is there, and nothing has been done."""
    found = snapshots.take()
    assert found == Snapshot(found.at, False, frozenset(), {}, {}, 0, 0, 0, 0)


def test_all_there_is(snapshots: Snapshots, store: WorkerStore, redis: Redis) -> None:
    """Queues with their jobs, workers with what they do, and the counters."""
    store.heartbeat()
    redis.sadd("resque:queues", "email", "empty")
    redis.rpush("resque:queue:email", A, A)
    run_at = store.step(NOTHING, ["email"]).run_at
    redis.sadd("resque:workers", "other:1:q")
    redis.set("resque:pause-all-workers", "true")
    redis.sadd("resque:fork:queues:paused", "email")
    redis.mset({"resque:stat:processed": "7", "resque:stat:failed": "2"})
    redis.rpush("resque:failed", "{}")
    redis.sadd("resque:failed_queues", "email_failed", "failed")
    redis.rpush("resque:email_failed", "{}", "{}")
    redis.zadd("resque:fork:retries", {"x": 1})
    found = snapshots.take()
    assert found == Snapshot(
        at=found.at,
        paused=True,
        paused_queues=frozenset({"email"}),
        queues={"email": 1, "empty": 0},
        workers={store.worker_id: RecordHead("email", run_at, "A"), "other:1:q": None},
        processed=7,
        failed=2,
        failures=3,
        retrying=1,
    )


def test_a_job_that_others_cannot_read(
    snapshots: Snapshots, store: WorkerStore, redis: Redis
) -> None:
    """Its worker works, on that queue; of the class, what the child has read."""
    store.heartbeat()
    redis.rpush("resque:queue:email", b'{"class":"\\ud83d","args":[]}')
    run_at = store.step(NOTHING, ["email"]).run_at
    assert snapshots.take().workers == {store.worker_id: RecordHead("email", run_at, "")}
    store.describe("Mail", False)
    assert snapshots.take().workers == {store.worker_id: RecordHead("email", run_at, "Mail")}


def test_keys_of_the_wrong_type_count_as_missing(snapshots: Snapshots, redis: Redis) -> None:
    """Whatever stands there, the rest is shown."""
    redis.sadd("resque:queues", "odd")
    redis.sadd("resque:workers", "a:1:q")
    for key in ("queue:odd", "failed", "fork:retries", "fork:a:1:q", "fork:unread:a:1:q"):
        redis.set(f"resque:{key}", "?")
    redis.set("resque:stat:processed", "many")
    redis.rpush("resque:worker:a:1:q", "?")
    found = snapshots.take()
    assert found == Snapshot(found.at, False, frozenset(), {"odd": 0}, {"a:1:q": None}, 0, 0, 0, 0)


def test_another_look_is_one_round_trip(
    snapshots: Snapshots, client: BothWays, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new is seen with the next one."""
    snapshots.take()
    redis.sadd("resque:queues", "new")
    trips = []
    real = Client.execute_many

    def counted(self: Client, commands: Sequence[Sequence[Any]], **how: Any) -> list[Any]:
        trips.append(len(commands))
        return real(self, commands, **how)

    monkeypatch.setattr(Client, "execute_many", counted)
    assert snapshots.take().queues == {}
    assert snapshots.take().queues == {"new": 0}
    assert trips == [10, 11]
