"""Workers of every language are read as they are, and a dead one is rescued exactly once."""

import json
import threading
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import WrongKeyType
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_store import NOTHING, FailedEntry, Finish, WorkerStore
from resque_fork.store.workers import Found, Workers
from resque_fork.wire.keys import Keys
from resque_fork.wire.unreadable import reference

from .conftest import ID, IDENTITY, BothWays, dump, fill

A, B = b'{"class":"A","args":[]}', b'{"class":"B","args":[[]]}'
RUBY = "vm:7:email"
RECORD = b'{"queue":"email","run_at":"2026-11-23T06:51:50Z","payload":' + A + b"}"


@pytest.fixture
def workers(client: Any, keys: Keys) -> Workers:
    return Workers(client, keys)


def dead_worker(client: Any, *payloads: bytes, max_attempts: int = 1) -> WorkerStore:
    """The WorkerStore of one of our workers that has died over the first of the payloads."""
    store = WorkerStore(client, Keys(), ID, IDENTITY, max_attempts)
    store.heartbeat()
    if payloads:
        client.sadd("resque:queues", "email")
        client.rpush("resque:queue:email", *payloads)
        assert store.step(NOTHING, ["email"]).found in ("job", "unread")
    return store


def dead_ruby_worker(client: Any, record: bytes | None = RECORD) -> None:
    """What a Ruby worker leaves that was killed over a job."""
    client.sadd("resque:workers", RUBY)
    client.set(f"resque:worker:{RUBY}:started", "2026-11-23 06:51:48 +0000")
    client.hset("resque:workers:heartbeat", RUBY, "2026-11-23T06:51:48+00:00")
    if record is not None:
        client.set(f"resque:worker:{RUBY}", record)


def prune_as_ruby_does(client: Any) -> None:
    """Remove our worker as Ruby does, which knows nothing of ``fork:*``."""
    client.srem("resque:workers", ID)
    client.hdel("resque:workers:heartbeat", ID)
    names = ("worker:{}", "worker:{}:started", "stat:processed:{}", "stat:failed:{}")
    client.delete(*(f"resque:{name.format(ID)}" for name in names))


def mark(store: WorkerStore) -> dict[bytes, bytes]:
    """What a rescue leaves for a worker that lives after all: the step whose job it took."""
    return {f"resque:fork:rescued:{store.token}".encode(): b"1"}


def to_fail(text: bytes = b"entry") -> Finish:
    return Finish("failed", [FailedEntry("resque:failed", text)])


# --- reading


def test_nobody(workers: Workers) -> None:
    """Where there are no workers there is nothing of them, and no error."""
    assert workers.ids() == workers.own_ids() == workers.all_ids() == []
    assert workers.own_heartbeat(ID) == 0
    assert workers.records([]) == workers.heartbeats() == workers.process(ID) == {}
    assert workers.started(ID) is None
    assert not workers.exists(ID)
    assert workers.find(ID) == Found(ID, {})


def test_heartbeat_read(workers: Workers, client: Any) -> None:
    """Heartbeats are read in every form, and what cannot be read is None, not an error."""
    beats = {
        "a": "2026-11-23T06:51:48+00:00",
        "b": "2026-11-23T01:51:48-05:00",
        "c": "garbage",
        "d": "1795416708",
    }
    client.hset("resque:workers:heartbeat", mapping=beats)
    assert workers.heartbeats() == {"a": 1795416708, "b": 1795416708, "c": None, "d": 1795416708}


def test_old_heartbeat_replaced_at_start(workers: Workers, client: Any) -> None:
    """A heartbeat that an earlier worker left under our id is replaced by our first."""
    client.hset("resque:workers:heartbeat", ID, "2020-01-01T00:00:00+00:00")
    dead_worker(client)
    beat = workers.heartbeats()[ID]
    assert beat is not None
    assert abs(workers.now() - beat) < 60


def test_reads_ours_and_rubys(workers: Workers, client: Any) -> None:
    """Ids, start and job of our workers and of Ruby's are read alike; ours say who they are."""
    store = dead_worker(client, A)
    dead_ruby_worker(client)
    assert workers.ids() == workers.all_ids() == sorted([ID, RUBY])
    assert workers.own_ids() == [ID]
    assert workers.exists(RUBY)
    assert workers.own_heartbeat(ID) == workers.heartbeats()[ID]
    assert workers.own_heartbeat(RUBY) == 0
    assert workers.started(RUBY) == 1795416708
    assert workers.records([ID, RUBY, "none"]).keys() == {ID, RUBY}
    assert workers.process(RUBY) == {}
    found = workers.find(ID)
    assert found.process["token"] == store.token
    assert found.process.items() >= IDENTITY.items()
    assert found.record == client.get(f"resque:worker:{ID}")
    assert workers.find(RUBY) == Found(RUBY, {}, RECORD)


