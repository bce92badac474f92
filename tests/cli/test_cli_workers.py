"""`list`, `kill`, `remove` and `prune`."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from store.conftest import over

from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.system.identity import Identity
from resque_fork.wire.keys import Keys
from resque_fork.wire.times import run_time

HOST = socket.gethostname()
KEYS = Keys()
RECORD = '{"queue":"q","run_at":"x","payload":{"class":"A","args":[]}}'


def register(redis: Redis, worker_id: str, identity: Identity | None = None) -> WorkerStore:
    """Register a worker of ours, by default as this process."""
    store = WorkerStore(over(redis), KEYS, worker_id, (identity or Identity.here()).to_fields())
    store.heartbeat()
    return store


def register_foreign(redis: Redis, worker_id: str, ago: float = 0, record: str = "") -> None:
    """Register a worker as Ruby does it."""
    redis.sadd("resque:workers", worker_id)
    beat = run_time(time.time() - ago).replace("Z", "+00:00")
    redis.hset("resque:workers:heartbeat", worker_id, beat)
    redis.set(f"resque:worker:{worker_id}:started", "2026-11-23 06:51:48 +0000")
    if record:
        redis.set(f"resque:worker:{worker_id}", record)


@pytest.fixture
def ended() -> int:
    """The pid of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that does nothing, and is nobody's worker."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def listed(run) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in json.loads(run("list", "--json").stdout)}


def failures(redis: Redis) -> list[tuple[str, str]]:
    entries = [json.loads(raw) for raw in redis.lrange("resque:failed", 0, -1)]
    return [(entry["exception"], entry["worker"]) for entry in entries]


def test_list_shows_what_a_worker_does(run, redis: Redis) -> None:
    """A worker is listed with its job, its times and whether its process lives."""
    worker = f"{HOST}:{os.getpid()}:mail,low"
    store = register(redis, worker)
    run("enqueue", "mail", "Job", "7")
    assert listed(run)[worker]["state"] == "idle"
    store.step(NOTHING, ["mail"])
    row = listed(run)[worker]
    times = [row.pop(name) for name in ("run_at", "started_at", "heartbeat_at")]
    assert all(str(moment).endswith("Z") for moment in times)
    assert row.pop("running_seconds") in range(10)
    assert row.pop("heartbeat_age") in range(10)
    assert row == {
        "id": worker,
        "host": HOST,
        "pid": os.getpid(),
        "queues": ["mail", "low"],
        "state": "working",
        "queue": "mail",
        "class": "Job",
        "process": "alive",
    }
    head, line = run("list").stdout.splitlines()
    assert " ".join(head.split()) == "WORKER STATE QUEUE CLASS FOR STARTED HEARTBEAT PROCESS"
    assert line.split()[:4] == [worker, "working", "mail", "Job"]


def test_list_shows_a_job_that_others_cannot_read(run, redis: Redis) -> None:
    """A worker whose job is not fit for Ruby is shown as working too."""
    store = register(redis, f"{HOST}:{os.getpid()}:q")
    redis.rpush("resque:queue:q", "not json")
    store.step(NOTHING, ["q"])
    row = listed(run)[store.worker_id]
    assert (row["state"], row["queue"], row["class"]) == ("working", "q", None)


def test_list_tells_whose_process_lives(run, redis: Redis, ended: int, sleeper) -> None:
    """A process is alive, gone or elsewhere; a pid that is used again is not the worker."""
    here = Identity.here()
    register(redis, f"{HOST}:{ended}:a")
    register(redis, f"{HOST}:{sleeper.pid}:b")  # as this process, which started at another time
    register(
        redis, f"{HOST}:{os.getpid()}:c", Identity("another boot", here.pid_namespace, here.start)
    )
    register(redis, f"other:{os.getpid()}:d")
    register_foreign(redis, f"{HOST}:{os.getpid()}:e")
    register_foreign(redis, f"{HOST}:{ended}:f")
    redis.sadd("resque:workers", "jesque:12-3:g", "strange")
    found = {str(worker).rpartition(":")[2]: row["process"] for worker, row in listed(run).items()}
    assert found == {
        "a": "gone",
        "b": "gone",
        "c": "elsewhere",
        "d": "elsewhere",
        "e": "alive",
        "f": "gone",
        "g": "elsewhere",
        "strange": "elsewhere",
    }


