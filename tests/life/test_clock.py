"""Real workers and clocks move what is due."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resque_fork.embedded import Server

from .harness import Running, Stage, until


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which it stops and starts."""
    with Server() as server:
        yield server


@pytest.fixture
def own_stage(tmp_path: Path, own_server: Server) -> Iterator[Stage]:
    stage = Stage(tmp_path, own_server.url)
    try:
        yield stage
    finally:
        stage.close()


def delay(stage: Stage, name: str, *args: Any, seconds: float = 0) -> int:
    """As any resque-scheduler would do it; the second at which the job is due."""
    moment = int(time.time() + seconds)
    job = {"class": name, "args": args, "queue": "jobs"}
    item = json.dumps(job, separators=(",", ":"))
    stage.redis.rpush(f"resque:delayed:{moment}", item)
    stage.redis.sadd(f"resque:timestamps:{item}", f"delayed:{moment}")
    stage.redis.zadd("resque:delayed_queue_schedule", {str(moment): moment})
    return moment


def holder(stage: Stage) -> str:
    return (stage.redis.get("resque:fork:clock") or b"").decode()  # type: ignore[union-attr]


def clock(stage: Stage, *options: str) -> Running:
    command = stage.command()[:5]
    running = stage.start(*command, "clock", *options)
    running.until_title("Moving delayed jobs")
    return running


def test_idle_worker(stage: Stage) -> None:
    """A worker that waits for jobs performs those that are due, and none before its time."""
    worker = stage.idle()
    moment = delay(stage, "quick", 1.0, seconds=2)
    assert stage.told("quick", by=worker)["args"] == [1.0]
    assert time.time() >= moment
    assert holder(stage) == stage.id_of(worker)
    assert worker.stop() == 0
    assert holder(stage) == ""
    assert not stage.redis.exists("resque:delayed_queue_schedule")


def test_own_clock_wakes_it(stage: Stage) -> None:
    """The server does not announce to a worker what it has pushed itself: it knows by itself, for
    a queue that is new, too."""
    worker = stage.idle("--interval", "600", queues="*")
    until(lambda: holder(stage) == stage.id_of(worker, "*"))
    for number in range(2):
        delay(stage, "quick", number, seconds=1)
        assert stage.told("quick", by=worker)["args"] == [number]


def test_own_rescue_wakes_it(stage: Stage) -> None:
    """Likewise of a job that the worker itself has rescued."""
    options = ["--on-lost", "requeue", "--no-clock", "--heartbeat-interval", "1"]
    worker = stage.idle("--interval", "600", *options)
    stage.redis.sadd("resque:workers", "gone:1:jobs")
    stage.redis.hset("resque:workers:heartbeat", "gone:1:jobs", "2020-01-01T00:00:00+00:00")
    record = {"queue": "jobs", "run_at": "x", "payload": {"class": "quick", "args": ["lost"]}}
    stage.redis.set("resque:worker:gone:1:jobs", json.dumps(record))
    stage.redis.delete("resque:fork:pruning")
    assert stage.told("quick", by=worker)["args"] == ["lost"]


def test_busy_worker(stage: Stage) -> None:
    """Also while a job runs, however long it takes."""
    worker, _ = stage.holding()
    delay(stage, "quick")
    until(stage.queue)
    stage.open_gate()
    stage.told("quick", by=worker)


def test_retry_comes_back(stage: Stage) -> None:
    """By itself: a job that fails twice succeeds at its third attempt."""
    (stage.directory / "app.py").write_text(
        "import jobs, os\nfrom resque_fork import job\n"
        "@job(queue='jobs', retry=[1, 1])\n"
        "def third():\n"
        "    with open('count', 'a') as file:\n        file.write('.')\n"
        "    jobs.tell('attempt')\n"
        "    if os.path.getsize('count') < 3:\n        raise ValueError('not yet')\n"
    )
    worker = stage.idle("-v", require="app")
    stage.push("third")
    for _ in range(3):
        stage.told("attempt", by=worker)
    worker.until_said("done: (Job{jobs} | third | [])")
    assert worker.stop() == 0
    assert stage.failed() == []
    assert not stage.redis.exists("resque:fork:retries", "resque:delayed_queue_schedule")


def test_holder_is_killed(stage: Stage) -> None:
    """Another worker takes over once the lease has run out; until then nobody moves anything."""
    first = stage.idle()
    until(lambda: holder(stage) == stage.id_of(first))
    second = stage.idle(queues="jobs")
    first.kill()
    stage.redis.pexpire("resque:fork:clock", 500)  # for the rest of its fifteen seconds
    delay(stage, "quick")
    stage.told("quick", by=second)
    assert holder(stage) == stage.id_of(second)


