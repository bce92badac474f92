"""Dead workers are told from living ones by process and heartbeat, and rescued in Ruby's words."""

import json
import logging
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork import Resque, embedded
from resque_fork.failure import Backends, FailedEntries
from resque_fork.settings import Settings
from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.store.workers import Workers
from resque_fork.system.identity import Identity
from resque_fork.wire.json import encode
from resque_fork.wire.unreadable import unwrapped
from resque_fork.worker.pruning import Pruner

HOST = socket.gethostname()
IDENTITY_FIELDS = ["token", "boot", "pid_namespace", "start", "queue", "run_at"]
MAIL = b'{"class":"Mail","args":[7]}'
UNFIT = b'{"class":"Mail","args":[7],"x":1e999}'  # a good job that Ruby cannot read
RECORD = '{"queue":"email","run_at":"2026-11-23T06:51:50Z","payload":{"class":"Mail","args":[7]}}'


class Fleet:
    """Workers as they stand in Redis, dead or alive, and one that looks for the dead."""

    def __init__(self, resque: Resque) -> None:
        self.resque = resque
        self.redis = resque.redis
        self.pruner = self.looking()

    def looking(self, **settings: Any) -> Pruner:
        keys = self.resque.key_names
        return Pruner(
            Workers(self.resque.client, keys), Settings(**settings), FailedEntries(Backends(), keys)
        )

    @property
    def told(self) -> list[tuple[str, str]]:
        """The jobs that hooks are to be told of, and why they have failed."""
        return [(job.class_name, str(error)) for job, error, _ in self.pruner.rescued]

    def foreign(self, worker_id: str, beat_ago: float | None, record: str | None = RECORD) -> str:
        """A worker of another implementation, with a job, whose heartbeat is so old."""
        self.redis.sadd("resque:workers", worker_id)
        if record is not None:
            self.redis.set(f"resque:worker:{worker_id}", record)
        if beat_ago is not None:
            beat = datetime.fromtimestamp(self.redis.time()[0] - beat_ago, UTC).isoformat()
            self.redis.hset("resque:workers:heartbeat", worker_id, beat)
        return worker_id

    def ours(self, pid: int, identity: Identity, queues: str = "email", raw: bytes = MAIL) -> str:
        """One of our workers, which has a job."""
        worker_id = f"{HOST}:{pid}:{queues}"
        store = WorkerStore(
            self.resque.client, self.resque.key_names, worker_id, identity.to_fields()
        )
        store.heartbeat()
        self.redis.rpush("resque:queue:email", raw)
        assert store.step(NOTHING, ["email"]).raw == raw
        return worker_id

    def taken_off_by_ruby(self, worker_id: str) -> str:
        """One of ours of which a Ruby worker has removed all that it knows of."""
        self.redis.srem("resque:workers", worker_id)
        self.redis.hdel("resque:workers:heartbeat", worker_id)
        self.redis.delete(f"resque:worker:{worker_id}", f"resque:worker:{worker_id}:started")
        return worker_id

    def prune_here(self, queues: list[str]) -> list[tuple[str, str]]:
        return self.looking_here(self.pruner, queues)

    def looking_here(self, pruner: Pruner, queues: list[str]) -> list[tuple[str, str]]:
        ids = Workers(self.resque.client, self.resque.key_names).all_ids()
        return pruner.prune_here(queues, ids)

    def failed(self) -> list[tuple[Any, ...]]:
        jobs = self.resque.failed().page()
        return [(j.exception, j.error, j.class_name, j.worker, j.queue) for j in jobs]


@pytest.fixture
def fleet(resque: Resque) -> Fleet:
    return Fleet(resque)


@pytest.fixture(scope="module")
def long_lived(server: embedded.Server) -> Fleet:
    """For many examples in one test, each of which empties the server."""
    return Fleet(Resque(server.url))


