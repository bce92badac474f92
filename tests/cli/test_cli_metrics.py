"""`metrics` and `health`."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from resque_fork.metrics.names import METRICS
from resque_fork.system.identity import Identity
from resque_fork.wire.times import run_time

HOST = socket.gethostname()
NOBODY = 2**22 + 1  # no process has such an id


def test_metrics(run: Any, redis: Redis) -> None:
    """All metrics are printed, whatever queues are called."""
    run("enqueue", 'a"\n', "Job")
    text = run("metrics").stdout
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n" in text
    assert "\nresque_up 1\n" in text
    assert 'resque_queue_jobs{queue="a\\"\\\\n"} 1\n' in text
    assert text.endswith("\n")


def test_metrics_without_redis(run: Any) -> None:
    """Who collects the output learns that Redis is away, and so does who looks at the status."""
    result = run("--redis=redis://localhost:1", "metrics", status=1)
    assert result.stdout == (
        "# HELP resque_up 1 if Redis answers.\n# TYPE resque_up gauge\nresque_up 0\n"
    )
    assert result.stderr.startswith("resque-fork: Redis at redis://localhost:1 does not answer")


# --- health


def register(redis: Redis, pid: int, beat: str | None = None, host: str = HOST) -> str:
    """A worker whose process is this one, under any pid."""
    worker_id = f"{host}:{pid}:mail"
    redis.sadd("resque:fork:workers", worker_id)
    redis.hset(f"resque:fork:{worker_id}", mapping={"token": "t", **Identity.here().to_fields()})
    if beat:
        redis.hset(f"resque:fork:{worker_id}", "beat", beat)
    return worker_id


def now(ago: float = 0) -> str:
    return run_time(time.time() - ago)


def test_alive(run: Any, redis: Redis) -> None:
    """One worker with a heartbeat is enough, whatever the others of this host do."""
    register(redis, NOBODY, now())
    alive = register(redis, os.getpid(), now())
    assert run("health").stdout == f"{alive} is alive.\n"


@pytest.mark.parametrize(
    ("gone", "beat", "options", "sentence"),
    [
        (True, 0, (), "the process of {} is gone."),
        (False, None, (), "{} has sent no heartbeat."),
        (False, "yesterday", (), "{} has sent no heartbeat."),
        (False, 200, (), "the last heartbeat of {} was 3m 2"),
        (False, 30, ("--heartbeat-interval=10",), "the last heartbeat of {} was 3"),
    ],
)
def test_not_alive(
    run: Any,
    redis: Redis,
    gone: bool,
    beat: int | str | None,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    """The status is 1, and a sentence says what is missing; a beat was so many seconds ago."""
    text = now(beat) if isinstance(beat, int) else beat
    worker_id = register(redis, NOBODY if gone else os.getpid(), text)
    said = run("health", *options, status=1).stderr
    sentence = f"resque-fork: No worker of host {HOST} is alive: {sentence.format(worker_id)}"
    assert said.startswith(sentence)


def test_no_worker_of_this_host(run: Any, redis: Redis, redis_url: str) -> None:
    """Workers of other hosts do not count."""
    register(redis, os.getpid(), now(), host="elsewhere")
    said = run("health", status=1).stderr
    assert said == f"resque-fork: No worker of host {HOST} is registered in {redis_url}.\n"


def test_redis_that_is_away(run: Any) -> None:
    """No worker can do anything without it."""
    said = run("--redis=redis://localhost:1", "health", status=1).stderr
    assert said.startswith("resque-fork: Redis at redis://localhost:1 does not answer")


def test_of_a_pidfile(run: Any, redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """It is about the worker that has written the file, or those that its supervisor has."""
    path = tmp_path / "pid"
    other = register(redis, os.getppid(), now())
    said = run("health", "--pidfile", str(path), status=1).stderr
    assert said == (f"resque-fork: The pidfile {path} is not there: has the worker been started?\n")
    path.write_text("none\n")
    said = run("health", "--pidfile", str(path), status=1).stderr
    assert f"The pidfile {path} names no process: has the worker been started?" in said
    path.write_text(f"{os.getpid()}\n")
    said = run("health", "--pidfile", str(path), status=1).stderr
    who = f"process {os.getpid()} ({path})"
    assert said == f"resque-fork: No worker of {who} is registered in {redis_url}.\n"
    ours = register(redis, os.getpid(), now())
    assert run("health", "--pidfile", str(path)).stdout == f"{ours} is alive.\n"
    path.write_text(f"{os.getppid()}\n")  # as of a supervisor, with a worker that is its child
    redis.srem("resque:fork:workers", other)
    assert run("health", "--pidfile", str(path)).stdout == f"{ours} is alive.\n"


def test_pidfile_that_cannot_be_read(run: Any, tmp_path: Path) -> None:
    """The reason is that of the operating system."""
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "pid"
    said = run("health", "--pidfile", str(path), status=1).stderr
    assert said == f"resque-fork: The pidfile {path} cannot be read: Not a directory.\n"