@pytest.mark.parametrize("options", [["--no-clock"], ["--no-fork-per-job"]])
def test_workers_without_a_clock(stage: Stage, options: list[str]) -> None:
    """They leave the lease to others."""
    worker = stage.idle(*options)
    moment = delay(stage, "quick")
    stage.push("quick", "now")
    assert stage.told("quick", by=worker)["args"] == ["now"]
    assert worker.stop() == 0
    assert stage.redis.exists(f"resque:delayed:{moment}")
    assert holder(stage) == ""


def test_worker_that_leaves_when_it_is_idle(stage: Stage) -> None:
    """With --interval 0 it is not there for long enough."""
    delay(stage, "quick")
    stage.push("hold")
    worker = stage.work("--interval", "0")
    stage.told("begun", by=worker)
    stage.open_gate()
    assert worker.ended() == 0
    assert holder(stage) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_clock_alone(stage: Stage, number: int) -> None:
    """A process of its own moves what is due, and gives the lease back when it is told to end."""
    running = clock(stage)
    delay(stage, "quick")
    until(stage.queue)
    assert holder(stage).endswith(f":{running.pid}:clock")
    assert running.stop(number) == 0
    assert holder(stage) == ""
    assert "The clock is starting" in running.said
    assert "The clock has left" in running.said


def test_clock_outlives_redis_scripts(stage: Stage) -> None:
    """A server that has forgotten all scripts and connections is served on."""
    running = clock(stage)
    until(lambda: holder(stage))
    stage.redis.script_flush()
    stage.redis.client_kill_filter(_type="normal", skipme=True)
    delay(stage, "quick")
    until(stage.queue)
    assert running.stop() == 0


def test_ruby_takes_over(stage: Stage) -> None:
    """While the lock of Ruby's scheduler stands nothing is moved; afterwards it goes on."""
    running = clock(stage, "--scheduler-lock-prefix", "app", "-vv")
    lock = "resque:resque:app:resque_scheduler_master_lock"
    stage.redis.set(lock, "host:1", ex=180)
    running.until_said("Ruby's scheduler moves delayed jobs, so this clock does not")
    delay(stage, "quick")
    time.sleep(1.5)  # some ticks
    assert stage.queue() == []
    stage.redis.delete(lock)
    until(stage.queue)
    assert running.stop() == 0


def test_clock_alone_is_killed(stage: Stage) -> None:
    """What it was moving is in its queue or waits on, each job once and in order; another goes
    on."""
    stage.redis.zadd("resque:delayed_queue_schedule", {"1000": 1000})
    items = [b'{"class":"quick","args":[%d],"queue":"jobs"}' % n for n in range(20_000)]
    stage.redis.rpush("resque:delayed:1000", *items)
    for _ in range(3):
        running = clock(stage)
        before = len(stage.queue())
        until(lambda was=before: len(stage.queue()) > was)  # type: ignore[misc]
        running.kill()
        stage.redis.delete("resque:fork:clock")
        assert len(stage.queue()) + stage.redis.llen("resque:delayed:1000") == 20_000
    last = clock(stage)
    until(lambda: not stage.redis.exists("resque:delayed_queue_schedule"))
    assert stage.queue() == [raw.replace(b',"queue":"jobs"', b"") for raw in items]
    assert last.stop() == 0


def test_redis_is_away(own_stage: Stage, own_server: Server) -> None:
    """The clock goes on once the server is there again, and can be stopped meanwhile."""
    running = clock(own_stage)
    until(lambda: holder(own_stage))
    own_server.kill()
    running.until_said("does not answer")
    own_server.start()
    running.until_said("answers again")
    delay(own_stage, "quick")
    until(own_stage.queue)
    own_server.kill()
    running.send(signal.SIGTERM)
    assert running.ended() == 1
    assert "Traceback" not in running.said
    assert "The clock has left" in running.said


def test_idle_fleet(stage: Stage) -> None:
    """One of several workers looks each second, and the others hardly add to it."""
    for _ in range(3):
        stage.idle()
    until(lambda: holder(stage))
    time.sleep(1)
    stage.redis.config_resetstat()
    time.sleep(4)
    calls: Any = stage.redis.info("commandstats")
    assert calls["cmdstat_zrangebyscore"]["calls"] <= 5


def test_worker_that_may_not_move_jobs(stage: Stage) -> None:
    """A worker whose user lacks a command says so once, and goes on with its jobs."""
    rights = ["reset", "on", ">pw", "~*", "&*", "+@all", "-zrangebyscore"]
    stage.redis.execute_command("ACL", "SETUSER", "less", *rights)
    url = stage.url.replace("unix://", "unix://less:pw@")
    worker = stage.start(*(url if part == stage.url else part for part in stage.command()))
    worker.until_said("Delayed jobs cannot be moved by this clock: ")
    delay(stage, "quick", "late")
    stage.push("quick", "now")
    assert stage.told("quick", by=worker)["args"] == ["now"]
    other = clock(stage)
    assert stage.told("quick", by=worker)["args"] == ["late"]
    assert worker.stop() == 0
    assert other.stop() == 0
    assert worker.said.count("zrangebyscore") == 1