@pytest.fixture(scope="module")
def gone() -> tuple[int, Identity]:
    """The pid of a process that is no more, and who it was."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = Identity.of(process.pid)
        assert identity is not None
    return process.pid, identity


# --- by heartbeat


def test_prune_failure_text(fleet: Fleet) -> None:
    """A worker whose heartbeat stopped is pruned from anywhere, and its job failed as Ruby does."""
    worker_id = fleet.foreign("otherhost:99:email,x", 301)
    assert fleet.pruner.prune_everywhere() == [(worker_id, "failed")]
    text = f"Worker {worker_id} did not gracefully exit while processing Mail"
    assert fleet.failed() == [
        ("Resque::PruneDeadWorkerDirtyExit", text, "Mail", worker_id, "email")
    ]
    assert fleet.told == [("Mail", text)]
    assert fleet.resque.workers() == []
    assert not fleet.redis.exists("resque:workers:heartbeat", f"resque:worker:{worker_id}")


def test_no_heartbeat_is_not_expired(fleet: Fleet) -> None:
    """Neither a worker with a fresh heartbeat, nor one that never had any, nor one is pruned
    whose heartbeat cannot be read, nor the one that looks."""
    fresh = fleet.foreign("otherhost:1:email", 299)
    never = fleet.foreign("otherhost:2:email", None)
    garbage = fleet.foreign("otherhost:3:email", None)
    fleet.redis.hset("resque:workers:heartbeat", garbage, "garbage")
    oneself = fleet.foreign("otherhost:4:email", 500)
    assert fleet.pruner.prune_everywhere(but=oneself) == []
    assert fleet.resque.workers() == [fresh, never, garbage, oneself]


def test_orphan_heartbeat_removed(fleet: Fleet) -> None:
    """A heartbeat of an id that is not registered goes when it has expired."""
    worker_id = fleet.foreign("otherhost:99:email", 301, None)
    fleet.redis.srem("resque:workers", worker_id)
    fleet.pruner.prune_everywhere()
    assert fleet.redis.hlen("resque:workers:heartbeat") == 0


def test_worker_without_a_job(fleet: Fleet) -> None:
    """A dead worker that had no job is forgotten, and nothing is failed."""
    worker_id = fleet.foreign("otherhost:99:email", 301, None)
    assert fleet.pruner.prune_everywhere() == [(worker_id, "rescued")]
    assert fleet.failed() == []


def test_lock_holds_others_off(fleet: Fleet) -> None:
    """Only one worker of the fleet looks at all heartbeats in a minute."""
    assert fleet.pruner.prune_under_lock("a:1:q") == []
    worker_id = fleet.foreign("otherhost:99:email", 301)
    assert fleet.looking().prune_under_lock("b:2:q") == []
    fleet.redis.delete("resque:fork:pruning")
    assert fleet.looking().prune_under_lock("b:2:q") == [(worker_id, "failed")]


# --- by process


def test_leftover_record_is_dirty_exit(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """A worker of this host whose process is gone is pruned at once, whatever its queues."""
    worker_id = fleet.ours(*gone, queues="email,other")
    assert fleet.prune_here(["unrelated"]) == [(worker_id, "failed")]
    assert fleet.failed() == [
        ("Resque::DirtyExit", "Job still being processed", "Mail", worker_id, "email")
    ]
    assert fleet.told == [("Mail", "Job still being processed")]


def test_requeued(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """If so set, a dead worker's job goes back to its queue, and nobody is told of a failure."""
    worker_id = fleet.ours(*gone)
    assert fleet.looking_here(fleet.looking(on_lost="requeue"), ["*"]) == [(worker_id, "requeued")]
    assert fleet.resque.pop("email") == {"class": "Mail", "args": [7]}
    assert fleet.told == fleet.failed() == []


