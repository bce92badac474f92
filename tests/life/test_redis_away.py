"""Redis is killed, hangs, refuses or comes back empty, at every station of a job."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import OutOfMemoryError, ResponseError

from resque_fork import Receipt, Resque, embedded

from .harness import TIMEOUT, Stage, is_alive, until

DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Server]:
    """A server of the test's own, that keeps what it has acknowledged."""
    with embedded.Server(config=DURABLE, directory=tmp_path / "redis") as server:
        yield server


# --- idle


def test_parent_waits_and_goes_on(stage: Stage, server: embedded.Server) -> None:
    """An idle worker says once that Redis is away, once that it is back, and takes jobs again."""
    worker = stage.idle()
    server.kill()
    worker.until_said("Trying again.")
    server.start()
    worker.until_said("answers again")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert (worker.said.count("Trying again."), worker.said.count("answers again")) == (1, 1)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_a_restart_that_nobody_noticed(stage: Stage, server: embedded.Server) -> None:
    """An idle worker whose connection was cut hears of the next job all the same."""
    worker = stage.idle()
    server.restart()
    stage.push("quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    pushed = time.monotonic()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert time.monotonic() - pushed < 1.0  # it subscribes anew


def test_a_cut_connection(stage: Stage, server: embedded.Server) -> None:
    """CLIENT KILL: connected again, registered as before."""
    worker = stage.idle()
    stage.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert stage.workers() == [stage.id_of(worker)]
    assert worker.stop() == 0


def test_end_of_a_tracked_job(stage: Stage, server: embedded.Server) -> None:
    """A tracked job, of any producer, whose worker could not write its end is completed later."""
    job_id = "0192aabbccdd00112233445566778899"
    stage.push_raw(b'{"class":"works","args":[],"id":"%b"}' % job_id.encode())
    worker = stage.work(require="tracked")
    stage.told("begun", by=worker)
    server.kill()
    stage.open_gate()
    worker.until_said("Trying again.")
    server.start()
    with contextlib.closing(Resque(stage.url)) as client:
        assert Receipt(job_id, client.status, client.kill).wait(TIMEOUT).state == "completed"
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_script_flush(stage: Stage, server: embedded.Server) -> None:
    """A server that has forgotten the scripts is told them again."""
    worker, _ = stage.holding()
    stage.redis.script_flush()
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: stage.stat("processed") == 1)
    stage.redis.script_flush()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_redis_comes_later(stage: Stage, server: embedded.Server) -> None:
    """A server that was named is waited for at the start."""
    server.kill()
    worker = stage.work()
    worker.until_said("Trying again.")
    server.start()
    worker.until_idle()
    assert worker.stop() == 0


def test_redis_comes_back_empty(stage: Stage, server: embedded.Server) -> None:
    """An idle worker that finds itself forgotten registers anew, and works."""
    worker = stage.idle()
    stage.redis.flushall()
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert worker.stop() == 0
    stage.assert_left(worker)


# --- a job runs


def test_the_running_job_is_not_killed(stage: Stage, server: embedded.Server) -> None:
    """Redis goes and comes while a job runs: it never notices, and is counted once."""
    worker, child = stage.holding("--heartbeat-interval", "0.5")
    server.kill()
    worker.until_said("Trying again.")
    server.start()
    worker.until_said("answers again")
    assert is_alive(child)
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: stage.stat("processed") == 1)
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0
    assert (worker.said.count("Trying again."), worker.said.count("answers again")) == (1, 1)
    assert stage.failed() == []
    stage.assert_left(worker)


@pytest.mark.parametrize("name", ["hold", "hold_and_fail"])
def test_the_outcome_is_written_when_redis_is_back(
    stage: Stage, server: embedded.Server, name: str
) -> None:
    """The job ends while Redis is away: its outcome waits in the worker, and is written once."""
    worker, child = stage.holding(job=name)
    server.kill()
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: not is_alive(child))
    worker.until_said("Trying again.")
    server.start()
    until(lambda: stage.stat("processed") == 1)
    worker.until_idle()
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: stage.stat("processed") == 2)
    assert worker.stop() == 0
    assert len(stage.failed()) == (name == "hold_and_fail")
    assert stage.stat("failed") == len(stage.failed())
    assert stage.queue() == []