def test_list_reads_records_of_any_kind(run, redis: Redis) -> None:
    """Records that other implementations wrote, or broke, are listed as far as they go."""
    node = (
        '{"run_at":"Mon Nov 23 2026 06:56:29 GMT+0000 (UTC)","payload":{"class":"n"},"queue":"q"}'
    )
    register_foreign(redis, "vm:1:q", record=node)
    register_foreign(redis, "vm:2:q", record="garbage")
    rows = listed(run)
    assert (rows["vm:1:q"]["class"], rows["vm:1:q"]["run_at"]) == ("n", "2026-11-23T06:56:29Z")
    assert (rows["vm:2:q"]["state"], rows["vm:2:q"]["class"]) == ("working", None)
    redis.hset("resque:workers:heartbeat", "vm:2:q", "garbage")
    assert listed(run)["vm:2:q"]["heartbeat_age"] is None
    assert "vm:2:q  working" in run("list").stdout


def test_none_one_or_two_workers(run, redis: Redis) -> None:
    """Each registered worker is one row: none, one that is idle, and then one that works too."""
    assert json.loads(run("list", "--json").stdout) == []
    redis.sadd("resque:workers", "vm:1:mail")
    (idle,) = json.loads(run("list", "--json").stdout)
    assert (idle["id"], idle["pid"], idle["queues"]) == ("vm:1:mail", 1, ["mail"])
    assert (idle["state"], idle["queue"], idle["class"], idle["run_at"]) == ("idle", *[None] * 3)
    redis.sadd("resque:workers", "vm:2:low")
    redis.set(
        "resque:worker:vm:2:low",
        '{"queue":"low","run_at":"2026-11-23T06:51:50Z","payload":{"class":"A","args":[]}}',
    )
    first, working = json.loads(run("list", "--json").stdout)
    assert first == idle
    assert (working["id"], working["pid"], working["state"]) == ("vm:2:low", 2, "working")
    assert (working["queue"], working["class"]) == ("low", "A")


def test_nobody_is_registered(run) -> None:
    """Where there is no worker it says so."""
    assert run("list").stderr == "No worker is registered.\n"
    assert run("list", "--json").stdout == "[]\n"


def test_kill_ends_a_worker_and_rescues_its_job(run, start, redis: Redis, application: str) -> None:
    """kill ends the worker and the job that it is doing, whose failure is recorded."""
    worker = start("work", "-q", "mail", "-r", application)
    run("enqueue", "mail", "block")
    job = redis.blpop(["blocked"], timeout=30)
    assert job
    worker_id = f"{HOST}:{worker.pid}:mail"
    result = run("kill", worker_id)
    assert result.stdout == f"Killed {worker_id}; its job is in the failed list.\n"
    assert worker.wait(30) == -9
    assert failures(redis) == [("Resque::DirtyExit", worker_id)]
    assert not redis.exists("resque:workers", f"resque:worker:{worker_id}", KEYS.fork(worker_id))
    deadline = time.monotonic() + 30
    while Identity.of(int(job[1])):  # the kernel ends it with its worker
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_kill_of_an_idle_worker(run, redis: Redis, sleeper) -> None:
    """A worker that has no job is just killed."""
    identity = Identity.of(sleeper.pid)
    store = register(redis, f"{HOST}:{sleeper.pid}:mail", identity)
    assert run("kill", store.worker_id).stdout == f"Killed {store.worker_id}; it had no job.\n"
    assert sleeper.wait(30) == -9
    assert not redis.exists("resque:workers")


def test_killed_workers_job_may_go_back(run, redis: Redis, sleeper) -> None:
    """With --on-lost=requeue the job of a killed worker is at the front of its queue again."""
    store = register(redis, f"{HOST}:{sleeper.pid}:mail", Identity.of(sleeper.pid))
    run("enqueue", "mail", "Job", "1")
    run("enqueue", "mail", "Job", "2")
    store.step(NOTHING, ["mail"])
    result = run("kill", store.worker_id, env={"RESQUE_ON_LOST": "requeue"})
    assert result.stdout == f"Killed {store.worker_id}; its job is back in its queue.\n"
    assert redis.lindex("resque:queue:mail", 0) == b'{"class":"Job","args":[1]}'