def test_ours_is_found_after_ruby_took_it_off(workers: Workers, client: Any) -> None:
    """What Ruby removes of a worker of ours leaves its id, its heartbeat and its job to us."""
    dead_worker(client, b"oops")
    beat = workers.heartbeats()[ID]
    prune_as_ruby_does(client)
    assert (workers.ids(), workers.heartbeats()) == ([], {})
    assert workers.own_ids() == workers.all_ids() == [ID]
    assert workers.exists(ID)
    assert workers.own_heartbeat(ID) == beat
    assert workers.find(ID).record == b"oops"


def test_unknown_worker(workers: Workers, client: Any) -> None:
    """Nothing is found of an id that is not registered, and looking for it writes nothing."""
    dead_ruby_worker(client)
    before = {key: client.dump(key) for key in client.keys("*")}
    assert workers.find("vm:99:none") == Found("vm:99:none", {}, None)
    assert not workers.exists("vm:99:none")
    assert workers.started("vm:99:none") is None
    assert workers.process("vm:99:none") == {}
    assert {key: client.dump(key) for key in client.keys("*")} == before


def test_unread_job_is_found(workers: Workers, client: Any) -> None:
    """A job that is not fit for others' eyes is found with its queue and its bytes."""
    dead_worker(client, b"oops")
    found = workers.find(ID)
    assert (found.record, found.unread, found.queue) == (b"oops", True, "email")


# --- rescuing


def test_rescue_to_the_failed_list(workers: Workers, client: Any) -> None:
    """A dead worker's job becomes a failed entry and is counted; nothing else of it is left."""
    store = dead_worker(client, A)
    found = workers.find(ID)
    assert workers.rescue(found, to_fail(), queue="email", raw=A) == "failed"
    assert dump(client) == {
        b"resque:queues": {b"email"},
        b"resque:failed": [b"entry"],
        b"resque:stat:failed": b"1",
        **mark(store),
    }


def test_rescue_to_its_queue(workers: Workers, client: Any) -> None:
    """A dead worker's job goes back to the front of its queue, byte for byte."""
    dead_worker(client, B, A, max_attempts=3)
    found = workers.find(ID)
    answer = workers.rescue(found, Finish("lost"), queue="email", raw=B, max_attempts=3)
    assert answer == "requeued"
    assert client.lrange("resque:queue:email", 0, -1) == [B, A]
    assert not client.exists("resque:stat:failed", "resque:failed")


def test_job_that_kills_its_workers_is_poison(workers: Workers, client: Any) -> None:
    """A job whose workers die over it again and again fails in the end, as poison."""
    answers = []
    dead_worker(client, A, max_attempts=3)
    for _ in range(3):
        found = workers.find(ID)
        answers.append(
            workers.rescue(
                found,
                Finish("lost", to_fail(b"poison").entries),
                queue="email",
                raw=A,
                max_attempts=3,
            )
        )
        store = WorkerStore(client, Keys(), ID, IDENTITY, 3)
        store.heartbeat()
        store.step(NOTHING, ["email"])
    assert answers == ["requeued", "requeued", "failed"]
    assert client.lrange("resque:failed", 0, -1) == [b"poison"]
    assert not client.exists("resque:fork:attempts", "resque:queue:email")


@pytest.mark.parametrize("record", [RECORD, b"", b"oops"])
def test_rescue_of_a_foreign_worker(workers: Workers, client: Any, record: bytes) -> None:
    """A Ruby worker's job is rescued too, even if its record cannot be read."""
    dead_ruby_worker(client, record)
    found = workers.find(RUBY)
    assert found.record == record
    assert workers.rescue(found, to_fail()) == "failed"
    assert dump(client) == {b"resque:failed": [b"entry"], b"resque:stat:failed": b"1"}


def test_rescue_without_a_job(workers: Workers, client: Any) -> None:
    """A dead worker without a job is removed, and that is all."""
    dead_worker(client)
    dead_ruby_worker(client, None)
    for worker_id in (ID, RUBY):
        assert workers.rescue(workers.find(worker_id)) == "rescued"
        assert workers.rescue(workers.find(worker_id)) == "changed"
    assert dump(client) == {}


def test_rescue_of_an_unread_job(workers: Workers, client: Any) -> None:
    """A job that nobody but us could see is rescued like any other."""
    dead_worker(client, b"oops")
    found = workers.find(ID)
    assert workers.rescue(found, Finish("lost"), queue="email", raw=b"oops", max_attempts=9) == (
        "requeued"
    )
    assert client.lrange("resque:queue:email", 0, -1) == [b"oops"]


