"""Keys of a worker are lost or replaced while its job runs: the outcome is written anyway."""

from typing import Any

import pytest

from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.wire.keys import Keys

from .conftest import BACK, DONE, ID, IDENTITY, A, B, counts, failed, lost, push

FINISHES = {
    "done": (DONE, 0, []),
    "failed": (failed(b"entry"), 1, []),
    "back": (BACK, 0, [A]),
    "lost": (lost(b"pill"), 0, [A]),
}


@pytest.mark.parametrize("verb", FINISHES)
@pytest.mark.parametrize("raw", [A, b'{"class":"A","args":[1e400]}'], ids=["fit", "unread"])
@pytest.mark.parametrize("accident", ["deleted", "of the wrong type"])
@pytest.mark.parametrize("key", ["fork", "worker", "unread", "fork worker unread"])
def test_what_redis_forgot_is_put_back(
    client: Any, keys: Keys, key: str, accident: str, raw: bytes, verb: str
) -> None:
    """Whatever became of the worker's own keys: the outcome of its job is written, once."""
    store = WorkerStore(client, keys, ID, IDENTITY, max_attempts=3)
    store.heartbeat()
    push(client, "email", raw)
    store.step(NOTHING, ["email"])
    for name in key.split():
        client.delete(getattr(keys, name)(ID))
        if accident != "deleted":
            client.sadd(getattr(keys, name)(ID), "somebody else's")
    finish, entries, queue = FINISHES[verb]
    assert store.step(finish, None).finish == verb
    assert client.llen(keys.failed) == entries
    assert client.lrange(keys.queue("email"), 0, -1) == [raw for _ in queue]
    processed = int(verb in ("done", "failed"))
    assert counts(client) == (processed, entries, processed, entries)
    assert client.keys("*worker:" + ID) == []
    assert client.type(keys.unread(ID)) in (b"none", b"set")
    assert client.hget(keys.fork(ID), "token") == store.token.encode()


def test_keys_that_held_something_else_are_named(
    store: WorkerStore, client: Any, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which key was replaced."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    for key in (keys.fork(ID), keys.worker(ID)):
        client.delete(key)
        client.sadd(key, "somebody else's")
    store.step(BACK, None)
    for key in (keys.fork(ID), keys.worker(ID)):
        assert (
            f"The Redis key '{key}' held something else than a worker keeps there, "
            "and was replaced" in caplog.messages
        )
    assert "The worker was no longer registered in Redis: it registers anew" in caplog.messages


def test_record_that_was_deleted_is_said(
    store: WorkerStore, client: Any, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who deletes a record by hand is told that it did not help."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    client.delete(keys.worker(ID))
    assert store.step(DONE, None).finish == "done"
    assert caplog.messages == ["Redis has lost the record of the job: it is written anew"]


@pytest.mark.parametrize("beats", [0, 1])
def test_job_that_a_ruby_worker_listed_is_not_counted(
    store: WorkerStore, client: Any, keys: Keys, beats: int
) -> None:
    """A Ruby worker that took ours for dead has failed its job, before or after a heartbeat."""
    push(client, "email", A, B)
    store.step(NOTHING, ["email"])
    client.srem(keys.workers, ID)
    client.delete(keys.worker(ID), keys.started(ID))
    client.hdel(keys.heartbeats, ID)
    for _ in range(beats):
        store.heartbeat()
    step = store.step(failed(), ["email"])
    assert (step.finish, step.raw) == ("gone", B)
    assert counts(client) == (0, 0, 0, 0)
    assert not client.exists(keys.failed)
    assert store.step(DONE, None).finish == "done"
    assert counts(client) == (1, 0, 1, 0)


def test_step_that_went_through_before_its_registration_was_forgotten(
    client: Any, keys: Keys
) -> None:
    """The reply was lost, then the key: the job that the step took is not lost with them."""

    class Unheard:
        """A connection that loses the reply of a step, and Redis the registration."""

        def execute_command(self, *command: Any) -> Any:
            client.execute_command(*command)
            client.delete(keys.fork(ID))
            return client.execute_command(*command)

    store = WorkerStore(client, keys, ID, IDENTITY)
    store.heartbeat()
    push(client, "email", A, B, A)
    store.step(NOTHING, ["email"])
    store._redis, lost = Unheard(), store._redis
    store.on(lost)
    raw = store._step(DONE, ["email"])
    assert raw == [b"unregistered"]
    store._redis = lost
    step = store.step(DONE, ["email"])
    assert (step.finish, step.found, step.raw) == ("done", "job", B)
    assert counts(client) == (1, 0, 1, 0)
    assert client.lrange(keys.queue("email"), 0, -1) == [A]
