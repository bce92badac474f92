"""A worker is killed with its job: the child goes with it, and the job is not lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resque_fork.system.identity import Identity

from .harness import Running, Stage, bytes_in, is_alive, until

ENTRY = {"class": "hold", "args": []}


def killed(stage: Stage, *options: str) -> tuple[Running, int]:
    """A worker that was killed while a job ran, with the job still on record."""
    worker, child = stage.holding(*options)
    worker.kill()
    assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}")
    return worker, child


@pytest.fixture
def public_stage(redis_url: str) -> Iterator[Stage]:
    """A stage whose directory every user can enter, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stage = Stage(directory, redis_url)
        directory.chmod(0o755)
        for fifo in ("box", "gate"):
            (directory / fifo).chmod(0o666)
        try:
            yield stage
        finally:
            stage.close()


# --- the child


def test_the_child_goes_at_once(stage: Stage) -> None:
    """No job goes on without its worker: somebody else may be running it already."""
    worker, child = stage.holding()
    worker.kill()
    until(lambda: not is_alive(child), timeout=1.0)


def test_a_child_that_blocks_signals_goes_too(stage: Stage) -> None:
    """It is the kernel that ends it, with KILL."""
    worker, child = stage.holding(job="deaf")
    worker.kill()
    until(lambda: not is_alive(child), timeout=1.0)


def test_a_child_that_changed_its_user_goes_too(public_stage: Stage) -> None:
    """A change of user in an after_fork hook clears what ties a child to its parent."""
    if os.getuid():
        pytest.skip("only root can change its user")
    stage = public_stage
    (stage.directory / "other_user.py").write_text(
        "import os, jobs\nfrom resque_fork import after_fork\n"
        "@after_fork\ndef become_nobody(job):\n    os.setgid(65534)\n    os.setuid(65534)\n"
    )
    worker, child = stage.holding(require="other_user")
    assert Path(f"/proc/{child}").stat().st_uid == 65534
    worker.kill()
    until(lambda: not is_alive(child), timeout=1.0)


def test_a_frozen_child_goes_too(stage: Stage) -> None:
    """STOP does not save it."""
    worker, child = stage.holding()
    os.kill(child, signal.SIGSTOP)
    worker.kill()
    until(lambda: not is_alive(child), timeout=1.0)


# --- its job


def test_the_job_is_failed_by_the_next_worker(stage: Stage) -> None:
    """A worker that starts finds the record of a dead process of its host, and fails the job."""
    dead, _ = killed(stage)
    other = stage.idle(queues="other")  # serving other queues does not keep it from that
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::DirtyExit"
    assert entry["error"] == "Job still being processed"
    assert entry["backtrace"] == []
    assert entry["payload"] == ENTRY
    assert entry["queue"] == "jobs"
    assert entry["worker"] == stage.id_of(dead)
    assert stage.keys_of(dead) == []
    assert stage.workers() == [stage.id_of(other, "other")]
    assert stage.stat("failed") == 1
    assert f"Pruned dead worker {stage.id_of(dead)}: its job is in the failed list" in other.said


def test_no_lock_delays_the_rescue(stage: Stage) -> None:
    """Resque's lock is held by whoever looked last; looking on one's own host needs none."""
    stage.redis.set("resque:pruning_dead_workers_in_progress", "somebody", ex=60)
    killed(stage)
    stage.idle()
    assert len(stage.failed()) == 1


def test_a_running_worker_finds_it_within_seconds(stage: Stage) -> None:
    """Nobody needs to be restarted for that."""
    other = stage.idle(queues="other")
    _dead, _ = killed(stage)
    stage.failed(1)
    until(lambda: stage.workers() == [stage.id_of(other, "other")])


def test_a_busy_worker_finds_it_too(stage: Stage) -> None:
    """Looking around is not left to the idle."""
    stage.push("hold", queue="other")
    other = stage.work(queues="other")
    stage.told("begun", by=other)
    dead, _ = killed(stage)
    [entry] = stage.failed(1)
    assert entry["worker"] == stage.id_of(dead)


