"""Outcomes are counted exactly, and queues are marked so that it is known how long jobs wait."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.metrics.names import MOST_NAMES, OTHER
from resque_fork.metrics.tally import LARGEST
from resque_fork.store.metrics import QueueMarks, StoredMetrics
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.retries import Comeback
from resque_fork.store.worker_store import NOTHING, Counted, Finish, WorkerStore
from resque_fork.store.workers import Workers
from resque_fork.wire.keys import Keys

from .conftest import ID, IDENTITY, A, BothWays, failed, fill, lost, push
from .test_worker_store_repeated import Twice

MAIL = Counted("email", "Send")
COMEBACK = Comeback(0.0, 0, "email", b"{}", "E", "e")


def counted(client: Any, keys: Keys) -> dict[tuple[str, ...], int]:
    return StoredMetrics(client, keys).counted()


def jobs(client: Any, keys: Keys) -> dict[str, int]:
    """Outcomes of MAIL."""
    found = counted(client, keys)
    return {field[3]: n for field, n in found.items() if field[:3] == ("jobs", "email", "Send")}


# --- outcomes


@pytest.mark.parametrize(
    ("finishes", "outcomes"),
    [
        ([Finish("done")], {"done": 1}),
        ([failed()], {"failed": 1}),
        ([Finish("back"), Finish("done")], {"back": 1, "done": 1}),
        ([lost(), lost()], {"lost": 1, "failed": 1}),
        ([Finish("later", [], "d", replace(COMEBACK, retries=1))], {"later": 1}),
        ([Finish("later", [], "d", COMEBACK)], {"failed": 1}),
    ],
)
def test_outcomes_of_steps(
    client: Any, keys: Keys, finishes: list[Finish], outcomes: dict[str, int]
) -> None:
    """What took effect is counted, once although every step arrives twice."""
    store = WorkerStore(Twice(client), keys, ID, IDENTITY, max_attempts=2)
    store.heartbeat()
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    for finish in finishes:
        store.step(replace(finish, counted=MAIL), ["email"])
    assert jobs(client, keys) == outcomes


def test_minutes(store: WorkerStore, client: Any, keys: Keys) -> None:
    """Outcomes of a minute stand by themselves for a day, and those of all time stay."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    before = int(time.time()) // 60 * 60
    store.step(Finish("done", counted=MAIL), None)
    minutes = StoredMetrics(client, keys).minutes([before, before + 60])
    assert [m for m in minutes if m] == [{("jobs", "email", "Send", "done"): 1}]
    (key,) = (key for key in client.keys(f"{keys.metrics}:*") if key[-1:].isdigit())
    assert 86400 - 120 < client.ttl(key) <= 86400
    assert client.ttl(keys.metrics) == -1


def test_deaths(store: WorkerStore, client: Any, keys: Keys) -> None:
    """What the process of a job died of is counted beside its outcome."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    store.step(replace(failed(), counted=Counted("email", "Send", "oom")), None)
    assert counted(client, keys) == {
        ("jobs", "email", "Send", "failed"): 1,
        ("deaths", "Send", "oom"): 1,
    }


@pytest.mark.parametrize(
    ("finish", "outcome"),
    [(failed(), "failed"), (lost(), "lost"), (Finish("later", [], "d", COMEBACK), "failed")],
)
def test_outcomes_of_rescues(
    store: WorkerStore, client: Any, keys: Keys, finish: Finish, outcome: str
) -> None:
    """The job of a dead worker is counted by whoever rescues it, once."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    workers = Workers(client, keys)
    found = workers.find(ID)
    for _ in range(2):
        finish = replace(finish, counted=Counted("email", "Send", "worker"))
        workers.rescue(found, finish, queue="email", raw=A, counted_by="x", max_attempts=9)
    assert counted(client, keys) == {
        ("jobs", "email", "Send", outcome): 1,
        ("deaths", "Send", "worker"): 1,
    }
    store.step(Finish("done", counted=MAIL), None)  # it was alive after all
    assert jobs(client, keys) == {outcome: 1}


def test_job_that_ruby_took_off(store: WorkerStore, client: Any, keys: Keys) -> None:
    """A Ruby worker that takes ours for dead has failed its job: we do not count that job."""
    push(client, "email", A)
    store.step(NOTHING, ["email"])
    client.srem(keys.workers, ID)
    client.delete(keys.worker(ID), keys.started(ID))
    assert store.step(Finish("done", counted=MAIL), None).finish == "gone"
    assert counted(client, keys) == {}


