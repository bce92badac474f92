"""The step has a job come back: in the delayed set or its queue, with a state that counts."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.errors import RedisRefused, WrongKeyType
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.retries import Comeback, RetryState
from resque_fork.store.worker_store import FailedEntry, Finish, WorkerStore
from resque_fork.store.workers import Workers
from resque_fork.wire.delayed import delayed_item, digest_of
from resque_fork.wire.job import Payload
from resque_fork.wire.keys import Keys

from .conftest import DONE, ID, IDENTITY, KEYS, A, BothWays, counts, dump, fill, push

PAYLOAD = Payload.parse(A)
DIGEST = digest_of(PAYLOAD)
STATE = KEYS.retry(DIGEST)
ITEM = delayed_item(PAYLOAD, "low")
WEEK = 7 * 86400


def later(seconds: float = 60, retries: int | None = 3, queue: str = "low") -> Finish:
    """The job on record is to come back."""
    item = delayed_item(PAYLOAD, queue)
    comeback = Comeback(seconds, retries, queue, item, "OSError", "gone")
    return Finish("later", [FailedEntry(KEYS.failed, b"entry")], DIGEST, comeback)


def known(finish: Finish = DONE) -> Finish:
    """An end of a job that has failed before."""
    return replace(finish, digest=DIGEST)


def reserved(store: WorkerStore, client: Any) -> None:
    push(client, "low", A)
    assert store.step(Finish("none"), ["low"]).found == "job"


def state(client: Any) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in client.hgetall(STATE).items()}


def seconds_of(client: Any) -> list[int]:
    return [int(moment) for moment in client.zrange(KEYS.delayed_times, 0, -1)]


# --- coming back


def test_job_waits_in_the_delayed_set(store: WorkerStore, client: Any) -> None:
    """As resque-scheduler would have put it there, on the next whole second, never before."""
    reserved(store, client)
    before = time.time()
    step = store.step(later(0.25), ["low"])
    after = time.time()
    assert (step.finish, step.found) == ("later", "empty")
    [due] = seconds_of(client)
    assert before + 0.25 <= due <= after + 1.25
    assert client.zscore(KEYS.delayed_times, str(due)) == due
    assert client.lrange(KEYS.delayed(due), 0, -1) == [ITEM]
    assert client.smembers(KEYS.timestamps(ITEM)) == {b"delayed:%d" % due}
    assert not client.exists(KEYS.worker(ID), KEYS.failed, KEYS.queue("low"))
    assert counts(client) == (1, 0, 1, 0)


def test_state(store: WorkerStore, client: Any) -> None:
    """It tells how often the job has failed, since when, of what, and when it is due; it is
    kept for a week after that."""
    now = int(time.time())
    for failures in (1, 2):
        reserved(store, client)
        store.step(later(failures * 100), None)
        found = state(client)
        assert int(found.pop("first")) - now in (0, 1)
        due = max(seconds_of(client))
        assert found == {
            "attempt": str(failures),
            "due": str(due),
            "queue": "low",
            "exception": "OSError",
            "error": "gone",
            "waiting": str(failures),
        }
        assert client.zrange(KEYS.retries, 0, -1, withscores=True) == [(DIGEST.encode(), due)]
        for key in (STATE, KEYS.retries):
            assert client.expiretime(key) == due + WEEK
    assert store.retry_state(DIGEST) == RetryState(2, float(state(client)["first"]))


def test_without_a_delay(store: WorkerStore, client: Any) -> None:
    """It goes to the end of its queue, byte for byte, and does not wait."""
    reserved(store, client)
    push(client, "low", b"other")
    step = store.step(later(0), ["low"])
    assert (step.raw, client.lrange(KEYS.queue("low"), 0, -1)) == (b"other", [A])
    assert state(client)["waiting"] == "0"
    assert not client.exists(KEYS.delayed_times)


def test_another_queue(store: WorkerStore, client: Any) -> None:
    """It becomes known where its jobs go at once."""
    reserved(store, client)
    store.step(later(0, queue="again"), None)
    assert client.lrange(KEYS.queue("again"), 0, -1) == [A]
    assert client.smembers(KEYS.queues) == {b"low", b"again"}


def test_last_attempt(store: WorkerStore, client: Any) -> None:
    """What counts is what stands there now: an equal job may have used the attempts up. Then the
    failed entry is written, and nothing else of it is left."""
    for _ in range(2):
        reserved(store, client)
        assert store.step(later(0, retries=2), ["low"]).finish == "later"
        store.step(DONE, None)
        client.delete(KEYS.queue("low"))
    reserved(store, client)
    assert store.step(later(0, retries=2), None).finish == "failed"
    assert client.lrange(KEYS.failed, 0, -1) == [b"entry"]
    assert not client.exists(STATE, KEYS.retries, KEYS.queue("low"))
    assert client.get(KEYS.stat("failed")) == b"1"


def test_one_that_does_not_count(store: WorkerStore, client: Any) -> None:
    """It comes back however often it has failed."""
    for _ in range(5):
        reserved(store, client)
        assert store.step(later(60, retries=None), None).finish == "later"
    assert state(client)["attempt"] == "0"
    assert state(client)["waiting"] == "5"


def test_repeated_step(store: WorkerStore, client: Any) -> None:
    """A step whose reply was lost changes nothing when it is sent again."""
    reserved(store, client)
    other = WorkerStore(client, KEYS, ID, IDENTITY)
    other.token, other._number, other._held = store.token, store._number, store._held
    assert store.step(later(), ["low"]).finish == "later"
    before = dump_all(client)
    assert other.step(later(), ["low"]).finish == "later"
    assert dump_all(client) == before


def dump_all(client: Any) -> dict[bytes, Any]:
    zset = {key for key in client.scan_iter() if client.type(key) == b"zset"}
    values = {key: client.zrange(key, 0, -1, withscores=True) for key in zset}
    for key in zset:
        client.rename(key, b"zset:" + key)
        client.delete(b"zset:" + key)
    rest = dump(client)
    for key, members in values.items():
        client.zadd(key, dict(members))
    return {**rest, **values}


def test_rescued_meanwhile(store: WorkerStore, client: Any) -> None:
    """A retry that finds its job rescued schedules nothing."""
    reserved(store, client)
    found = Workers(client, KEYS).find(ID)
    Workers(client, KEYS).rescue(found, Finish("failed", [FailedEntry(KEYS.failed, b"rescued")]))
    assert store.step(later(), None).finish == "gone"
    assert not client.exists(KEYS.delayed_times, STATE)
    assert client.lrange(KEYS.failed, 0, -1) == [b"rescued"]


# --- the end


@pytest.mark.parametrize("verb", ["done", "failed"])
def test_end_forgets(store: WorkerStore, client: Any, verb: str) -> None:
    """Once nothing equal waits, its success or failure ends the count."""
    reserved(store, client)
    store.step(later(0), ["low"])
    store.step(known(Finish(verb, [FailedEntry(KEYS.failed, b"entry")])), None)
    assert not client.exists(STATE, KEYS.retries)


def test_end_of_a_twin(store: WorkerStore, client: Any) -> None:
    """While an equal job waits for its retry the count stays: else it would never end."""
    reserved(store, client)
    store.step(later(600), None)
    reserved(store, client)
    store.step(known(), None)
    assert state(client)["attempt"] == "1"


def test_gate(store: WorkerStore, client: Any) -> None:
    """The step says whether anything at all is retried: else no worker asks for a state."""
    push(client, "low", A, A)
    assert not store.step(Finish("none"), ["low"]).retries
    assert store.step(later(), ["low"]).retries


# --- what stands in the way


@pytest.mark.parametrize("value", [b"x", b"-1", b"", b"nan", b"inf", b"9" * 400])
def test_state_of_others(store: WorkerStore, client: Any, value: bytes) -> None:
    """What cannot be a count is none, and is replaced by one."""
    client.hset(STATE, mapping={"attempt": value, "first": value, "due": value, "waiting": value})
    assert store.retry_state(DIGEST) is None
    reserved(store, client)
    finish = store.step(later(), None).finish
    if value == b"9" * 400:
        assert finish == "failed"
    else:
        assert (finish, state(client)["attempt"]) == ("later", "1")


def test_state_of_another_type(store: WorkerStore, client: Any) -> None:
    """Nobody but us writes that key: it is replaced."""
    client.set(STATE, "in the way")
    assert store.retry_state(DIGEST) is None
    reserved(store, client)
    assert store.step(later(), None).finish == "later"
    assert state(client)["attempt"] == "1"


def test_second_that_is_taken(store: WorkerStore, client: Any) -> None:
    """Where a key of another type stands at its second, the job waits for the next."""
    reserved(store, client)
    now = int(time.time())
    for moment in range(now, now + 70):
        client.set(KEYS.delayed(moment), "in the way")
    store.step(later(1), None)
    assert seconds_of(client) == [now + 70]


def test_index_of_another_type(store: WorkerStore, client: Any) -> None:
    """The index is a hint: it costs no job."""
    client.set(KEYS.timestamps(ITEM), "in the way")
    reserved(store, client)
    assert store.step(later(), None).finish == "later"
    assert len(seconds_of(client)) == 1


@pytest.mark.parametrize("key", [KEYS.delayed_times, KEYS.retries, KEYS.failed])
def test_wrong_type(store: WorkerStore, client: Any, key: str) -> None:
    """The error names the key; nothing has changed, and the step goes through once it is gone."""
    reserved(store, client)
    client.set(key, "in the way")
    before = dump(client)
    with pytest.raises(WrongKeyType) as caught:
        store.step(later(), ["low"])
    assert caught.value.key == key
    assert dump(client) == before
    client.delete(key)
    assert store.step(later(), ["low"]).finish == "later"


def test_queue_of_another_type(store: WorkerStore, client: Any) -> None:
    """Matters only to a job that goes there at once."""
    reserved(store, client)
    client.set(KEYS.queue("again"), "in the way")
    with pytest.raises(WrongKeyType) as caught:
        store.step(later(0, queue="again"), None)
    assert caught.value.key == KEYS.queue("again")
    assert store.step(later(1, queue="again"), None).finish == "later"


@pytest.mark.parametrize("command", ["zadd", "rpush"])
def test_forbidden(store: WorkerStore, client: Any, redis_url: str, command: str) -> None:
    """A user who may not do all of it does none of it."""
    reserved(store, client)
    client.execute_command(
        "ACL", "SETUSER", "less", "reset", "on", ">pw", "~*", "&*", "+@all", f"-{command}"
    )
    with BothWays(RedisURL(redis_url.replace("unix://", "unix://less:pw@"))) as less:
        assert less.execute_command("ACL", "WHOAMI") == b"less"
        before = dump(client)
        with pytest.raises(RedisRefused):
            store.on(less).step(later(0 if command == "rpush" else 60), None)
        assert dump(client) == before
    assert store.step(later(), None).finish == "later"


def test_full_server(full_server: embedded.Server) -> None:
    """A server without memory refuses nothing half way: the job waits, and is counted."""
    with BothWays(RedisURL(full_server.url)) as client:
        store = WorkerStore(client, KEYS, ID, IDENTITY)
        store.heartbeat()
        reserved(store, client)
        fill(client)
        assert store.step(later(), None).finish == "later"
        assert len(seconds_of(client)) == 1
        assert state(client)["attempt"] == "1"
        client.config_set("maxmemory", 0)


def test_large_item_has_no_index(store: WorkerStore, client: Any) -> None:
    """The key would be as large as the payload."""
    raw = b'{"class":"A","args":["%b"]}' % (b"x" * 70_000)
    item = delayed_item(replace(Payload.undecoded(raw), vouched=True), "low")
    push(client, "low", raw)
    store.step(Finish("none"), ["low"])
    comeback = Comeback(60, 3, "low", item, "OSError", "gone")
    store.step(Finish("later", [], "digest", comeback), None)
    assert client.lrange(KEYS.delayed(seconds_of(client)[0]), 0, -1) == [item]
    assert not client.exists(KEYS.timestamps(item))


# --- rescuing


def test_rescued_job_comes_back(store: WorkerStore, client: Any) -> None:
    """Whoever rescues it counts the attempt, and has it wait, in the same script."""
    reserved(store, client)
    workers = Workers(client, KEYS)
    found = workers.find(ID)
    answers = [workers.rescue(found, later(), queue="low", raw=A) for _ in range(5)]
    assert answers == ["later", *["changed"] * 4]
    assert client.lrange(KEYS.delayed(seconds_of(client)[0]), 0, -1) == [ITEM]
    assert state(client)["attempt"] == "1"
    assert not client.exists(KEYS.worker(ID), KEYS.fork(ID), KEYS.failed)
    assert workers.retry_state(DIGEST) == store.retry_state(DIGEST)


def test_rescued_job_without_attempts_left(store: WorkerStore, client: Any) -> None:
    """Fails, is counted as failed, and its count is forgotten."""
    client.hset(STATE, mapping={"attempt": 3, "first": 1000, "due": 1000})
    reserved(store, client)
    workers = Workers(client, KEYS)
    assert workers.rescue(workers.find(ID), later(0), queue="low", raw=A) == "failed"
    assert client.lrange(KEYS.failed, 0, -1) == [b"entry"]
    assert client.get(KEYS.stat("failed")) == b"1"
    assert not client.exists(STATE, KEYS.queue("low"))


def test_rescued_job_that_fails(store: WorkerStore, client: Any) -> None:
    """The state goes with it, also where ``--on-lost=fail`` decides."""
    client.hset(STATE, mapping={"attempt": 1, "first": 1000, "due": 1000})
    reserved(store, client)
    workers = Workers(client, KEYS)
    entries = [FailedEntry(KEYS.failed, b"entry")]
    assert workers.rescue(workers.find(ID), Finish("failed", entries, DIGEST)) == "failed"
    assert not client.exists(STATE)


# --- what workers tell each other


def test_declared_retries(store: WorkerStore, client: Any) -> None:
    """Each job's declaration stands there for those that have not loaded the application; one
    that is no longer retried is taken out, and those of other applications stay."""
    workers = Workers(client, KEYS)
    store.declare_retries({"a": "A", "b": "B"})
    WorkerStore(client, KEYS, "other", IDENTITY).declare_retries({"c": "C"})
    store.declare_retries({"a": "A2", "b": None})
    assert [workers.declared_retry(name) for name in "abc"] == [b"A2", None, b"C"]
    store.declare_retries({})
    client.set(KEYS.jobs, "in the way")
    assert workers.declared_retry("a") is None
    with pytest.raises(WrongKeyType):
        store.declare_retries({"a": "A"})


def test_text_of_a_comeback() -> None:
    """What is remembered of an error is short, and can be written."""
    comeback = Comeback(1.5, None, "low", b"{}", "Odd\udc80", "x" * 5000 + "\ud800")
    seconds, retries, queue, item, exception, error = comeback.to_args()
    assert (seconds, retries, queue, item) == (1500, "", "low", b"{}")
    assert (exception, error) == ("Odd\\udc80", "x" * 1000)
    assert json.loads(comeback.naming("key").item)["args"] == [{"key": "key"}]
    assert Keys("app").scheduler_lock() == "app:app:resque_scheduler_master_lock"