def test_an_idle_worker_that_was_killed_is_forgotten(stage: Stage) -> None:
    """Without a job there is nothing but its registration to take away."""
    dead = stage.idle()
    dead.kill()
    other = stage.idle()
    assert stage.workers() == [stage.id_of(other)]
    assert stage.keys_of(dead) == []
    assert stage.failed() == []
    assert stage.stat("failed") == 0


def test_requeue_puts_it_to_the_front_once(stage: Stage) -> None:
    """With --on-lost=requeue it is the first of its queue again, and has not failed."""
    killed(stage)
    stage.push("hold", "second")
    stage.redis.set("resque:pause-all-workers", "true")
    other = stage.work("--on-lost", "requeue")
    other.until_title("Paused")
    assert stage.queue() == [b'{"class":"hold","args":[]}', b'{"class":"hold","args":["second"]}']
    assert stage.failed() == []
    stage.redis.delete("resque:pause-all-workers")
    stage.open_gate()
    assert stage.told("begun")["args"] == []
    stage.open_gate()
    assert stage.told("begun")["args"] == ["second"]
    stage.told("done")
    other.until_idle()
    assert stage.stat("processed") == 2


def test_a_job_that_kills_its_worker_is_a_poison_pill(stage: Stage) -> None:
    """What was lost --max-attempts times is failed and not tried again."""
    options = ("--on-lost", "requeue", "--max-attempts", "3")
    stage.push("kill_worker")
    workers = []
    for _ in range(3):
        workers.append(stage.work(*options))
        assert workers[-1].ended() == -signal.SIGKILL
    last = stage.idle(*options)
    [entry] = stage.failed()
    assert entry["exception"] == "ResqueFork::PoisonPill"
    assert entry["error"] == "Lost 3 times, the last time because: Job still being processed"
    assert entry["worker"] == stage.id_of(workers[-1])
    assert stage.queue() == []
    assert stage.workers() == [stage.id_of(last)]
    assert not stage.redis.exists("resque:fork:attempts")


def test_ten_workers_rescue_once(stage: Stage) -> None:
    """However many look at the same moment, the job fails once and is counted once."""
    killed(stage)
    others = [stage.work(queues=f"other{number}") for number in range(10)]
    for other in others:
        other.until_idle()
    assert len(stage.failed()) == 1
    assert stage.stat("failed") == 1
    assert len(stage.workers()) == 10
    assert sum("its job is in the failed list" in other.said for other in others) == 1


def test_ten_workers_requeue_once(stage: Stage) -> None:
    """The same with --on-lost=requeue: it is performed once more, not ten times."""
    killed(stage)
    others = [stage.work("--on-lost", "requeue", queues=f"other{n}") for n in range(10)]
    for other in others:
        other.until_idle()
    assert stage.queue() == [b'{"class":"hold","args":[]}']
    assert stage.failed() == []


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"hold","args":[[],{},12345678901234567890,1e0]}',
        b'{"class":"hold",\n"args":[]}',
        b'{"class":"large","args":["' + b"x" * 2_000_000 + b'"]}',
    ],
    ids=["telling", "unfit", "large"],
)
@pytest.mark.parametrize("on_lost", ["fail", "requeue"])
def test_the_rescued_bytes_are_the_pushed_bytes(stage: Stage, raw: bytes, on_lost: str) -> None:
    """A payload comes back as it was, whether or not it was fit for ``worker:<id>``."""
    stage.push_raw(raw)
    worker = stage.work()
    stage.told("begun", by=worker)
    worker.kill()
    stage.idle("--on-lost", on_lost, queues="other")
    if on_lost == "requeue":
        assert stage.queue() == [raw]
    else:
        [entry] = stage.redis.lrange("resque:failed", 0, -1)
        assert b'"payload":' + raw + b"," in entry or bytes_in(json.loads(entry)) == raw
    assert stage.keys_of(worker) == []


