"""A worker among its peers: how it is known, and what happens when they take it for dead."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import datetime

import pytest

from .harness import Stage, until

LIVELY = ("--heartbeat-interval", "0.1", "--prune-interval", "30")


# --- how it is known


def test_registered_while_it_lives(stage: Stage) -> None:
    """In the set, with the time of its start and a heartbeat, as Ruby reads them."""
    before = int(time.time())
    worker = stage.idle(queues="high,low")
    worker_id = f"{os.uname().nodename}:{worker.pid}:high,low"
    assert stage.workers() == [worker_id]
    started = stage.redis.get(f"resque:worker:{worker_id}:started")
    assert started is not None
    assert re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", started)
    start = datetime.strptime(started.decode(), "%Y-%m-%d %H:%M:%S %z").timestamp()
    assert before <= start <= time.time()
    beat = stage.redis.hget("resque:workers:heartbeat", worker_id)
    assert beat is not None
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", beat)
    told = time.strptime(beat.decode(), "%Y-%m-%dT%H:%M:%S+00:00")
    assert before <= int(time.mktime(told)) - time.timezone <= int(time.time())
    assert not stage.redis.exists(f"resque:worker:{worker_id}")
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_record_of_current_job(stage: Stage) -> None:
    """Queue, time and payload, in this order; gone when the job is done."""
    worker, _ = stage.holding()
    key = f"resque:worker:{stage.id_of(worker)}"
    record = stage.redis.get(key)
    assert record is not None
    assert re.fullmatch(
        rb'\{"queue":"jobs","run_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",'
        rb'"payload":\{"class":"hold","args":\[\]\}\}',
        record,
    )
    stage.open_gate()
    until(lambda: not stage.redis.exists(key))


def test_own_counters(stage: Stage) -> None:
    """What this worker has processed, failed ones included, and failed; gone when it goes."""
    worker = stage.idle()
    for name in ("nothing", "boom", "nothing", "kill_self"):
        stage.push(name, *([9] if name == "kill_self" else []))
    until(lambda: stage.stat("processed") == 4)
    worker.until_idle()
    worker_id = stage.id_of(worker)
    assert stage.redis.get(f"resque:stat:processed:{worker_id}") == b"4"
    assert stage.redis.get(f"resque:stat:failed:{worker_id}") == b"2"
    assert worker.stop() == 0
    stage.assert_left(worker)
    assert (stage.stat("processed"), stage.stat("failed")) == (4, 2)


def test_no_key_of_another_kind(stage: Stage) -> None:
    """What is in Redis while a job runs is Resque's, or begins with ``fork:``."""
    worker, _ = stage.holding()
    worker_id = stage.id_of(worker)
    until(lambda: stage.redis.exists("resque:fork:clock"))
    assert {key.decode() for key in stage.redis.keys("*")} == {
        "resque:queues",
        "resque:workers",
        "resque:workers:heartbeat",
        "resque:fork:clock",
        "resque:fork:pruning",
        f"resque:worker:{worker_id}",
        f"resque:worker:{worker_id}:started",
        "resque:fork:workers",
        f"resque:fork:{worker_id}",
    }


# --- heartbeats


def test_heartbeats_while_idle(stage: Stage) -> None:
    """Sent again and again, without any job."""
    worker = stage.idle(*LIVELY)
    for _ in range(3):
        stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
        until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))


def test_heartbeats_while_a_job_runs(stage: Stage) -> None:
    """However long it takes; without a thread."""
    worker, _ = stage.holding(*LIVELY)
    for _ in range(3):
        stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
        until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))


def test_heartbeats_while_the_child_leaves(stage: Stage) -> None:
    """Also in the time between its report and its end."""
    stage.push("flush_at_gate")
    worker = stage.work(*LIVELY)
    stage.told("flushing", by=worker)
    stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
    until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)


def test_heartbeats_while_paused(stage: Stage) -> None:
    """A paused worker is not a dead one."""
    worker = stage.idle(*LIVELY)
    worker.send(signal.SIGUSR2)
    worker.until_title("Paused")
    stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
    until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))