@pytest.mark.parametrize("payloads", [[b"oops"], []], ids=["with a job", "without"])
@pytest.mark.parametrize("lost", ["", f"resque:fork:{ID}"], ids=["process known", "unknown"])
def test_rescue_after_ruby_took_it_off(
    workers: Workers, client: Any, payloads: list[bytes], lost: str
) -> None:
    """What Ruby left of a worker of ours is rescued once, and nothing of it stays."""
    store = dead_worker(client, *payloads)
    prune_as_ruby_does(client)
    client.delete("resque:queues", lost)
    found = workers.find(ID)
    finish, answer = (to_fail(), "failed") if payloads else (NOTHING, "rescued")
    answers = [workers.rescue(found, finish, queue="email") for _ in range(10)]
    assert answers == [answer, *["changed"] * 9]
    failed = {b"resque:failed": [b"entry"], b"resque:stat:failed": b"1"}
    marked = {} if lost else mark(store)
    assert dump(client) == ({**failed, **marked} if payloads else {})


def test_empty_payload_is_a_payload(workers: Workers, client: Any) -> None:
    """Even a job of no bytes at all is not lost with its worker."""
    dead_worker(client, b"")
    found = workers.find(ID)
    assert found.record == b""
    assert workers.rescue(found, to_fail(), queue="email") == "failed"
    assert client.lrange("resque:failed", 0, -1) == [b"entry"]


