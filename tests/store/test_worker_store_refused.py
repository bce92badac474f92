"""A full Redis, and keys of the wrong type: no job is lost, and the key is named."""

from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import RedisRefused, WrongKeyType
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_store import NOTHING, FailedEntry, Finish, WorkerStore
from resque_fork.wire.json import encode
from resque_fork.wire.keys import Keys

from .conftest import (
    BACK,
    DONE,
    ID,
    IDENTITY,
    KEYS,
    A,
    B,
    BothWays,
    counts,
    dump,
    failed,
    fill,
    lost,
    push,
)

# --- a full Redis


def test_full_redis_refuses_nothing_half_way(full_server: embedded.Server, keys: Keys) -> None:
    """With memory at its limit jobs cannot be added, but are finished, failed and taken on."""
    with BothWays(RedisURL(full_server.url)) as client:
        store = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
        store.heartbeat()
        raws = [encode({"class": "A", "args": ["x" * 1000, i]}) for i in range(5)]
        push(client, "email", *raws[:4], b"oops")
        store.step(NOTHING, ["email"])
        fill(client)
        with pytest.raises(RedisRefused, match="used memory > 'maxmemory'"):
            client.execute_command("RPUSH", keys.queue("email"), A)
        assert not store.heartbeat()
        step = store.step(DONE, ["email"])
        assert (step.finish, step.raw) == ("done", raws[1])
        step = store.step(failed(b"x" * 2000), ["email"])
        assert (step.finish, step.raw) == ("failed", raws[2])
        step = store.step(lost(), ["email"])
        assert (step.finish, step.raw) == ("lost", raws[2])
        assert store.step(BACK, None).finish == "back"
        assert store.step(NOTHING, ["email"]).raw == raws[2]
        assert store.step(DONE, ["email"]).raw == raws[3]
        assert store.step(DONE, ["email"]).raw == b"oops"
        assert store.step(failed(b"entry"), ["email"]).found == "empty"
        assert counts(client) == (5, 2, 5, 2)
        store.unregister()
        assert not client.exists(keys.fork(ID), keys.worker(ID))


def test_full_redis_registers_a_worker(full_server: embedded.Server, keys: Keys) -> None:
    """A worker that starts while memory is at its limit can start, and drain the queues."""
    with BothWays(RedisURL(full_server.url)) as client:
        push(client, "email", A)
        fill(client)
        store = WorkerStore(client, keys, ID, IDENTITY)
        assert store.heartbeat()
        assert store.step(NOTHING, ["email"]).raw == A


# --- keys of the wrong type


def test_queue_of_the_wrong_type_is_named_and_passed_over(
    store: WorkerStore, client: Any, keys: Keys
) -> None:
    """A queue that is no list is named, and the next ones are served."""
    client.set(keys.queue("bad"), "x")
    client.sadd(keys.queue("worse"), "x")
    push(client, "email", A)
    step = store.step(NOTHING, ["bad", "worse", "email", "never"])
    assert (step.raw, step.wrong) == (A, ("resque:queue:bad", "resque:queue:worse"))


def test_failed_list_of_the_wrong_type_costs_nothing(
    store: WorkerStore, client: Any, keys: Keys
) -> None:
    """Where the failed list is no list, the step is refused as a whole, and can be repeated."""
    push(client, "email", A, B)
    store.step(NOTHING, ["email"])
    client.set(keys.failed, "x")
    before = dump(client)
    with pytest.raises(WrongKeyType) as caught:
        store.step(failed(), ["email"])
    assert caught.value.reason == "WRONGTYPE resque:failed is a string, not a list"
    assert dump(client) == before
    client.delete(keys.failed)
    step = store.step(failed(b"entry"), ["email"])
    assert (step.finish, step.raw) == ("failed", B)
    assert client.lrange(keys.failed, 0, -1) == [b"entry"]


def test_queue_to_put_back_to_is_of_the_wrong_type(
    store: WorkerStore, client: Any, keys: Keys
) -> None:
    """A job whose queue has become something else stays on record until it can go back."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    client.set(keys.queue("email"), "x")
    with pytest.raises(WrongKeyType, match="The Redis key 'resque:queue:email' does not hold"):
        store.step(BACK, None)
    client.delete(keys.queue("email"))
    assert store.step(BACK, None).finish == "back"
    assert client.lrange(keys.queue("email"), 0, -1) == [A]


@pytest.mark.parametrize(
    "key",
    [
        KEYS.stat("processed"), KEYS.stat("failed", ID), KEYS.queues, KEYS.failed_queues,
        KEYS.pause, KEYS.attempts,
    ],
)  # fmt: skip
def test_other_keys_of_the_wrong_type_cost_no_job(client: Any, keys: Keys, key: str) -> None:
    """Counters and sets that are something else are passed over: they must not cost a job."""
    client.delete(key)
    client.zadd(key, {"x": 1})
    store = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
    store.heartbeat()
    client.rpush(keys.queue("email"), A, B, B)
    assert store.step(NOTHING, ["email"]).raw == A
    entries = [FailedEntry("resque:email_failed", b"entry", "email_failed")]
    assert store.step(Finish("failed", entries), ["email"]).raw == B
    assert store.step(lost(), ["email"]).raw == B
    assert store.step(BACK, ["email"]).raw == B
    assert store.step(DONE, ["email"]).raw == B
    assert store.step(DONE, ["email"]).found == "empty"
    assert client.lrange("resque:email_failed", 0, -1) == [b"entry"]
    assert client.zrange(key, 0, -1) == [b"x"]
