"""A step finishes the last job and reserves the next one, or does neither."""

import json
import time
from typing import Any

import pytest

from resque_fork.store.worker_store import NOTHING, FailedEntry, Finish, Step, WorkerStore
from resque_fork.wire.json import encode
from resque_fork.wire.keys import Keys
from resque_fork.wire.times import read_time

from .conftest import BACK, DONE, ID, IDENTITY, A, B, counts, lost, push

# --- reserving


def test_reserves_the_first_of_the_first_queue(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A job is taken from the first queue that has one, and put on record in the same instant."""
    push(client, "low", A)
    push(client, "email", B, A)
    before = int(time.time())
    step = store.step(NOTHING, ["none", "email", "low"])
    assert (step.finish, step.found, step.queue, step.raw, step.known) == (
        "none", "job", "email", B, 2,
    )  # fmt: skip
    record = client.get(keys.worker(ID))
    assert record == (
        b'{"queue":"email","run_at":"' + step.run_at.encode() + b'","payload":' + B + b"}"
    )
    assert before <= (read_time(step.run_at) or 0) <= time.time()
    assert client.lrange(keys.queue("email"), 0, -1) == [A]


def test_record_in_another_language_is_not_disturbed(
    store: WorkerStore, client: Any, keys: Keys
) -> None:
    """A record is JSON that Ruby's and Node's parsers read."""
    push(client, 'q"\\\n\x01ü', A)
    store.step(NOTHING, ['q"\\\n\x01ü'])
    item = json.loads(client.get(keys.worker(ID)))
    assert item["queue"] == 'q"\\\n\x01ü'
    assert list(item) == ["queue", "run_at", "payload"]


def test_order_holds_over_many_queues(store: WorkerStore, client: Any) -> None:
    """Hundreds of queues are looked at in order, whatever is where."""
    names = [f"q{i}" for i in range(300)]
    for i in (299, 64, 63, 130):
        push(client, names[i], encode({"class": str(i)}))
    taken = [store.step(DONE, names).queue for _ in range(5)]
    assert taken == ["q63", "q64", "q130", "q299", ""]


def test_nothing_to_reserve(store: WorkerStore, client: Any, keys: Keys) -> None:
    """With nothing there, or with nothing asked for, there is nothing on record."""
    push(client, "email", A)
    assert store.step(NOTHING, ["low"]) == Step("none", "empty", known=1)
    assert store.step(NOTHING, []) == Step("none", "empty", known=1)
    assert store.step(NOTHING, None) == Step("none", "none", known=1)
    assert client.get(keys.worker(ID)) is None


@pytest.mark.parametrize("word", [b"true", b" TRUE\n", b"True"])
def test_pause_key_any_case(store: WorkerStore, client: Any, keys: Keys, word: bytes) -> None:
    """The word true pauses, in any case and with blanks around it; the last job is finished."""
    push(client, "email", A, B)
    store.step(NOTHING, ["email"])
    client.set(keys.pause, word)
    assert store.step(DONE, ["email"]) == Step("done", "paused", known=1)
    assert client.llen(keys.queue("email")) == 1


def test_paused_queues_are_left_alone(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A step takes no job of a paused queue, and says which queues are paused, also repeated."""
    push(client, "email", A)
    push(client, "low", B)
    client.sadd(keys.paused_queues, "email")
    step = store.step(NOTHING, ["email", "low"])
    assert (step.found, step.queue, step.paused) == ("job", "low", ("email",))
    store._number -= 1
    assert store.step(NOTHING, ["email", "low"]).paused == ("email",)
    step = store.step(DONE, ["email", "low"])
    assert (step.finish, step.found, step.paused) == ("done", "empty", ("email",))
    client.srem(keys.paused_queues, "email")
    assert store.step(NOTHING, ["email", "low"]).queue == "email"


def test_paused_queues_in_the_way(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A key that is no set, where paused queues have theirs, pauses nothing."""
    push(client, "email", A)
    client.set(keys.paused_queues, "email")
    step = store.step(NOTHING, ["email"])
    assert (step.found, step.paused) == ("job", ())


@pytest.mark.parametrize("word", [b"1", b"yes", b"", b"truely", b"t\0rue", b"\xff"])
def test_pause_key_other_words(store: WorkerStore, client: Any, keys: Keys, word: bytes) -> None:
    """Any other word does not pause."""
    push(client, "email", A)
    client.set(keys.pause, word)
    assert store.step(NOTHING, ["email"]).found == "job"


def test_known_queues_sorted(store: WorkerStore, client: Any, keys: Keys) -> None:
    """The names of all queues come sorted, undecodable ones included."""
    client.sadd(keys.queues, "b", "a", b"\xff")
    assert store.known_queues() == ["a", "b", "\udcff"]


# --- finishing


def test_done(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that is done is counted and off the record."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    assert store.step(DONE, ["email"]) == Step("done", "empty", known=1)
    assert counts(client) == (1, 0, 1, 0)
    assert client.get(keys.worker(ID)) is None


def test_failed(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that failed is counted twice, off the record, and its entries are in their lists."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    entries = [
        FailedEntry(keys.failed, b"one"),
        FailedEntry(keys.failed_list("email_failed"), b"two", "email_failed"),
    ]
    assert store.step(Finish("failed", entries), None).finish == "failed"
    assert counts(client) == (1, 1, 1, 1)
    assert client.lrange(keys.failed, 0, -1) == [b"one"]
    assert client.lrange("resque:email_failed", 0, -1) == [b"two"]
    assert client.smembers(keys.failed_queues) == {b"email_failed"}


def test_back(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that is put back is the first of its queue again, byte for byte, and is not counted."""
    push(client, "email", B, A)
    store.step(NOTHING, ["email"])
    client.srem(keys.queues, "email")
    assert store.step(BACK, None).finish == "back"
    assert client.lrange(keys.queue("email"), 0, -1) == [B, A]
    assert client.smembers(keys.queues) == {b"email"}
    assert counts(client) == (0, 0, 0, 0)


def test_lost_too_often_is_poison(client: Any, keys: Keys) -> None:
    """A job that is lost goes back to the front; lost for the last time, it fails."""
    store = WorkerStore(client, keys, ID, IDENTITY, max_attempts=3)
    store.heartbeat()
    push(client, "email", A, B)
    finishes = []
    for _ in range(3):
        assert store.step(NOTHING, ["email"]).raw == A
        finishes.append(store.step(lost(b"pill"), None).finish)
    assert finishes == ["lost", "lost", "failed"]
    assert client.lrange(keys.failed, 0, -1) == [b"pill"]
    assert client.lrange(keys.queue("email"), 0, -1) == [B]
    assert counts(client) == (1, 1, 1, 1)
    assert not client.exists(keys.attempts)


def test_job_that_gets_through_is_no_longer_on_its_way_to_poison(client: Any, keys: Keys) -> None:
    """Losses are forgotten as soon as the job has been done."""
    store = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
    store.heartbeat()
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    store.step(lost(), ["email"])
    assert client.hlen(keys.attempts) == 1
    store.step(DONE, None)
    assert not client.exists(keys.attempts)


def test_server_that_forgot_its_scripts(store: WorkerStore, client: Any) -> None:
    """After SCRIPT FLUSH, or on a new primary, a step goes through all the same."""
    push(client, "email", A)
    client.script_flush()
    assert store.step(NOTHING, ["email"]).raw == A
    client.script_flush()
    assert store.step(DONE, None).finish == "done"
