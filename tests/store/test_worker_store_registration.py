"""A worker registers, sends heartbeats, finds its name taken, and unregisters."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import NameTaken
from resque_fork.store import scripts
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.wire.keys import Keys
from resque_fork.wire.times import read_time

from .conftest import DONE, ID, IDENTITY, A, B, BothWays, counts, dump, failed, push


def test_registers(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A worker that is registered stands in all the places where Ruby looks, in Ruby's forms."""
    assert client.smembers(keys.workers) == client.smembers(keys.own_workers) == {ID.encode()}
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", client.get(keys.started(ID)))
    beat = client.hget(keys.heartbeats, ID)
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", beat)
    assert client.hgetall(keys.fork(ID)) == {
        b"token": store.token.encode(),
        b"step": b"0",
        b"finish": b"none",
        b"beat": beat,
        **{name.encode(): value.encode() for name, value in IDENTITY.items()},
    }


def test_heartbeat_by_server_clock(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A heartbeat is the time of the server's clock, to the second."""
    before = client.time()[0]
    assert not store.heartbeat()
    beat = read_time(client.hget(keys.heartbeats, ID).decode())
    assert beat is not None
    assert before <= beat <= client.time()[0]


def test_same_store_over_another_connection(store: WorkerStore, redis_url: str) -> None:
    """A heartbeat sent over another connection is the same worker's."""
    with BothWays(RedisURL(redis_url)) as other:
        assert not store.on(other).heartbeat()


@given(st.integers(0, 253402300799))
def test_time_in_lua(long_client: Any, seconds: int) -> None:
    """The script's own calendar is the calendar."""
    source = scripts.script("heartbeat").source.split("-- Say that")[0]
    told = long_client.eval(f"{source}\nreturn iso_time(tonumber(ARGV[1]))", 0, seconds)
    assert told.decode() == datetime.fromtimestamp(seconds, UTC).isoformat()


def test_registers_again_what_a_peer_took_off(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A heartbeat that finds its worker unregistered registers it anew, and its steps go on."""
    push(client, "email", A, B)
    store.step(NOTHING, ["email"])
    started = client.get(keys.started(ID))
    client.srem(keys.workers, ID)
    client.hdel(keys.heartbeats, ID)
    client.delete(keys.started(ID))
    assert client.smembers(keys.own_workers) == {ID.encode()}
    assert store.heartbeat()
    assert not store.heartbeat()
    assert client.get(keys.started(ID)) == started
    client.delete(keys.own_workers)
    assert store.heartbeat()
    assert client.smembers(keys.own_workers) == {ID.encode()}
    step = store.step(DONE, ["email"])
    assert (step.finish, step.raw) == ("done", B)


def test_everything_gone_is_registered_again(store: WorkerStore, client: Any, keys: Keys) -> None:
    """After a flush the worker registers anew, writes what became of its job, and goes on."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    client.flushall()
    push(client, "email", B)
    step = store.step(DONE, ["email"])
    assert (step.finish, step.raw) == ("done", B)
    assert counts(client) == (1, 0, 1, 0)
    assert client.smembers(keys.workers) == {ID.encode()}


def test_another_worker_with_our_id(store: WorkerStore, client: Any, keys: Keys) -> None:
    """Of two processes with one id the second changes nothing, and is told what to do."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    before = dump(client)
    other = WorkerStore(client, keys, ID, IDENTITY)
    for act in (other.heartbeat, lambda: other.step(DONE, ["email"])):
        with pytest.raises(NameTaken, match=f"has taken the worker id '{re.escape(ID)}'"):
            act()
    other.describe("A", True)
    other.unregister()
    assert dump(client) == before


def test_unregister_leaves_nothing_of_ours(client: Any, store: WorkerStore, keys: Keys) -> None:
    """After a clean exit only what belongs to the fleet is left."""
    push(client, "email", A, b"oops")
    store.step(NOTHING, ["email"])
    store.step(failed(b"entry"), ["email"])
    store.unregister()
    assert dump(client) == {
        b"resque:queues": {b"email"},
        b"resque:failed": [b"entry"],
        b"resque:stat:processed": b"1",
        b"resque:stat:failed": b"1",
    }
    store.unregister()


def test_unregister_after_a_peer_took_it_off(client: Any, store: WorkerStore, keys: Keys) -> None:
    """A clean exit leaves nothing either if a Ruby worker has removed what it knows of."""
    client.delete(keys.workers, keys.heartbeats, keys.started(ID))
    store.unregister()
    assert dump(client) == {}


def test_own_counters_deleted_at_exit(client: Any, store: WorkerStore, keys: Keys) -> None:
    """A worker's own counters go with it; the fleet's stay."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    store.step(DONE, None)
    assert counts(client) == (1, 0, 1, 0)
    store.unregister()
    assert counts(client) == (1, 0, 0, 0)