def test_kill_only_kills_that_worker(run, redis: Redis, ended: int, sleeper) -> None:
    """kill refuses whatever is not certainly the worker, and changes nothing then."""
    gone = f"{HOST}:{ended}:a"
    reused = f"{HOST}:{sleeper.pid}:b"
    foreign = f"{HOST}:{sleeper.pid}:d"
    register(redis, gone)
    register(redis, reused)
    register_foreign(redis, foreign)

    def refusal(worker: str) -> str:
        return run("kill", worker, status=1).stderr.removeprefix("resque-fork: ").strip()

    gone_already = "is gone already: resque-fork prune rescues its job."
    assert refusal(gone) == f"The process of {gone} {gone_already}"
    assert refusal(reused) == f"The process of {reused} {gone_already}"
    assert refusal(foreign) == (
        f"{foreign} is not a worker of resque-fork, so its process cannot be identified."
    )
    assert refusal("vm:1:q") == "No worker is registered as vm:1:q: see resque-fork list."
    assert sleeper.poll() is None
    assert redis.scard("resque:workers") == 3


def test_kill_that_cannot_rescue_kills_nobody(run, redis: Redis, sleeper) -> None:
    """If the job cannot be rescued the worker goes on."""
    store = register(redis, f"{HOST}:{sleeper.pid}:mail", Identity.of(sleeper.pid))
    run("enqueue", "mail", "Job")
    store.step(NOTHING, ["mail"])
    redis.set("resque:failed", "in the way")
    result = run("kill", store.worker_id, status=1)
    assert "The Redis key 'resque:failed' does not hold" in result.stderr
    sleeper.communicate(b"\n", timeout=30)  # it was stopped, and is no longer
    assert sleeper.returncode == 0
    assert redis.sismember("resque:workers", store.worker_id)


def test_prune_says_what_it_cannot_rescue(run, redis: Redis) -> None:
    """That is on stderr, and status 1; what it can rescue is in the listing, and there alone."""
    record = '{"queue":"q","run_at":"x","payload":{"class":"A","args":[]}}'
    for number in (1, 2):
        register_foreign(redis, f"other:{number}:q", record=record)
        redis.hset("resque:workers:heartbeat", f"other:{number}:q", "2020-01-01T00:00:00+00:00")
    redis.delete("resque:worker:other:1:q")
    redis.zadd("resque:worker:other:1:q", {"x": 1})
    result = run("prune", status=1)
    assert result.stderr.startswith("Cannot rescue what worker other:1:q left: ")
    assert "other:2:q" not in result.stderr
    assert "other:2:q  its job is in the failed list" in result.stdout
    result = run("prune", status=1)
    assert result.stdout == ""


def test_remove_takes_a_worker_off_the_books(run, redis: Redis) -> None:
    """remove leaves nothing of a worker but the failure of its job, which is counted."""
    register_foreign(redis, "other:1:q", ago=1000, record=RECORD)
    result = run("remove", "other:1:q")
    assert result.stdout == "Removed other:1:q; its job is in the failed list.\n"
    assert result.stderr == ""
    left = {key for key in redis.keys("*") if b":fork:metrics" not in key}
    assert left == {b"resque:failed", b"resque:stat:failed"}
    result = run("remove", "other:1:q", status=1)
    assert result.stderr == (
        "resque-fork: No worker is registered as other:1:q: see resque-fork list.\n"
    )