def test_more_names_than_are_counted(store: WorkerStore, client: Any, keys: Keys) -> None:
    """Queues and classes beyond so many are counted as one, in Redis already."""
    for kind in (keys.metrics_classes, keys.metrics_queues):
        client.sadd(kind, *(f"n{i}" for i in range(MOST_NAMES - 1)))
    for names in (Counted("a", "A"), Counted("b", "B", "exit"), Counted("n0", "C")):
        push(client, "email", A)
        store.step(NOTHING, ["email"])
        store.step(Finish("done", counted=names), None)
    store.add_up(json.dumps({"cpu": {"A": {"user": 1}, "B": {"user": 2}}, "wait": {"b": {"1": 1}}}))
    assert counted(client, keys) == {
        ("jobs", "a", "A", "done"): 1,
        ("jobs", OTHER, OTHER, "done"): 1,
        ("deaths", OTHER, "exit"): 1,
        ("jobs", "n0", OTHER, "done"): 1,
        ("cpu", "A", "user"): 1,
        ("cpu", OTHER, "user"): 2,
        ("wait", OTHER, "1"): 1,
    }


@pytest.mark.parametrize("name", ["metrics", "metrics_queues", "metrics_classes"])
def test_key_of_another_type_costs_no_job(
    store: WorkerStore, client: Any, keys: Keys, name: str
) -> None:
    """A step goes through whatever stands where it would count."""
    client.lpush(getattr(keys, name), "x")
    push(client, "email", A, A)
    store.step(NOTHING, ["email"])
    step = store.step(Finish("done", counted=MAIL), ["email"])
    assert (step.finish, step.found) == ("done", "job")


def test_full_server(full_server: embedded.Server, keys: Keys) -> None:
    """A server that takes nothing more counts all the same: each script frees memory first."""
    with BothWays(RedisURL(full_server.url)) as client:
        store = WorkerStore(client, keys, ID, IDENTITY)
        store.heartbeat()
        push(client, "email", A)
        store.step(NOTHING, ["email"])
        fill(client)
        store.step(Finish("done", counted=MAIL), None)
        assert store.add_up('{"cpu":{"Send":{"user":5}}}')
        assert counted(client, keys) == {
            ("jobs", "email", "Send", "done"): 1,
            ("cpu", "Send", "user"): 5,
        }


# --- what is added up


def test_adds_up_once(client: Any, keys: Keys) -> None:
    """An addition that arrives twice is counted once, and the next is another."""
    store = WorkerStore(Twice(client), keys, ID, IDENTITY)
    store.heartbeat()
    for _ in range(3):
        assert store.add_up('{"duration":{"Send":{"0.5":2,"sum":1125899906842624}}}')
    assert counted(client, keys) == {
        ("duration", "Send", "0.5"): 6,
        ("duration", "Send", "sum"): 3 * LARGEST,
    }


def test_only_of_who_is_registered(client: Any, keys: Keys) -> None:
    """A worker that Redis has forgotten counts nothing, and leaves no key."""
    store = WorkerStore(client, keys, ID, IDENTITY)
    assert not store.add_up('{"cpu":{"Send":{"user":5}}}')
    assert client.keys() == []
    store.heartbeat()
    assert store.add_up('{"cpu":{"Send":{"user":5}}}')
    client.delete(keys.fork(ID))
    client.set(keys.fork(ID), "no hash")
    assert not store.add_up('{"cpu":{"Send":{"user":5}}}')


# --- marks


class Marked:
    """A queue whose jobs are taken by a worker, and marked."""

    def __init__(self, client: Any, keys: Keys, store: WorkerStore) -> None:
        self.client, self.keys, self.store = client, keys, store
        self.marks = QueueMarks(client, keys)

    def push(self, count: int) -> None:
        push(self.client, "email", *[A] * count)  # equal ones

    def mark(self) -> None:
        self.marks.mark()

    def take(self, count: int) -> list[bool]:
        """Whether each was a marked one."""
        steps = [self.store.step(Finish("done"), ["email"]) for _ in range(count)]
        assert all(step.waited is None or 0 <= step.waited < 600_000 for step in steps)
        return [step.waited is not None for step in steps]

    def left(self) -> list[int]:
        """How many jobs on each mark is from the one before."""
        held = self.client.hgetall(self.keys.marks("email"))
        if not held:
            return []
        parts = (held[b"left"] + b" " + held[b"marks"]).split()
        return [int(part) for part in parts[::2]]


