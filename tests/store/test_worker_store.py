"""A worker's books: a step is atomic, may be repeated, and loses nothing."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork import embedded
from resque_fork.errors import NameTaken, RedisRefused, WrongKeyType
from resque_fork.store import scripts
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_store import NOTHING, FailedEntry, Finish, Step, WorkerStore
from resque_fork.wire.json import encode
from resque_fork.wire.keys import Keys
from resque_fork.wire.times import read_time

from .conftest import ID, IDENTITY, KEYS, BothWays, dump, fill, push

DONE = Finish("done")
BACK = Finish("back")
A, B = b'{"class":"A","args":[]}', b'{"class":"B","args":[1.0,{},[]]}'


def failed(entry: bytes = b"{}", list_key: str = KEYS.failed, member: str = "") -> Finish:
    """The job on record has failed, with this entry."""
    return Finish("failed", [FailedEntry(list_key, entry, member)])


def lost(entry: bytes = b"{}") -> Finish:
    """The job on record was lost with its child; the entry is that of a poison pill."""
    return Finish("lost", [FailedEntry(KEYS.failed, entry)])


def counts(client: Any) -> tuple[int, int, int, int]:
    """Processed and failed, of the fleet, and of the worker."""
    names = [KEYS.stat(n, who) for who in (None, ID) for n in ("processed", "failed")]
    one, two, three, four = (int(value or 0) for value in client.mget(names))
    return one, two, three, four


# --- being registered


def test_registers(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A worker that is registered stands in all the places where Ruby looks, in Ruby's forms."""
    assert client.smembers(keys.workers) == client.smembers(keys.own_workers) == {ID.encode()}
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", client.get(keys.started(ID)))
    beat = client.hget(keys.heartbeats, ID)
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", beat)
    assert client.hgetall(keys.fork(ID)) == {
        b"token": books.token.encode(),
        b"step": b"0",
        b"finish": b"none",
        b"beat": beat,
        **{name.encode(): value.encode() for name, value in IDENTITY.items()},
    }