def test_worker_that_ruby_took_off(run, redis: Redis, ended: int) -> None:
    """A dead worker of ours stays listed until its job is rescued, by remove or prune."""
    raw = '{"class":"Job","args":[],"x":1e999}'  # Ruby cannot read it
    dead = f"{HOST}:{ended}:mail"
    for command in (["remove", dead], ["prune"]):
        redis.rpush("resque:queue:mail", raw)
        register(redis, dead).step(NOTHING, ["mail"])
        redis.delete("resque:workers", "resque:workers:heartbeat", f"resque:worker:{dead}:started")
        assert listed(run)[dead]["process"] == "gone"
        assert "its job is in the failed list" in run(*command).stdout
        left = {
            key for key in redis.keys("*") if not re.match(b"resque:fork:(rescued|metrics)", key)
        }
        assert left == {b"resque:failed", b"resque:stat:failed"}
    assert failures(redis) == [("Resque::DirtyExit", dead)] * 2


def refused(run, worker: str) -> str:
    """What remove says of a worker that may be alive."""
    error = run("remove", worker, status=1).stderr
    beginning, end = f"resque-fork: {worker} ", " --force removes it anyway.\n"
    assert error.startswith(beginning)
    assert error.endswith(end)
    job = "Its job, if it has one, would be treated as lost, but would go on. "
    sign, _, instead = error.removeprefix(beginning).removesuffix(end).partition(job)
    return f"{sign}{instead}"


def forced(run, worker: str) -> tuple[str, str]:
    result = run("remove", worker, "--force")
    assert result.stdout.startswith(f"Removed {worker}; ")
    return result.stdout.removeprefix(f"Removed {worker}; ").strip(), result.stderr.strip()


def test_remove_of_a_living_worker_of_ours(run, redis: Redis) -> None:
    """A worker of ours that lives here is removed only by force: it will be back."""
    store = register(redis, f"{HOST}:{os.getpid()}:q")
    before = redis.hgetall(KEYS.fork(store.worker_id))
    assert refused(run, store.worker_id) == (
        f"is alive on this host. End it with resque-fork kill {store.worker_id}."
    )
    assert redis.sismember("resque:workers", store.worker_id)
    assert redis.hgetall(KEYS.fork(store.worker_id)) == before
    assert forced(run, store.worker_id) == (
        "it had no job.",
        "It is alive and registers again with its next heartbeat.",
    )
    assert not redis.exists("resque:workers")
    assert store.heartbeat()
    assert redis.sismember("resque:workers", store.worker_id)


def test_remove_of_a_living_foreign_worker(run, redis: Redis, sleeper) -> None:
    """A foreign worker that lives here does not come back, and its job runs on: so that is said."""
    ruby = f"{HOST}:{sleeper.pid}:q"
    register_foreign(redis, ruby, record=RECORD)
    assert refused(run, ruby) == (
        f"is alive on this host. End it first: it is process {sleeper.pid}, and not a worker of "
        "resque-fork."
    )
    assert redis.get(f"resque:worker:{ruby}") == RECORD.encode()
    assert not redis.exists("resque:failed")
    assert forced(run, ruby) == (
        "its job is in the failed list.",
        "It is alive and goes on working, unlisted: it does not register again. "
        "The job that it was doing goes on too.",
    )
    assert not redis.exists("resque:workers", f"resque:worker:{ruby}")


def test_remove_of_a_worker_elsewhere(run, redis: Redis) -> None:
    """A worker of another host is taken for alive as long as its heartbeat is fresh."""
    here = Identity.here()
    elsewhere = Identity("another boot", here.pid_namespace, here.start)
    ours = register(redis, f"{HOST}:{os.getpid()}:q", elsewhere).worker_id
    register_foreign(redis, "other:1:q", record=RECORD)
    sign = re.escape("sent a heartbeat ") + r"\ds ago\. "
    assert re.fullmatch(
        f"{sign}End it first there: resque-fork kill {re.escape(ours)}\\.", refused(run, ours)
    )
    assert re.fullmatch(rf"{sign}End it first where it runs\.", refused(run, "other:1:q"))
    assert forced(run, ours)[1] == "If it is alive, it registers again with its next heartbeat."
    assert forced(run, "other:1:q")[1] == (
        "If it is alive, it goes on working, unlisted: it does not register again. "
        "The job that it was doing goes on too."
    )