@pytest.fixture
def marked(client: Any, keys: Keys, store: WorkerStore) -> Marked:
    return Marked(client, keys, store)


def test_the_step_knows_how_long_a_marked_job_waited(marked: Marked) -> None:
    """The last job of each look is marked, and no other, although all jobs are equal."""
    marked.push(3)
    marked.mark()
    marked.mark()
    marked.push(2)
    marked.mark()
    assert marked.left() == [3, 2]
    assert marked.take(2) == [False, False]
    marked.push(1)
    marked.mark()
    assert marked.left() == [1, 2, 1]
    assert marked.take(4) == [True, False, True, True]
    assert marked.left() == []
    assert marked.client.keys("resque:fork:marks:*") == []


def test_waited_as_long_as_since_the_mark(marked: Marked) -> None:
    """In milliseconds, by the clock of the server."""
    marked.push(1)
    marked.mark()
    at = int(time.time() * 1000) - 90_000
    marked.client.hset(marked.keys.marks("email"), "marks", f"{at}")
    step = marked.store.step(NOTHING, ["email"])
    assert 90_000 <= (step.waited or 0) < 600_000


def test_jobs_that_others_take(marked: Marked) -> None:
    """A worker of another language, or a person, does not count: the next look sees that."""
    marked.push(3)
    marked.mark()
    marked.push(3)
    marked.mark()
    marked.client.ltrim(marked.keys.queue("email"), 2, -1)
    marked.mark()
    assert marked.left() == [1, 3]
    marked.client.ltrim(marked.keys.queue("email"), 2, -1)
    marked.mark()
    assert marked.left() == [2]
    marked.client.delete(marked.keys.queue("email"))
    marked.mark()
    assert marked.left() == []


def test_many_marks_become_fewer(marked: Marked) -> None:
    """A queue that grows for hours has so many marks at the most, the first and last among them."""
    for _ in range(200):
        marked.push(1)
        marked.mark()
        assert len(marked.left()) <= 64
        assert sum(marked.left()) == marked.client.llen(marked.keys.queue("email"))
    marks = len(marked.left())
    taken = marked.take(200)
    assert (taken[0], taken[-1], taken.count(True)) == (True, True, marks)


def test_marks_that_go_are_close_together(marked: Marked) -> None:
    """Those of the first jobs stay, however often new ones are too many: latency goes by them."""
    seconds = [2440 - 100 * i for i in range(24)] + [40 - i for i in range(40)]
    now = int(time.time() * 1000)
    marks = " 1 ".join(str(now - 1000 * ago) for ago in seconds)
    marked.client.hset(marked.keys.marks("email"), mapping={"left": 1, "marks": marks})
    marked.push(65)
    marked.mark()
    assert marked.left() == [1] * 25 + [40]


def test_all_queues_have_their_turn(marked: Marked) -> None:
    """However many there are, one look is short, and the next goes on behind it."""
    for i in range(700):
        push(marked.client, f"q{i}", A)
    found = []
    for _ in range(3):
        marked.mark()
        found.append(len(marked.client.keys("resque:fork:marks:*")))
    assert found == [300, 600, 700]


@pytest.mark.parametrize("odd", [{"left": "x"}, {"left": "1"}, {"left": "1", "marks": "y"}, None])
def test_odd_marks_cost_no_job(marked: Marked, odd: dict[str, str] | None) -> None:
    """Whatever stands where marks would be, jobs are taken, and the next look mends it."""
    if odd is None:
        marked.client.set(marked.keys.marks("email"), "no hash")
    else:
        marked.client.hset(marked.keys.marks("email"), mapping=odd)
    marked.push(3)
    assert marked.take(1) == [False]
    if odd is None:
        marked.client.delete(marked.keys.marks("email"))
    marked.mark()
    assert sum(marked.left()) == 2


def test_a_queue_that_is_no_list(marked: Marked) -> None:
    """It is passed over, and the others are marked."""
    marked.client.set(marked.keys.queue("odd"), "x")
    marked.client.sadd(marked.keys.queues, "odd")
    marked.push(1)
    marked.mark()
    assert marked.left() == [1]
