"""A step that arrives twice, or late, does nothing more than a step that arrives once."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resque_fork.store.worker_store import NOTHING, Finish, Step, WorkerStore
from resque_fork.wire.json import encode
from resque_fork.wire.keys import Keys

from .conftest import BACK, DONE, ID, IDENTITY, KEYS, A, B, counts, dump, failed, lost, push


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
    store = WorkerStore(connection, KEYS, ID, IDENTITY, max_attempts=2)
    store.heartbeat()
    # equal payloads: nothing but its number tells one step from the next
    push(client, "a", A, A, A, B, b"oops", A)
    push(client, "b", A, B, A)
    steps = [store.step(NOTHING, ["a"])]
    for finish, queues in history:
        held = steps[-1].found in ("job", "unread")
        steps.append(store.step(finish if held else NOTHING, queues))
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
    store = WorkerStore(Twice(client), keys, ID, IDENTITY)
    store.heartbeat()
    push(client, "email", A, A)
    step = store.step(NOTHING, ["email"])
    assert (step.finish, step.found, step.raw) == ("none", "job", A)
    assert client.llen(keys.queue("email")) == 1
    step = store.step(DONE, ["email"])
    assert (step.finish, step.found, step.raw) == ("done", "job", A)
    assert counts(client) == (1, 0, 1, 0)
    step = store.step(failed(b"entry"), ["email"])
    assert (step.finish, step.found) == ("failed", "empty")
    assert client.lrange(keys.failed, 0, -1) == [b"entry"]


def test_nothing_is_lost_and_nothing_doubled(client: Any, keys: Keys) -> None:
    """Jobs through steps that all arrive twice: each is counted once, each fails once."""
    store = WorkerStore(Twice(client), keys, ID, IDENTITY)
    store.heartbeat()
    raws = [encode({"class": "A", "args": [i % 3]}) for i in range(30)]
    push(client, "email", *raws)
    taken = [store.step(NOTHING, ["email"]).raw]
    for i in range(30):
        finish = failed(taken[-1]) if i % 2 else DONE
        taken.append(store.step(finish, ["email"]).raw)
    assert taken == [*raws, b""]
    assert counts(client) == (30, 15, 30, 15)
    assert client.lrange(keys.failed, 0, -1) == raws[1::2]