def test_heartbeat_by_server_clock(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A heartbeat is the time of the server's clock, to the second."""
    before = client.time()[0]
    assert not books.heartbeat()
    beat = read_time(client.hget(keys.heartbeats, ID).decode())
    assert beat is not None
    assert before <= beat <= client.time()[0]


@given(st.integers(0, 253402300799))
def test_time_in_lua(long_client: Any, seconds: int) -> None:
    """The script's own calendar is the calendar."""
    source = scripts.script("heartbeat").source.split("-- Say that")[0]
    told = long_client.eval(f"{source}\nreturn iso_time(tonumber(ARGV[1]))", 0, seconds)
    assert told.decode() == datetime.fromtimestamp(seconds, UTC).isoformat()


def test_registers_again_what_a_peer_took_off(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A heartbeat that finds its worker unregistered registers it anew, and its steps go on."""
    push(client, "email", A, B)
    books.step(NOTHING, ["email"])
    started = client.get(keys.started(ID))
    client.srem(keys.workers, ID)
    client.hdel(keys.heartbeats, ID)
    client.delete(keys.started(ID))
    assert client.smembers(keys.own_workers) == {ID.encode()}
    assert books.heartbeat()
    assert not books.heartbeat()
    assert client.get(keys.started(ID)) == started
    client.delete(keys.own_workers)
    assert books.heartbeat()
    assert client.smembers(keys.own_workers) == {ID.encode()}
    step = books.step(DONE, ["email"])
    assert (step.finish, step.raw) == ("done", B)


def test_everything_gone_is_registered_again(books: WorkerStore, client: Any, keys: Keys) -> None:
    """After a flush the worker registers anew, writes what became of its job, and goes on."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    client.flushall()
    push(client, "email", B)
    step = books.step(DONE, ["email"])
    assert (step.finish, step.raw) == ("done", B)
    assert counts(client) == (1, 0, 1, 0)
    assert client.smembers(keys.workers) == {ID.encode()}


def test_stranger_with_our_id(books: WorkerStore, client: Any, keys: Keys) -> None:
    """Of two processes with one id the second changes nothing, and is told what to do."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    before = dump(client)
    stranger = WorkerStore(client, keys, ID, IDENTITY)
    for act in (stranger.heartbeat, lambda: stranger.step(DONE, ["email"])):
        with pytest.raises(NameTaken, match=f"has taken the worker id '{re.escape(ID)}'"):
            act()
    stranger.describe("A", True)
    stranger.unregister()
    assert dump(client) == before


def test_unregister_leaves_nothing_of_ours(client: Any, books: WorkerStore, keys: Keys) -> None:
    """After a clean exit only what belongs to the fleet is left."""
    push(client, "email", A, b"oops")
    books.step(NOTHING, ["email"])
    books.step(failed(b"entry"), ["email"])
    books.unregister()
    assert dump(client) == {
        b"resque:queues": {b"email"},
        b"resque:failed": [b"entry"],
        b"resque:stat:processed": b"1",
        b"resque:stat:failed": b"1",
    }
    books.unregister()


def test_unregister_after_a_peer_took_it_off(client: Any, books: WorkerStore, keys: Keys) -> None:
    """A clean exit leaves nothing either if a Ruby worker has removed what it knows of."""
    client.delete(keys.workers, keys.heartbeats, keys.started(ID))
    books.unregister()
    assert dump(client) == {}


def test_own_counters_deleted_at_exit(client: Any, books: WorkerStore, keys: Keys) -> None:
    """A worker's own counters go with it; the fleet's stay."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    books.step(DONE, None)
    assert counts(client) == (1, 0, 1, 0)
    books.unregister()
    assert counts(client) == (1, 0, 0, 0)


# --- reserving


def test_reserves_the_first_of_the_first_queue(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A job is taken from the first queue that has one, and put on record in the same instant."""
    push(client, "low", A)
    push(client, "email", B, A)
    before = int(time.time())
    step = books.step(NOTHING, ["none", "email", "low"])
    assert (step.finish, step.found, step.queue, step.raw, step.known) == (
        "none", "job", "email", B, 2,
    )  # fmt: skip
    record = client.get(keys.worker(ID))
    assert record == (
        b'{"queue":"email","run_at":"' + step.run_at.encode() + b'","payload":' + B + b"}"
    )
    assert before <= (read_time(step.run_at) or 0) <= time.time()
    assert client.lrange(keys.queue("email"), 0, -1) == [A]


def test_order_holds_over_many_queues(books: WorkerStore, client: Any) -> None:
    """Hundreds of queues are looked at in order, whatever is where."""
    names = [f"q{i}" for i in range(300)]
    for i in (299, 64, 63, 130):
        push(client, names[i], encode({"class": str(i)}))
    taken = [books.step(DONE, names).queue for _ in range(5)]
    assert taken == ["q63", "q64", "q130", "q299", ""]


def test_nothing_to_reserve(books: WorkerStore, client: Any, keys: Keys) -> None:
    """With nothing there, or with nothing asked for, there is nothing on record."""
    push(client, "email", A)
    assert books.step(NOTHING, ["low"]) == Step("none", "empty", known=1)
    assert books.step(NOTHING, []) == Step("none", "empty", known=1)
    assert books.step(NOTHING, None) == Step("none", "none", known=1)
    assert client.get(keys.worker(ID)) is None


@pytest.mark.parametrize("word", [b"true", b" TRUE\n", b"True"])
def test_pause_key_any_case(books: WorkerStore, client: Any, keys: Keys, word: bytes) -> None:
    """The word true pauses, in any case and with blanks around it; the last job is finished."""
    push(client, "email", A, B)
    books.step(NOTHING, ["email"])
    client.set(keys.pause, word)
    assert books.step(DONE, ["email"]) == Step("done", "paused", known=1)
    assert client.llen(keys.queue("email")) == 1


@pytest.mark.parametrize("word", [b"1", b"yes", b"", b"truely", b"t\0rue", b"\xff"])
def test_pause_key_other_words(books: WorkerStore, client: Any, keys: Keys, word: bytes) -> None:
    """Any other word does not pause."""
    push(client, "email", A)
    client.set(keys.pause, word)
    assert books.step(NOTHING, ["email"]).found == "job"


def test_known_queues_sorted(books: WorkerStore, client: Any, keys: Keys) -> None:
    """The names of all queues come sorted, undecodable ones included."""
    client.sadd(keys.queues, "b", "a", b"\xff")
    assert books.known_queues() == ["a", "b", "\udcff"]


# --- finishing


def test_done(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that is done is counted and off the record."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    assert books.step(DONE, ["email"]) == Step("done", "empty", known=1)
    assert counts(client) == (1, 0, 1, 0)
    assert client.get(keys.worker(ID)) is None


def test_failed(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that failed is counted twice, off the record, and its entries are in their lists."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    entries = [
        FailedEntry(keys.failed, b"one"),
        FailedEntry(keys.failed_list("email_failed"), b"two", "email_failed"),
    ]
    assert books.step(Finish("failed", entries), None).finish == "failed"
    assert counts(client) == (1, 1, 1, 1)
    assert client.lrange(keys.failed, 0, -1) == [b"one"]
    assert client.lrange("resque:email_failed", 0, -1) == [b"two"]
    assert client.smembers(keys.failed_queues) == {b"email_failed"}


def test_back(books: WorkerStore, client: Any, keys: Keys) -> None:
    """A job that is put back is the first of its queue again, byte for byte, and is not counted."""
    push(client, "email", B, A)
    books.step(NOTHING, ["email"])
    client.srem(keys.queues, "email")
    assert books.step(BACK, None).finish == "back"
    assert client.lrange(keys.queue("email"), 0, -1) == [B, A]
    assert client.smembers(keys.queues) == {b"email"}
    assert counts(client) == (0, 0, 0, 0)


def test_lost_too_often_is_poison(client: Any, keys: Keys) -> None:
    """A job that is lost goes back to the front; lost for the last time, it fails."""
    books = WorkerStore(client, keys, ID, IDENTITY, max_attempts=3)
    books.heartbeat()
    push(client, "email", A, B)
    finishes = []
    for _ in range(3):
        assert books.step(NOTHING, ["email"]).raw == A
        finishes.append(books.step(lost(b"pill"), None).finish)
    assert finishes == ["lost", "lost", "failed"]
    assert client.lrange(keys.failed, 0, -1) == [b"pill"]
    assert client.lrange(keys.queue("email"), 0, -1) == [B]
    assert counts(client) == (1, 1, 1, 1)
    assert not client.exists(keys.attempts)


def test_job_that_gets_through_is_no_longer_on_its_way_to_poison(client: Any, keys: Keys) -> None:
    """Losses are forgotten as soon as the job has been done."""
    books = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
    books.heartbeat()
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    books.step(lost(), ["email"])
    assert client.hlen(keys.attempts) == 1
    books.step(DONE, None)
    assert not client.exists(keys.attempts)


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
    books = WorkerStore(client, keys, ID, IDENTITY, max_attempts=3)
    books.heartbeat()
    push(client, "email", raw)
    books.step(NOTHING, ["email"])
    for name in key.split():
        client.delete(getattr(keys, name)(ID))
        if accident != "deleted":
            client.sadd(getattr(keys, name)(ID), "somebody else's")
    finish, entries, queue = FINISHES[verb]
    assert books.step(finish, None).finish == verb
    assert client.llen(keys.failed) == entries
    assert client.lrange(keys.queue("email"), 0, -1) == [raw for _ in queue]
    processed = int(verb in ("done", "failed"))
    assert counts(client) == (processed, entries, processed, entries)
    assert client.keys("*worker:" + ID) == []
    assert client.type(keys.unread(ID)) in (b"none", b"set")
    assert client.hget(keys.fork(ID), "token") == books.token.encode()


def test_keys_that_held_something_else_are_named(
    books: WorkerStore, client: Any, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which key was replaced."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    for key in (keys.fork(ID), keys.worker(ID)):
        client.delete(key)
        client.sadd(key, "somebody else's")
    books.step(BACK, None)
    for key in (keys.fork(ID), keys.worker(ID)):
        assert (
            f"The Redis key '{key}' held something else than a worker keeps there, "
            "and was replaced" in caplog.messages
        )
    assert "The worker was no longer registered in Redis: it registers anew" in caplog.messages


def test_record_that_was_deleted_is_said(
    books: WorkerStore, client: Any, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who deletes a record by hand is told that it did not help."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    client.delete(keys.worker(ID))
    assert books.step(DONE, None).finish == "done"
    assert caplog.messages == ["Redis has lost the record of the job: it is written anew"]


@pytest.mark.parametrize("beats", [0, 1])
def test_job_that_a_ruby_worker_listed_is_not_counted(
    books: WorkerStore, client: Any, keys: Keys, beats: int
) -> None:
    """A Ruby worker that took ours for dead has failed its job, before or after a heartbeat."""
    push(client, "email", A, B)
    books.step(NOTHING, ["email"])
    client.srem(keys.workers, ID)
    client.delete(keys.worker(ID), keys.started(ID))
    client.hdel(keys.heartbeats, ID)
    for _ in range(beats):
        books.heartbeat()
    step = books.step(failed(), ["email"])
    assert (step.finish, step.raw) == ("gone", B)
    assert counts(client) == (0, 0, 0, 0)
    assert not client.exists(keys.failed)
    assert books.step(DONE, None).finish == "done"
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

    books = WorkerStore(client, keys, ID, IDENTITY)
    books.heartbeat()
    push(client, "email", A, B, A)
    books.step(NOTHING, ["email"])
    books._redis, lost = Unheard(), books._redis
    books.on(lost)
    raw = books._step(DONE, ["email"])
    assert raw == [b"unregistered"]
    books._redis = lost
    step = books.step(DONE, ["email"])
    assert (step.finish, step.found, step.raw) == ("done", "job", B)
    assert counts(client) == (1, 0, 1, 0)
    assert client.lrange(keys.queue("email"), 0, -1) == [A]


# --- steps that are repeated, or late


class Twice:
    """A connection on which every command arrives twice: the first reply was lost."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def execute_command(self, *command: Any) -> Any:
        self.client.execute_command(*command)
        return self.client.execute_command(*command)


class Recorder:
    """A connection that remembers what was said on it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.said: list[tuple[Any, ...]] = []

    def execute_command(self, *command: Any) -> Any:
        self.said.append(command)
        return self.client.execute_command(*command)


finishes = st.sampled_from([DONE, BACK, failed(b"entry"), lost(b"pill")])
histories = st.lists(st.tuples(finishes, st.sampled_from([None, ["a"], ["b", "a"]])), max_size=12)


def live(connection: Any, history: list[tuple[Finish, Any]]) -> tuple[list[Step], dict[Any, Any]]:
    """What the steps of a worker's life said, and what they left, without its token and times."""
    client = connection.client
    client.flushall()
    books = WorkerStore(connection, KEYS, ID, IDENTITY, max_attempts=2)
    books.heartbeat()
    # equal payloads: nothing but its number tells one step from the next
    push(client, "a", A, A, A, B, b"oops", A)
    push(client, "b", A, B, A)
    steps = [books.step(NOTHING, ["a"])]
    for finish, queues in history:
        held = steps[-1].found in ("job", "unread")
        steps.append(books.step(finish if held else NOTHING, queues))
    left = dump(client)
    for key in (KEYS.worker(ID), KEYS.unread(ID), KEYS.fork(ID), KEYS.heartbeats):
        kept = left.get(key.encode())
        if isinstance(kept, bytes):
            left[key.encode()] = re.sub(rb'"run_at":"[^"]*"', b"", kept)
        elif kept:
            for field in (b"run_at", b"token", b"beat", ID.encode()):
                kept.pop(field, None)
    left.pop(KEYS.started(ID).encode())
    return [step._replace(run_at="") for step in steps], left


@given(histories)
def test_steps_that_arrive_twice(long_client: Any, history: list[tuple[Finish, Any]]) -> None:
    """A worker's life whose every step arrived twice is the life in which it arrived once."""
    steps, left = live(Recorder(long_client), history)
    again, left_again = live(Twice(long_client), history)
    told = [(s.finish, s.queue, s.raw) for s in steps]
    assert [(s.finish, s.queue, s.raw) for s in again] == told
    assert left_again == left


@given(histories)
def test_steps_that_arrive_late(long_client: Any, history: list[tuple[Finish, Any]]) -> None:
    """Old steps that arrive long after their time change nothing."""
    recorder = Recorder(long_client)
    live(recorder, history)
    before = dump(long_client)
    for command in [said for said in recorder.said if said[0] in ("EVALSHA", "EVAL")][1:]:
        long_client.execute_command(*command)
    assert dump(long_client) == before


def test_repeated_step_returns_the_record_as_it_stands(client: Any, keys: Keys) -> None:
    """A worker that did not hear what it got is told so again, and gets no second job."""
    books = WorkerStore(Twice(client), keys, ID, IDENTITY)
    books.heartbeat()
    push(client, "email", A, A)
    step = books.step(NOTHING, ["email"])
    assert (step.finish, step.found, step.raw) == ("none", "job", A)
    assert client.llen(keys.queue("email")) == 1
    step = books.step(DONE, ["email"])
    assert (step.finish, step.found, step.raw) == ("done", "job", A)
    assert counts(client) == (1, 0, 1, 0)
    step = books.step(failed(b"entry"), ["email"])
    assert (step.finish, step.found) == ("failed", "empty")
    assert client.lrange(keys.failed, 0, -1) == [b"entry"]


def test_nothing_is_lost_and_nothing_doubled(client: Any, keys: Keys) -> None:
    """Jobs through steps that all arrive twice: each is counted once, each fails once."""
    books = WorkerStore(Twice(client), keys, ID, IDENTITY)
    books.heartbeat()
    raws = [encode({"class": "A", "args": [i % 3]}) for i in range(30)]
    push(client, "email", *raws)
    taken = [books.step(NOTHING, ["email"]).raw]
    for i in range(30):
        finish = failed(taken[-1]) if i % 2 else DONE
        taken.append(books.step(finish, ["email"]).raw)
    assert taken == [*raws, b""]
    assert counts(client) == (30, 15, 30, 15)
    assert client.lrange(keys.failed, 0, -1) == raws[1::2]


def test_server_that_forgot_its_scripts(books: WorkerStore, client: Any) -> None:
    """After SCRIPT FLUSH, or on a new primary, a step goes through all the same."""
    push(client, "email", A)
    client.script_flush()
    assert books.step(NOTHING, ["email"]).raw == A
    client.script_flush()
    assert books.step(DONE, None).finish == "done"


def test_same_books_over_another_connection(books: WorkerStore, redis_url: str) -> None:
    """A heartbeat sent over another connection is the same worker's."""
    with BothWays(RedisURL(redis_url)) as other:
        assert not books.on(other).heartbeat()


# --- a full Redis


def test_full_redis_refuses_nothing_half_way(full_server: embedded.Server, keys: Keys) -> None:
    """With memory at its limit jobs cannot be added, but are finished, failed and taken on."""
    with BothWays(RedisURL(full_server.url)) as client:
        books = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
        books.heartbeat()
        raws = [encode({"class": "A", "args": ["x" * 1000, i]}) for i in range(5)]
        push(client, "email", *raws[:4], b"oops")
        books.step(NOTHING, ["email"])
        fill(client)
        with pytest.raises(RedisRefused, match="used memory > 'maxmemory'"):
            client.execute_command("RPUSH", keys.queue("email"), A)
        assert not books.heartbeat()
        step = books.step(DONE, ["email"])
        assert (step.finish, step.raw) == ("done", raws[1])
        step = books.step(failed(b"x" * 2000), ["email"])
        assert (step.finish, step.raw) == ("failed", raws[2])
        step = books.step(lost(), ["email"])
        assert (step.finish, step.raw) == ("lost", raws[2])
        assert books.step(BACK, None).finish == "back"
        assert books.step(NOTHING, ["email"]).raw == raws[2]
        assert books.step(DONE, ["email"]).raw == raws[3]
        assert books.step(DONE, ["email"]).raw == b"oops"
        assert books.step(failed(b"entry"), ["email"]).found == "empty"
        assert counts(client) == (5, 2, 5, 2)
        books.unregister()
        assert not client.exists(keys.fork(ID), keys.worker(ID))


def test_full_redis_registers_a_worker(full_server: embedded.Server, keys: Keys) -> None:
    """A worker that starts while memory is at its limit can start, and drain the queues."""
    with BothWays(RedisURL(full_server.url)) as client:
        push(client, "email", A)
        fill(client)
        books = WorkerStore(client, keys, ID, IDENTITY)
        assert books.heartbeat()
        assert books.step(NOTHING, ["email"]).raw == A


# --- keys of the wrong type


def test_queue_of_the_wrong_type_is_named_and_passed_over(
    books: WorkerStore, client: Any, keys: Keys
) -> None:
    """A queue that is no list is named, and the next ones are served."""
    client.set(keys.queue("bad"), "x")
    client.sadd(keys.queue("worse"), "x")
    push(client, "email", A)
    step = books.step(NOTHING, ["bad", "worse", "email", "never"])
    assert (step.raw, step.wrong) == (A, ("resque:queue:bad", "resque:queue:worse"))


def test_failed_list_of_the_wrong_type_costs_nothing(
    books: WorkerStore, client: Any, keys: Keys
) -> None:
    """Where the failed list is no list, the step is refused as a whole, and can be repeated."""
    push(client, "email", A, B)
    books.step(NOTHING, ["email"])
    client.set(keys.failed, "x")
    before = dump(client)
    with pytest.raises(WrongKeyType) as caught:
        books.step(failed(), ["email"])
    assert caught.value.reason == "WRONGTYPE resque:failed is a string, not a list"
    assert dump(client) == before
    client.delete(keys.failed)
    step = books.step(failed(b"entry"), ["email"])
    assert (step.finish, step.raw) == ("failed", B)
    assert client.lrange(keys.failed, 0, -1) == [b"entry"]


def test_queue_to_put_back_to_is_of_the_wrong_type(
    books: WorkerStore, client: Any, keys: Keys
) -> None:
    """A job whose queue has become something else stays on record until it can go back."""
    push(client, "email", A)
    books.step(NOTHING, ["email"])
    client.set(keys.queue("email"), "x")
    with pytest.raises(WrongKeyType, match="The Redis key 'resque:queue:email' does not hold"):
        books.step(BACK, None)
    client.delete(keys.queue("email"))
    assert books.step(BACK, None).finish == "back"
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
    books = WorkerStore(client, keys, ID, IDENTITY, max_attempts=2)
    books.heartbeat()
    client.rpush(keys.queue("email"), A, B, B)
    assert books.step(NOTHING, ["email"]).raw == A
    entries = [FailedEntry("resque:email_failed", b"entry", "email_failed")]
    assert books.step(Finish("failed", entries), ["email"]).raw == B
    assert books.step(lost(), ["email"]).raw == B
    assert books.step(BACK, ["email"]).raw == B
    assert books.step(DONE, ["email"]).raw == B
    assert books.step(DONE, ["email"]).found == "empty"
    assert client.lrange("resque:email_failed", 0, -1) == [b"entry"]
    assert client.zrange(key, 0, -1) == [b"x"]


def test_record_in_another_language_is_not_disturbed(
    books: WorkerStore, client: Any, keys: Keys
) -> None:
    """A record is JSON that Ruby's and Node's parsers read."""
    push(client, 'q"\\\n\x01ü', A)
    books.step(NOTHING, ['q"\\\n\x01ü'])
    item = json.loads(client.get(keys.worker(ID)))
    assert item["queue"] == 'q"\\\n\x01ü'
    assert list(item) == ["queue", "run_at", "payload"]