def test_ten_rescuers_rescue_once(workers: Workers, client: Any, redis_url: str) -> None:
    """Of ten that find the same dead worker at once, one rescues its job."""
    dead_worker(client, A)
    found = workers.find(ID)
    start = threading.Barrier(10)
    answers: list[str] = []

    def rescue() -> None:
        with BothWays(RedisURL(redis_url)) as own:
            start.wait(30)
            mine = Workers(own, Keys())
            answers.append(mine.rescue(found, to_fail(), queue="email", raw=A))

    threads = [threading.Thread(target=rescue) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == ["changed"] * 9 + ["failed"]
    assert client.lrange("resque:failed", 0, -1) == [b"entry"]
    assert client.get("resque:stat:failed") == b"1"


def test_living_worker_is_not_rescued(workers: Workers, client: Any) -> None:
    """A worker that has gone on since it was found keeps its job."""
    store = dead_worker(client, A, B)
    found = workers.find(ID)
    store.step(Finish("done"), ["email"])
    before = dump(client)
    assert workers.rescue(found, to_fail(), queue="email", raw=A) == "changed"
    idle = Found(ID, workers.process(ID))
    assert workers.rescue(idle) == "changed"
    assert dump(client) == before


def test_successor_under_the_same_id_is_not_rescued(workers: Workers, client: Any) -> None:
    """A new process under a dead one's id is another worker, even with an equal job."""
    dead_worker(client, A)
    found = workers.find(ID)
    workers.rescue(found, Finish("lost"), queue="email", raw=A, max_attempts=9)
    store = WorkerStore(client, Keys(), ID, IDENTITY)
    store.heartbeat()
    store.step(NOTHING, ["email"])
    record = client.get(f"resque:worker:{ID}")
    client.set(f"resque:worker:{ID}", found.record)  # the same second
    assert workers.rescue(found, to_fail(), queue="email", raw=A) == "changed"
    assert client.get(f"resque:worker:{ID}") == found.record
    assert record is not None


def test_worker_that_finishes_after_its_rescue(workers: Workers, client: Any) -> None:
    """A worker that was taken for dead and comes back counts nothing for the rescued job."""
    store = dead_worker(client, A)
    workers.rescue(workers.find(ID), to_fail(), queue="email", raw=A)
    assert store.step(Finish("done"), ["email"]).finish == "gone"
    assert not client.exists("resque:stat:processed")


def test_rescue_that_is_refused_changes_nothing(workers: Workers, client: Any) -> None:
    """Where the job cannot go, the dead worker keeps it until it can."""
    dead_worker(client, A)
    found = workers.find(ID)
    client.set("resque:failed", "x")
    before = dump(client)
    with pytest.raises(WrongKeyType) as caught:
        workers.rescue(found, to_fail(), queue="email", raw=A)
    assert caught.value.reason == "WRONGTYPE resque:failed is a string, not a list"
    client.set("resque:queue:email", "x")
    with pytest.raises(WrongKeyType, match="The Redis key 'resque:queue:email' does not hold"):
        workers.rescue(found, Finish("lost"), queue="email", raw=A, max_attempts=9)
    client.delete("resque:queue:email")
    assert dump(client) == before


def test_rescue_while_redis_is_full(full_server: embedded.Server) -> None:
    """With memory at its limit dead workers are rescued all the same, to wherever it may be."""
    with BothWays(RedisURL(full_server.url)) as client:
        workers = Workers(client, Keys())
        dead_worker(client, A)
        dead_ruby_worker(client)
        fill(client)
        found = workers.find(ID)
        assert workers.rescue(found, Finish("lost"), queue="email", raw=A, max_attempts=9) == (
            "requeued"
        )
        assert workers.rescue(workers.find(RUBY), to_fail(b"x" * 5000)) == "failed"
        assert client.llen("resque:queue:email") == client.llen("resque:failed") == 1


# --- the lock


def test_lock_holds_others_off(workers: Workers, client: Any) -> None:
    """A lock of our own is taken by one, for a time; Ruby's is left to Ruby."""
    assert workers.lock_pruning(ID, 60)
    assert not workers.lock_pruning(RUBY, 60)
    assert client.get("resque:fork:pruning") == ID.encode()
    assert 0 < client.ttl("resque:fork:pruning") <= 60
    assert not client.exists("resque:pruning_dead_workers_in_progress")


def test_while_a_ruby_worker_looks_for_the_dead(workers: Workers, client: Any) -> None:
    """A Ruby worker that is pruning may have a dead Ruby worker in hand, but none of ours."""
    dead_worker(client, A)
    dead_ruby_worker(client)
    client.set("resque:pruning_dead_workers_in_progress", "ruby:1:*")
    found = workers.find(RUBY)
    assert workers.rescue(found, to_fail(), heeding_ruby=True) == "changed"
    found = workers.find(ID)
    assert workers.rescue(found, to_fail(), heeding_ruby=True) == "failed"
    assert workers.rescue(workers.find(RUBY), to_fail()) == "failed"
    assert client.get("resque:pruning_dead_workers_in_progress") == b"ruby:1:*"


# --- who dies of rescuing


def rescuers(client: Any, count: int) -> list[Workers]:
    return [Workers(client, Keys()) for _ in range(count)]


def grow_old(client: Any) -> None:
    """Let the time pass that a rescuer has to itself."""
    field = f"rescue:{ID}"
    tries, _, who = client.hget("resque:fork:attempts", field).split(b" ")
    client.hset("resque:fork:attempts", field, b"%b 0 %b" % (tries, who))


def test_one_rescuer_at_a_time(client: Any) -> None:
    """Whoever finds a job has it to itself for a while, and may look again."""
    dead_worker(client, A)
    first, second = rescuers(client, 2)
    assert not first.find(ID, 3).busy
    assert first.find(ID, 3).record is not None
    assert second.find(ID, 3) == Found(ID, second.process(ID), busy=True)
    first.release(ID)
    assert second.find(ID, 3).record is not None


@pytest.mark.parametrize("payload", [A, b"oops" * 30_000], ids=["worker:<id>", "fork:unread"])
def test_job_that_rescuers_die_of_is_given_up(client: Any, payload: bytes) -> None:
    """After so many that came no further its bytes are read by nobody, and kept."""
    dead_worker(client, payload)
    *dying, last = rescuers(client, 4)
    for workers in dying:
        assert workers.find(ID, 3).record is not None
        grow_old(client)
    found = last.find(ID, 3)
    assert (found.hopeless, found.record) == (True, b"")
    assert last.rescue(found, to_fail(b'{"a":1,"payload":{},"exception":"x"}')) == "failed"
    (raw,) = client.lrange("resque:failed", 0, -1)
    key = json.loads(raw)["payload"]["args"][0]["key"]
    held = client.get(key) if client.type(key) == b"string" else client.hget(key, "payload")
    assert payload in held
    assert not client.exists("resque:fork:attempts")


def test_kept_bytes_come_back(client: Any, keys: Keys) -> None:
    """A payload that names the key of its bytes is exchanged for them, on record and in hand."""
    client.hset("resque:fork:kept:x", mapping={"payload": b"oops", "queue": "old"})
    store = dead_worker(client, reference("resque:fork:kept:x"))
    assert store.redeem("resque:fork:kept:x") == b"oops"
    assert store.redeem("resque:fork:kept:x") == b"oops"  # the reply was lost
    assert not client.exists("resque:fork:kept:x")
    assert Workers(client, keys).find(ID).record == b"oops"
    store.step(Finish("back"), None)
    assert client.lrange("resque:queue:email", 0, -1) == [b"oops"]
    assert store.redeem("resque:fork:kept:x") is None
    assert store.redeem("resque:workers") is None