def test_a_stop_while_a_job_runs_without_redis(stage: Stage, server: embedded.Server) -> None:
    """The job is stopped; then the worker waits term_timeout for Redis, and leaves with 1."""
    worker, child = stage.holding("--term-timeout", "0.4")
    server.kill()
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    stage.told("stopped", by=worker)
    assert worker.ended() == 1
    assert time.monotonic() - asked >= 0.4
    assert "leaving without it" in worker.said
    assert not is_alive(child)
    server.start()
    # its record is left to be rescued
    assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}")
    stage.idle(queues="other")
    assert stage.failed(1)[0]["error"] == "Job still being processed"
    assert stage.keys_of(worker) == []


def test_redis_comes_back_while_the_worker_waits_to_leave(
    stage: Stage, server: embedded.Server
) -> None:
    """Within term_timeout there is time to write the outcome after all."""
    worker, _ = stage.holding("--term-timeout", "10")
    server.kill()
    worker.send(signal.SIGTERM)
    stage.told("stopped", by=worker)
    worker.until_said("Trying again.")
    server.start()
    assert worker.ended() == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    stage.assert_left(worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_worker_leaves_without_redis(
    stage: Stage, server: embedded.Server, number: int
) -> None:
    """Told to stop while Redis is away: term_timeout, then exit 1."""
    worker = stage.idle("--term-timeout", "0.3")
    server.kill()
    worker.until_said("Trying again.")
    assert worker.stop(number) == 1
    assert "leaving without it" in worker.said


def test_a_starting_worker_leaves_without_redis(stage: Stage, server: embedded.Server) -> None:
    """Also one that has never reached its Redis can be stopped."""
    server.kill()
    worker = stage.work("--term-timeout", "0.3")
    worker.until_said("Trying again.")
    assert worker.stop() == 1


def test_quit_without_redis_finishes_the_job(stage: Stage, server: embedded.Server) -> None:
    """While a job runs there is no hurry: Redis may come back before it ends."""
    worker, child = stage.holding("--term-timeout", "0.2")
    server.kill()
    worker.send(signal.SIGQUIT)
    worker.until_said("Exiting...")
    time.sleep(0.5)  # more than term_timeout, during which nothing must happen
    assert is_alive(child)
    assert worker.popen.poll() is None
    server.start()
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.ended() == 0
    assert stage.stat("processed") == 1


def test_the_deadline_counts_from_the_end_of_the_job(stage: Stage, server: embedded.Server) -> None:
    """The worker waits term_timeout for Redis from when its last job ended, not from the order."""
    worker, child = stage.holding("--term-timeout", "1.5")
    server.kill()
    worker.send(signal.SIGQUIT)
    worker.until_said("Exiting...")
    time.sleep(1.6)  # more than term_timeout, while the job runs
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: not is_alive(child))
    server.start()
    assert worker.ended() == 0
    assert stage.stat("processed") == 1
    stage.assert_left(worker)


# --- a server that accepts and does not answer


def test_a_hung_server_does_not_make_deaf(stage: Stage, server: embedded.Server) -> None:
    """A worker that waits for a reply that never comes still obeys."""
    worker = stage.idle("--term-timeout", "0.3", "--interval", "0.1")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        time.sleep(0.3)  # until it has asked
        assert worker.stop() == 1
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_hung_server_does_not_stop_the_clock(stage: Stage, server: embedded.Server) -> None:
    """While a heartbeat waits for its reply, a job is still stopped when its time is over."""
    worker, child = stage.holding("--heartbeat-interval", "0.1", "--timeout", "2")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        until(lambda: not is_alive(child))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert stage.failed(1)[0]["exception"] == "ResqueFork::JobTimeout"
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_a_stop_between_reserve_and_fork_puts_the_job_back(
    stage: Stage, server: embedded.Server
) -> None:
    """The reply that brings a job comes after the order to stop: the job is not begun."""
    worker = stage.idle("--term-timeout", "10", "--interval", "0.05")
    stage.redis.execute_command("CLIENT", "PAUSE", "600", "WRITE")
    # this push waits in the server, and the worker's next step behind it
    connection = stage.redis.connection_pool.get_connection()
    connection.send_command("RPUSH", "resque:queue:jobs", b'{"class":"quick","args":[]}')
    time.sleep(0.2)  # by now it does
    worker.send(signal.SIGTERM)
    assert connection.read_response() == 1
    stage.redis.connection_pool.release(connection)
    assert worker.ended() == 0
    assert stage.queue() == [b'{"class":"quick","args":[]}']
    assert stage.nothing_told("quick")
    stage.assert_left(worker)


# --- a server that refuses