def test_same_host_dead_worker_rules(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """A worker is dead if its very process is gone; another's boot or pids say nothing here."""
    pid, dead = gone
    here = Identity.here()
    living = fleet.ours(os.getpid(), here)
    elsewhere = [
        fleet.ours(pid, Identity("other boot", dead.pid_namespace, dead.start), "a"),
        fleet.ours(pid, Identity(dead.boot, "other pids", dead.start), "b"),
    ]
    reused = fleet.ours(os.getpid(), Identity(here.boot, here.pid_namespace, "1"), "c")
    for _ in range(2):
        pruned = fleet.prune_here(["*"])
        assert pruned in ([(reused, "failed")], [])
    assert sorted(fleet.resque.workers()) == sorted([living, *elsewhere])


def test_foreign_workers_of_this_host(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """A Ruby worker of this host is dead if its process is, its heartbeat old, its queues ours."""
    pid, _ = gone
    dead = fleet.foreign(f"{HOST}:{pid}:b,a", 121)
    fleet.foreign(f"{HOST}:{pid}:a", 121)  # other queues
    fleet.foreign(f"{HOST}:{pid}:a,b,b2", 121)
    fleet.foreign(f"{HOST}:{os.getpid()}:a,b", 121)  # alive
    fleet.foreign(f"{HOST}:{pid}-0:a,b", 121)  # goworker's pids are none
    fleet.foreign(f"otherhost:{pid}:a,b", 121)
    assert fleet.prune_here(["a", "b"]) == [(dead, "failed")]
    fresh = fleet.foreign(f"{HOST}:{pid}:b,a", 119)
    assert fleet.prune_here(["a", "b"]) == []
    fleet.foreign(fresh, 121)
    assert len(fleet.prune_here(["*"])) == 3


# --- after a Ruby worker


def test_dead_here_that_ruby_took_off(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """A job that Ruby cannot read is rescued by process, though Ruby found its worker first."""
    worker_id = fleet.taken_off_by_ruby(fleet.ours(*gone, raw=UNFIT))
    fleet.taken_off_by_ruby(fleet.ours(os.getpid(), Identity.here(), raw=UNFIT))  # alive
    assert fleet.prune_here(["unrelated"]) == [(worker_id, "failed")]
    assert [job[:2] for job in fleet.failed()] == [
        ("Resque::DirtyExit", "Job still being processed")
    ]
    entry = json.loads(fleet.redis.lindex("resque:failed", 0))
    assert unwrapped(encode(entry["payload"])) == UNFIT
    assert fleet.pruner.prune() == []
    assert len(fleet.redis.keys("resque:fork:unread:*")) == 1


def test_dead_elsewhere_that_ruby_took_off(fleet: Fleet) -> None:
    """One of another host is rescued when the heartbeat that it notes itself is too old."""
    elsewhere = Identity("other boot", "other pids", "1")
    ids = [fleet.taken_off_by_ruby(fleet.ours(n, elsewhere, raw=UNFIT)) for n in range(1, 4)]
    now = fleet.redis.time()[0]
    for worker_id, ago in zip(ids, (301, 299, 301), strict=True):
        beat = datetime.fromtimestamp(now - ago, UTC).isoformat()
        fleet.redis.hset(f"resque:fork:{worker_id}", "beat", beat)
    assert fleet.prune_here(["*"]) == []
    assert fleet.pruner.prune_everywhere(but=ids[2]) == [(ids[0], "failed")]
    ((exception, *_),) = fleet.failed()
    assert exception == "Resque::PruneDeadWorkerDirtyExit"


def test_ours_of_which_ruby_left_nothing_but_the_id(fleet: Fleet) -> None:
    """Without any heartbeat it is dead: its job is rescued, and an id alone does not stay."""
    elsewhere = Identity("other boot", "other pids", "1")
    worker_id = fleet.taken_off_by_ruby(fleet.ours(1, elsewhere, raw=UNFIT))
    fleet.redis.delete(f"resque:fork:{worker_id}")
    fleet.redis.sadd("resque:fork:workers", "a:1:q")
    assert fleet.pruner.prune_everywhere() == [("a:1:q", "rescued"), (worker_id, "failed")]
    assert [key for key in fleet.redis.keys("resque:fork:*") if b":metrics" not in key] == []


def test_living_worker_is_back_after_ruby_took_it_off(fleet: Fleet) -> None:
    """A worker that has sent a heartbeat meanwhile is judged by that again."""
    keys = fleet.resque.key_names
    store = WorkerStore(fleet.resque.client, keys, "otherhost:1:email", Identity.here().to_fields())
    store.heartbeat()
    fleet.redis.hset("resque:fork:otherhost:1:email", "beat", "2001-01-01T00:00:00+00:00")
    fleet.taken_off_by_ruby(store.worker_id)
    store.heartbeat()
    assert fleet.pruner.prune() == []
    assert fleet.resque.workers() == [store.worker_id]


def test_remove_what_ruby_took_off(fleet: Fleet, gone: tuple[int, Identity]) -> None:
    """Also by its id, dead or not, and once."""
    worker_id = fleet.taken_off_by_ruby(fleet.ours(*gone, raw=UNFIT))
    assert fleet.pruner.remove(worker_id) == "failed"
    assert fleet.pruner.remove(worker_id) == "changed"
    (left,) = [key for key in fleet.redis.keys("resque:fork:*") if b":metrics" not in key]
    assert left.startswith(b"resque:fork:rescued:")


# --- what is in the way


def test_error_names_worker(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that cannot be rescued is named with Redis' error, and costs the others nothing."""
    stuck = fleet.foreign("otherhost:1:email", 301)
    fleet.foreign("otherhost:2:email", 301, None)
    fleet.redis.set("resque:failed", "x")
    assert fleet.pruner.prune_everywhere() == [("otherhost:2:email", "rescued")]
    (error,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert error.getMessage() == (
        f"Cannot rescue what worker {stuck} left: The Redis key 'resque:failed' does not hold "
        "what Resque keeps there; rename or delete it."
    )
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.getMessage() == "Pruned dead worker otherhost:2:email: it had no job"


@pytest.mark.parametrize("record", ["", "oops", "[]", '{"queue":5}', '{"queue":"q"}'])
def test_record_of_any_kind(fleet: Fleet, record: str) -> None:
    """A record that cannot be read fails with its bytes, and says that the job is unknown."""
    worker_id = fleet.foreign("otherhost:99:email", 301, record)
    assert fleet.pruner.prune_everywhere() == [(worker_id, "failed")]
    ((exception, error, class_name, worker, _),) = fleet.failed()
    assert exception == "Resque::PruneDeadWorkerDirtyExit"
    assert error == f"Worker {worker_id} did not gracefully exit while processing <Unknown Job>"
    assert worker == worker_id
    assert class_name is None or class_name == "ResqueFork::Unreadable"
    assert fleet.told == []


ODD_IDS = pytest.mark.parametrize(
    "worker_id", [f"otherhost:99:{HOST}", f"{HOST}:99999999:*", f"{HOST}"]
)


@ODD_IDS
@pytest.mark.parametrize("key", ["worker:{}", "fork:{}"])
def test_key_of_the_wrong_type(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, key: str, worker_id: str
) -> None:
    """Nobody can tell what the worker left: the key is named, and waits for somebody who can."""
    name = f"resque:{key.format(worker_id)}"
    fleet.foreign(worker_id, 301, None if key == "worker:{}" else RECORD)
    fleet.redis.delete(name)
    fleet.redis.zadd(name, {"x": 1})
    assert fleet.pruner.prune() == []
    assert f"Cannot rescue what worker {worker_id} left: " in caplog.text
    assert fleet.redis.exists(name)
    fleet.redis.delete(name)
    assert fleet.pruner.prune() == [(worker_id, "rescued" if key == "worker:{}" else "failed")]


@ODD_IDS
@pytest.mark.parametrize("key", ["fork:unread:{}", "worker:{}:started"])
def test_key_beside_the_job_is_of_the_wrong_type(fleet: Fleet, key: str, worker_id: str) -> None:
    """What is not needed to rescue a job goes with the worker that it is named for."""
    name = f"resque:{key.format(worker_id)}"
    fleet.foreign(worker_id, 301, RECORD)
    fleet.redis.delete(name)
    fleet.redis.zadd(name, {"x": 1})
    assert fleet.pruner.prune() == [(worker_id, "failed")]
    assert not fleet.redis.exists(name)
    assert fleet.resque.workers() == []


def test_pid_without_end(fleet: Fleet) -> None:
    """An id with a number that no machine can read is pruned like any other, by its heartbeat."""
    fleet.foreign(f"{HOST}:{'9' * 5000}:email", 301)
    assert [became for _, became in fleet.pruner.prune()] == ["failed"]


@given(
    worker_id=st.binary(min_size=1, max_size=30) | st.just(HOST.encode() + b":1:q"),
    record=st.binary() | st.builds(b'{"queue":"q","payload":%b}'.__mod__, st.binary()),
    fields=st.dictionaries(st.sampled_from(IDENTITY_FIELDS), st.binary(), max_size=5),
)
def test_whatever_others_wrote_is_rescued(
    long_lived: Fleet, worker_id: bytes, record: bytes, fields: dict[str, bytes]
) -> None:
    """Every dead worker goes, whatever its id and keys say, and what was on record is kept."""
    redis = long_lived.redis
    redis.flushall()
    redis.sadd("resque:workers", worker_id)
    redis.hset("resque:workers:heartbeat", worker_id, "2001-01-01T00:00:00Z")
    redis.set(b"resque:worker:" + worker_id, record)
    if fields:
        redis.hset(b"resque:fork:" + worker_id, mapping=fields)
    logging.disable()  # the id in a log line could not travel from one process of pytest to another
    try:
        assert [became for _, became in long_lived.pruner.prune()] == ["failed"]
    finally:
        logging.disable(logging.NOTSET)
    [entry] = redis.lrange("resque:failed", 0, -1)
    found = json.loads(entry)
    raw = encode(found["payload"])
    if unwrapped(raw) != raw:
        assert unwrapped(raw) in record
    else:
        assert json.dumps(found["payload"]) == json.dumps(json.loads(record)["payload"])
    left = [key for key in redis.keys("*") if b":fork:rescued:" not in key]
    assert not [key for key in left if key.endswith(b":" + worker_id)]


def test_one_worker_by_its_id(fleet: Fleet) -> None:
    """An operator, or a successor, can remove one worker, dead or not."""
    worker_id = fleet.foreign("otherhost:99:email", 0)
    assert fleet.pruner.remove(worker_id) == "failed"
    assert fleet.pruner.remove(worker_id) == "changed"
    assert [f[:2] for f in fleet.failed()] == [("Resque::DirtyExit", "Job still being processed")]