@pytest.mark.parametrize("found", ["at start", "while idle"])
def test_a_ruby_worker_found_it_first(stage: Stage, found: str) -> None:
    """It removes all that it knows of; a job that it cannot read is left to us, byte for byte."""
    raw = b'{"class":"hold","args":[],"x":1e999}'
    stage.push_raw(raw)
    dead = stage.work()
    stage.told("begun", by=dead)
    if found == "at start":
        dead.kill()
        stage.prune_as_ruby_does(dead)
        other = stage.idle(queues="other")
    else:
        other = stage.idle(queues="other")
        stage.prune_as_ruby_does(dead)  # while it lives, or the other might be faster
        dead.kill()
    [entry] = stage.failed(1)
    assert (entry["exception"], entry["worker"]) == ("Resque::DirtyExit", stage.id_of(dead))
    assert bytes_in(entry) == raw
    assert stage.keys_of(dead) == []
    assert other.stop() == 0
    left = [key.split(b":")[2] for key in stage.redis.keys("resque:fork:*")]
    assert set(left) <= {b"pruning", b"rescued", b"clock", b"metrics"}


def test_a_living_worker_that_ruby_took_off_keeps_its_job(stage: Stage) -> None:
    """Nobody of ours takes it for dead, however often they look."""
    stage.push_raw(b'{"class":"hold","args":[],"x":1e999}')
    worker = stage.work()
    stage.told("begun", by=worker)
    stage.prune_as_ruby_does(worker)
    for _ in range(2):
        assert stage.idle(queues="other").stop() == 0
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)
    assert stage.failed() == []
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_hooks_of_the_lost_job_run(stage: Stage) -> None:
    """on_failure gets the error of a job whose worker died, in a short-lived child."""
    stage.push("FailureHook")
    worker = stage.work()
    stage.told("begun", by=worker)
    worker.kill()
    other = stage.idle()
    on_failure = stage.told("on_failure", by=other)
    assert on_failure["error"] == "DirtyExit: Job still being processed"
    assert on_failure["pid"] != other.pid
    assert len(stage.failed()) == 1


def test_hooks_of_the_lost_job_run_before_its_finder_leaves(stage: Stage) -> None:
    """Also if that has a job of its own, and is told to stop after it."""
    stage.push("FailureHook")
    worker = stage.work()
    stage.told("begun", by=worker)
    worker.kill()
    stage.push("hold")
    other = stage.work()
    stage.told("begun", by=other)
    other.send(signal.SIGQUIT)
    stage.open_gate()
    assert stage.told("on_failure", by=other)["error"] == "DirtyExit: Job still being processed"
    assert other.ended() == 0
    assert stage.stat("processed") == 1
    assert len(stage.failed()) == 1


def test_a_hook_of_the_lost_job_that_raises(stage: Stage) -> None:
    """The job is recorded once all the same, one line tells of hook and job, and work goes on."""
    (stage.directory / "raising.py").write_text(
        "import jobs, resque_fork\n"
        "class Raising(resque_fork.Job):\n"
        "    perform = staticmethod(lambda: jobs.everyday.hold())\n"
        "    @staticmethod\n"
        "    def on_failure(error):\n"
        "        jobs.tell('on_failure')\n"
        "        raise LookupError('in on_failure')\n"
    )
    stage.push("Raising")
    worker = stage.work(require="raising")
    stage.told("begun", by=worker)
    worker.kill()
    other = stage.idle(require="raising")
    stage.told("on_failure", by=other)
    stage.push("quick")
    stage.told("quick", by=other)
    [entry] = stage.failed()
    assert (entry["exception"], entry["error"]) == (
        "Resque::DirtyExit", "Job still being processed",
    )  # fmt: skip
    assert stage.stat("failed") == 1
    told = [line for line in other.said.splitlines() if "in on_failure" in line]
    assert len(told) == 1, other.said
    assert told[0].endswith(
        "Additional error (LookupError: in on_failure) occurred in running failure hooks for job "
        "Raising. Original error that caused job failure was DirtyExit: Job still being processed"
    )