def test_a_full_redis(stage: Stage, server: embedded.Server) -> None:
    """``maxmemory`` reached, nothing may be evicted: pushes are refused, workers get on."""
    worker, _ = stage.holding(job="hold_and_fail")
    stage.redis.config_set("maxmemory-policy", "noeviction")
    stage.redis.config_set("maxmemory", "1mb")
    stage.redis.config_set("maxmemory", 1)
    stage.open_gate()
    stage.told("done", by=worker)
    assert stage.failed(1)[0]["exception"] == "ValueError"
    with pytest.raises(OutOfMemoryError):
        stage.push("quick")
    assert stage.queue() == []
    stage.redis.config_set("maxmemory", 0)
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)
    stage.assert_left(worker)


def test_a_read_only_replica(stage: Stage, server: embedded.Server) -> None:
    """The server has become a replica: the worker waits for a primary, and loses nothing."""
    worker, _ = stage.holding()
    stage.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_said("Trying again.")
    stage.redis.execute_command("REPLICAOF", "NO", "ONE")
    until(lambda: stage.stat("processed") == 1)
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_a_busy_script(stage: Stage, server: embedded.Server) -> None:
    """Somebody else's script runs for ever: the worker waits for its end."""
    worker, _ = stage.holding()
    stage.redis.config_set("lua-time-limit", 50)
    connection = stage.redis.connection_pool.get_connection()
    connection.send_command("EVAL", "while true do end", 0)
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_said("Trying again.")
    stage.redis.script_kill()
    with pytest.raises(ResponseError, match="killed"):
        connection.read_response()
    stage.redis.connection_pool.release(connection)
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0


def test_a_password_that_is_set_meanwhile(stage: Stage, server: embedded.Server) -> None:
    """A running worker that is locked out does not give up its job."""
    worker, _ = stage.holding()
    stage.redis.config_set("requirepass", "secret")
    stage.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    stage.open_gate()
    stage.told("done", by=worker)
    worker.until_said("Trying again.")
    stage.redis.config_set("requirepass", "")
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0


def as_user(stage: Stage, *rules: str) -> None:
    """From now on workers log in as a user with these rules."""
    stage.redis.execute_command("ACL", "SETUSER", "worker", "on", ">pw", "~*", "+@all", *rules)
    stage.url = stage.url.replace("unix://", "unix://worker:pw@")


@pytest.mark.parametrize("command", ["lpop", "rpush", "hset", "smembers", "sunion", "evalsha"])
def test_a_user_that_lacks_a_command(stage: Stage, server: embedded.Server, command: str) -> None:
    """The worker says so in one sentence and leaves, before it has taken a job."""
    as_user(stage, f"-{command}")
    stage.push("quick")
    worker = stage.work()
    assert worker.ended() == 1
    (error,) = [line for line in worker.said.splitlines() if "ERROR" in line]
    assert "does not allow what we need" in error
    assert command in error
    assert "Traceback" not in worker.said
    assert len(stage.queue()) == 1
    assert stage.keys_of(worker) == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *(("hold", command) for command in ("incr", "hset", "set", "evalsha", "lpop")),
        ("hold_and_fail", "rpush"),
    ],
)
def test_a_command_that_is_forbidden_meanwhile(
    stage: Stage, server: embedded.Server, name: str, command: str
) -> None:
    """The outcome of the running job is not lost for it: it is written when it may be."""
    as_user(stage)
    worker, _ = stage.holding("--interval", "0.5", job=name)
    stage.redis.execute_command("ACL", "SETUSER", "worker", f"-{command}")
    stage.open_gate()
    stage.told("done", by=worker)
    stage.push("quick")
    if command == "incr":  # nobody waits for a counter
        stage.told("quick", by=worker)
    else:
        worker.until_said("Trying again.")
    stage.redis.execute_command("ACL", "SETUSER", "worker", f"+{command}")
    if command != "incr":
        stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert len(stage.failed()) == (name == "hold_and_fail")
    assert stage.queue() == []
    stage.assert_left(worker)


def test_kill_the_server_at_random_moments(stage: Stage, server: embedded.Server) -> None:
    """However often Redis dies under a busy worker: each job is counted, none is lost."""
    jobs = 300
    for number in range(jobs):
        stage.push("nothing", number)
    worker = stage.work("--on-lost", "requeue")
    for _ in range(6):
        before = stage.stat("processed")
        until(lambda before=before: stage.stat("processed") > before + 10)
        server.kill()
        server.start()
    until(lambda: stage.stat("processed") >= jobs, lambda: worker.said, timeout=60.0)
    worker.until_idle()
    assert stage.stat("processed") == jobs
    assert stage.failed() == []
    assert worker.stop() == 0
    stage.assert_left(worker)