def test_heartbeat_gone_after_exit(stage: Stage) -> None:
    """It does not come back."""
    worker = stage.idle("--heartbeat-interval", "0.01", "--prune-interval", "30")
    assert worker.stop() == 0
    assert stage.redis.hlen("resque:workers:heartbeat") == 0


# --- taken for dead


def test_a_pruned_worker_registers_anew(stage: Stage) -> None:
    """A peer has removed an idle worker: the next heartbeat brings it back."""
    worker = stage.idle(*LIVELY)
    stage.prune_as_ruby_does(worker)
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}:started")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    stage.assert_left(worker)


@pytest.mark.parametrize("ours_too", [False, True], ids=["by Ruby", "by us"])
def test_a_job_that_was_rescued_is_not_counted(stage: Stage, ours_too: bool) -> None:
    """A peer has taken the job of a living worker: its end counts nothing and is warned of."""
    worker, _ = stage.holding()
    stage.prune_as_ruby_does(worker)
    if ours_too:
        fork = f"resque:fork:{stage.id_of(worker)}"
        token, step = stage.redis.hmget(fork, "token", "step")
        stage.redis.set(b"resque:fork:rescued:" + token, step)
        stage.redis.delete(fork)
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_said("nothing is counted")
    assert stage.stat("processed") == 0
    stage.assert_goes_on(worker)


def test_pruned_by_one_of_ours_while_it_works(stage: Stage) -> None:
    """Its heartbeat was too old for another worker: the job is failed once, and may still end."""
    worker, _ = stage.holding()
    old = "2020-01-01T00:00:00+00:00"
    stage.redis.hset("resque:workers:heartbeat", stage.id_of(worker), old)
    stage.redis.delete("resque:fork:pruning")
    other = stage.idle(queues="other")
    [entry] = stage.failed()
    assert entry["exception"] == "Resque::PruneDeadWorkerDirtyExit"
    assert entry["error"] == (
        f"Worker {stage.id_of(worker)} did not gracefully exit while processing hold"
    )
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_said("nothing is counted")
    worker.until_idle()
    assert stage.workers() == sorted([stage.id_of(worker), stage.id_of(other, "other")])
    assert (stage.stat("processed"), stage.stat("failed")) == (0, 1)
    assert len(stage.failed()) == 1


def test_the_token_alone_does_not_matter(stage: Stage) -> None:
    """Whoever deletes keys of ours does no harm."""
    worker = stage.idle()
    stage.redis.delete(f"resque:fork:{stage.id_of(worker)}")
    for _ in range(2):
        stage.push("quick")
        stage.told("quick", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0
    stage.assert_left(worker)


# --- two of one name

UNSHARE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


def test_two_workers_of_one_name(stage: Stage) -> None:
    """Two containers with one host name: the older one says what is wrong, and leaves."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("there is no permission to make a pid namespace here")
    worker_id = f"{os.uname().nodename}:1:jobs"
    first = stage.start(*UNSHARE, *stage.command(*LIVELY))
    until(lambda: stage.workers() == [worker_id])
    token = stage.redis.hget(f"resque:fork:{worker_id}", "token")
    second = stage.start(*UNSHARE, *stage.command(*LIVELY))
    assert first.ended() == 1
    assert f"Another process has taken the worker id '{worker_id}'" in first.said
    assert "Give each its own host name." in first.said
    assert "Traceback" not in first.said
    assert second.popen.poll() is None
    assert stage.workers() == [worker_id]
    assert stage.redis.hget(f"resque:fork:{worker_id}", "token") not in (None, token)
    stage.push("quick")
    stage.told("quick", by=second)
    until(lambda: stage.stat("processed") == 1)


def test_a_name_taken_while_a_job_runs(stage: Stage) -> None:
    """The older one's job is in the failed list, and is not performed on."""
    worker, child = stage.holding(*LIVELY)
    stage.redis.hset(f"resque:fork:{stage.id_of(worker)}", "token", "another's")
    assert worker.ended() == 1
    assert "Another process has taken the worker id" in worker.said
    assert not os.path.exists(f"/proc/{child}")
    # what stands under the id is the other's now
    assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}")
    assert json.loads(stage.redis.get(f"resque:worker:{stage.id_of(worker)}") or b"null")