# --- who is dead


def test_a_restarted_container_rescues_its_own_record_first(stage: Stage) -> None:
    """The same host and pid again: the record under one's own id is a dead predecessor's."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("there is no permission to make a pid namespace here")
    stage.push("hold")
    first = stage.start(*unshare, *stage.command())
    stage.told("begun", by=first)
    worker_id = f"{os.uname().nodename}:1:jobs"
    assert stage.workers() == [worker_id]
    first.kill()
    until(lambda: not first.children)
    token = stage.redis.hget(f"resque:fork:{worker_id}", "token")
    second = stage.start(*unshare, *stage.command())
    [entry] = stage.failed(1)
    assert entry["worker"] == worker_id
    until(lambda: stage.redis.hget(f"resque:fork:{worker_id}", "token") not in (None, token))
    assert stage.workers() == [worker_id]
    second.until_said("is starting")


def test_a_worker_in_another_pid_namespace_is_left_alone(stage: Stage) -> None:
    """Its pid means nothing here; only its heartbeat counts."""
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("there is no permission to make a pid namespace here")
    stage.push("hold")
    other = stage.start(*unshare, *stage.command())
    stage.told("begun", by=other)
    stage.idle(queues="other")
    assert f"{os.uname().nodename}:1:jobs" in stage.workers()
    assert stage.failed() == []


def record(stage: Stage, worker_id: str, **process: str) -> None:
    """What a worker with a job leaves."""
    stage.redis.sadd("resque:workers", worker_id)
    stage.redis.set(f"resque:worker:{worker_id}:started", "2026-11-23 06:51:48 +0000")
    stage.redis.set(
        f"resque:worker:{worker_id}",
        '{"queue":"jobs","run_at":"2026-11-23T06:51:50Z","payload":{"class":"hold","args":[]}}',
    )
    if process:
        stage.redis.hset(
            f"resque:fork:{worker_id}",
            mapping={"token": "t", "step": "3", "finish": "none", "queue": "jobs", **process},
        )


def test_a_pid_that_is_used_again_does_not_save_the_dead(stage: Stage) -> None:
    """The process of that pid started at another time: it is not the worker."""
    bystander = stage.start(sys.executable, "-c", "import time; time.sleep(600)")
    here = Identity.here().to_fields()
    record(stage, stage.id_of(bystander), **{**here, "start": "1"})
    stage.idle()
    assert stage.failed(1)[0]["worker"] == stage.id_of(bystander)
    assert is_alive(bystander.pid)


def test_a_zombie_is_dead(stage: Stage) -> None:
    """A worker that nobody has waited for will never finish its job."""
    worker, _ = stage.holding()
    os.kill(worker.pid, signal.SIGKILL)  # and it is not waited for
    until(lambda: not is_alive(worker.pid))
    stage.idle(queues="other")
    assert stage.failed(1)[0]["worker"] == stage.id_of(worker)


def test_another_boot_and_another_host_are_left_to_the_heartbeat(stage: Stage) -> None:
    """A pid that another kernel gave out cannot be looked up here."""
    here = Identity.here().to_fields()
    name = os.uname().nodename
    record(stage, f"{name}:99999991:jobs", **{**here, "boot": "another"})
    record(stage, f"{name}:99999992:jobs", **{**here, "pid_namespace": "pid:[1]"})
    record(stage, "elsewhere:99999993:jobs", **here)
    stage.idle()
    assert stage.failed() == []
    assert len(stage.workers()) == 4


def test_a_heartbeat_that_stopped_is_pruned_from_anywhere(stage: Stage) -> None:
    """A host that is gone leaves a heartbeat that grows old: PruneDeadWorkerDirtyExit."""
    record(stage, "elsewhere:99:jobs")
    record(stage, "elsewhere:98:jobs")
    now = int(stage.redis.time()[0])
    for pid, age in ((99, 302), (98, 290)):
        beat = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now - age))
        stage.redis.hset("resque:workers:heartbeat", f"elsewhere:{pid}:jobs", beat)
    worker = stage.idle()
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::PruneDeadWorkerDirtyExit"
    assert entry["error"] == (
        "Worker elsewhere:99:jobs did not gracefully exit while processing hold"
    )
    assert stage.workers() == ["elsewhere:98:jobs", stage.id_of(worker)]
    assert stage.redis.get("resque:fork:pruning") == stage.id_of(worker).encode()
    assert not stage.redis.exists("resque:pruning_dead_workers_in_progress")


def test_the_lock_holds_the_fleet_wide_sweep(stage: Stage) -> None:
    """Who looked within the last minute looked for all."""
    record(stage, "elsewhere:99:jobs")
    stage.redis.hset("resque:workers:heartbeat", "elsewhere:99:jobs", "2020-01-01T00:00:00+00:00")
    stage.redis.set("resque:fork:pruning", "somebody", ex=60)
    stage.idle()
    assert stage.failed() == []
    assert "elsewhere:99:jobs" in stage.workers()


def test_a_key_in_the_way_of_a_rescue_stops_nobody(stage: Stage) -> None:
    """The worker names the key, once, and serves; when the key is gone, the job is rescued."""
    victim, _ = killed(stage)
    stage.redis.set("resque:failed", "x")
    worker = stage.idle("--interval", "0.2")
    worker.until_said(f"Cannot rescue what worker {stage.id_of(victim)} left: ")
    assert "The Redis key 'resque:failed' does not hold what Resque keeps there" in worker.said
    for _ in range(2):
        stage.push("quick")
        stage.told("quick", by=worker)
    other = stage.idle()  # nor does it keep others from starting
    assert other.stop() == 0
    stage.redis.delete("resque:failed")
    (entry,) = stage.failed(1)
    assert entry["error"] == "Job still being processed"
    assert worker.said.count("Cannot rescue") == 1
    assert worker.stop() == 0


@pytest.mark.parametrize("key", ["worker", "fork"])
def test_a_dead_worker_with_a_key_of_the_wrong_type_stops_nobody(stage: Stage, key: str) -> None:
    """It is named, and the other dead are rescued."""
    victims = [stage.holding()[0] for _ in range(2)]
    for victim in victims:
        victim.kill()
    wrong = f"resque:{key}:{stage.id_of(victims[0])}"
    stage.redis.delete(wrong)
    stage.redis.rpush(wrong, "x")
    worker = stage.idle()
    worker.until_said(f"The Redis key {wrong!r} does not hold what Resque keeps there")
    assert len(stage.failed(1)) == 1
    assert worker.stop() == 0


def test_broken_records_stop_nobody(stage: Stage) -> None:
    """Whatever stands under dead ids, a worker starts, and loses none of it."""
    name = os.uname().nodename
    here = {**Identity.here().to_fields(), "start": "1"}
    for number, value in enumerate([b"not json", b"[]", b"\xff", b"{}", b'{"queue":1}']):
        worker_id = f"{name}:9999999{number}:jobs"
        record(stage, worker_id, **here)
        stage.redis.set(f"resque:worker:{worker_id}", value)
    record(stage, f"{name}:no-number:jobs")
    record(stage, "twoparts:1")
    stage.redis.sadd("resque:workers", "", b"\xff:1:\xff", "::::")
    stage.redis.hset("resque:workers:heartbeat", "garbage:1:x", "garbage")
    worker = stage.idle()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert {entry["exception"] for entry in stage.failed(5)} == {"Resque::DirtyExit"}
    for raw in stage.redis.lrange("resque:failed", 0, -1):
        json.loads(raw)
    assert worker.stop() == 0