@pytest.mark.parametrize("worker", ["other:1:q", "jesque:12-3:q", f"{HOST}:12+1"])
def test_remove_of_a_worker_that_sends_no_heartbeats(run, redis: Redis, worker: str) -> None:
    """Of a worker without heartbeats, such as Node's, nobody can tell whether it lives."""
    redis.sadd("resque:workers", worker)
    assert refused(run, worker) == (
        "sends no heartbeats, so it is not known here whether it is alive. "
        "End it first where it runs."
    )
    assert forced(run, worker)[0] == "it had no job."


@pytest.mark.parametrize("beat", ["garbage", "2020-01-01 00:00:00 EST", "2020-01-01 00:00:00"])
def test_heartbeat_of_an_unknown_time(run, redis: Redis, beat: str) -> None:
    """A heartbeat whose time cannot be told is neither old nor fresh: nobody is pruned by it."""
    register_foreign(redis, "other:1:q", record=RECORD)
    redis.hset("resque:workers:heartbeat", "other:1:q", beat)
    assert run("prune").stderr == "No worker is dead.\n"
    assert listed(run)["other:1:q"]["heartbeat_age"] is None
    assert refused(run, "other:1:q") == (
        "sends heartbeats that cannot be read, so it is not known here whether it is alive. "
        "End it first where it runs."
    )


def test_remove_of_the_dead_needs_no_force(run, redis: Redis, ended: int) -> None:
    """Whose process is gone, or whose heartbeat stopped, is removed at once, whatever it was."""
    here = Identity.here()
    elsewhere = Identity("another boot", here.pid_namespace, here.start)
    silent = register(redis, f"{HOST}:{os.getpid()}:a", elsewhere).worker_id
    redis.hset("resque:workers:heartbeat", silent, "2020-01-01T00:00:00+00:00")
    removed_by_ruby = register(redis, "other:1:b", elsewhere).worker_id
    redis.hset(KEYS.fork(removed_by_ruby), "beat", "2020-01-01T00:00:00+00:00")
    redis.delete("resque:workers")
    redis.hdel("resque:workers:heartbeat", removed_by_ruby)
    register_foreign(redis, f"{HOST}:{ended}:c")
    register_foreign(redis, "other:2:d", ago=1000)
    for worker in (silent, removed_by_ruby, f"{HOST}:{ended}:c", "other:2:d"):
        result = run("remove", worker)
        assert (result.stdout, result.stderr) == (f"Removed {worker}; it had no job.\n", "")


def test_own_worker_that_ruby_took_off_may_be_alive(run, redis: Redis) -> None:
    """Without a heartbeat that Ruby sees, the one counts that our worker notes for itself."""
    here = Identity.here()
    elsewhere = Identity("another boot", here.pid_namespace, here.start)
    worker = register(redis, "other:1:b", elsewhere).worker_id
    redis.delete("resque:workers", "resque:workers:heartbeat")
    assert refused(run, worker).startswith("sent a heartbeat ")


def test_prune_rescues_the_dead(run, redis: Redis, ended: int) -> None:
    """prune removes workers whose process is gone or whose heartbeat stopped, nobody else."""
    run("enqueue", "mail", "Job")
    dead = register(redis, f"{HOST}:{ended}:mail")
    dead.step(NOTHING, ["mail"])
    alive = register(redis, f"{HOST}:{os.getpid()}:mail")
    register_foreign(redis, "other:1:q", ago=1000)
    register_foreign(redis, "other:2:q", ago=10)
    rows = json.loads(run("prune", "--json").stdout)
    assert sorted((row["worker"], row["job"]) for row in rows) == sorted(
        [(dead.worker_id, "failed"), ("other:1:q", "rescued")]
    )
    assert redis.smembers("resque:workers") == {alive.worker_id.encode(), b"other:2:q"}
    assert failures(redis) == [("Resque::DirtyExit", dead.worker_id)]
    assert run("prune").stderr == "No worker is dead.\n"
    assert run("prune", "--json").stdout == "[]\n"


def test_prune_says_what_became_of_each_job(run, redis: Redis, ended: int) -> None:
    """For people each pruned worker is a line."""
    dead = register(redis, f"{HOST}:{ended}:mail")
    assert run("prune").stdout == f"WORKER\n{dead.worker_id}  it had no job\n"
