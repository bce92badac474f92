"""An application has connections open when its worker forks: that is said, and nothing else is."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from .harness import Running, Stage, until

SHARED = "connections open that all"

CONNECTED = """
import os, socket
import jobs
import resque_fork

def connect():
    return socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
"""

AT_IMPORT = CONNECTED + "client = connect()\n"

IN_A_HOOK = (
    CONNECTED + "resque_fork.before_first_fork(lambda: globals().update(client=connect()))\n"
)


@pytest.fixture
def port() -> Iterator[int]:
    """A server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def work(stage: Stage, port: int, application: str, *options: str) -> Running:
    (stage.directory / "connected.py").write_text(application)
    env = stage.environment(PORT=str(port))
    return stage.work(*options, require="connected", env=env)


def warnings(running: Running) -> list[str]:
    return [line for line in running.said.splitlines() if SHARED in line]


def test_a_worker_warns_of_what_is_open(stage: Stage, port: int) -> None:
    """With the address and the remedy; it goes on."""
    worker = work(stage, port, AT_IMPORT).until_idle()
    [line] = warnings(worker)
    assert "WARNING: The application has connections open that all children would share:" in line
    assert f": 127.0.0.1:{port}. Close them in before_first_fork, and open others in" in line
    stage.assert_goes_on(worker)
    assert len(warnings(worker)) == 1


def test_what_a_hook_closes_is_not_warned_about(stage: Stage, port: int) -> None:
    """The remedy that is named is one."""
    closing = AT_IMPORT + "resque_fork.before_first_fork(client.close)\n"
    worker = work(stage, port, closing).until_idle()
    assert warnings(worker) == []


def test_what_a_hook_opens_is_warned_about(stage: Stage, port: int) -> None:
    """Children come from the worker, whenever it was opened."""
    worker = work(stage, port, IN_A_HOOK).until_idle()
    [line] = warnings(worker)
    assert f"127.0.0.1:{port}." in line


def test_a_supervisor_warns_once(stage: Stage, port: int) -> None:
    """And not each of its workers, nor one that takes the place of another."""
    pool = work(stage, port, AT_IMPORT, "--count", "2")
    until(lambda: len(stage.workers()) == 2, lambda: pool.said)
    [line] = warnings(pool)
    assert f"[{pool.pid}] WARNING: The application has connections open that all workers" in line
    assert f"127.0.0.1:{port}. Close them at the end of its import" in line
    victim = pool.children[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(stage.workers()) == 2 and str(victim) not in str(stage.workers()))
    assert pool.stop() == 0
    assert len(warnings(pool)) == 1


def test_workers_warn_of_what_is_theirs(stage: Stage, port: int) -> None:
    """Each has a connection of its own, which its children would share."""
    pool = work(stage, port, IN_A_HOOK, "--count", "2")
    until(lambda: len(stage.workers()) == 2, lambda: pool.said)
    assert pool.stop() == 0
    assert len(warnings(pool)) == 2
    assert not any(f"[{pool.pid}]" in line for line in warnings(pool))


def test_a_worker_without_children_shares_nothing(stage: Stage, port: int) -> None:
    """There a connection of the application's is where it ought to be."""
    worker = work(stage, port, AT_IMPORT, "--no-fork-per-job").until_idle()
    assert warnings(worker) == []


def test_what_a_worker_was_started_with_is_not_the_applications(stage: Stage, port: int) -> None:
    """Sockets of systemd's, of an inetd or a shell, as standard streams and beyond."""
    address = ("127.0.0.1", port)
    with socket.create_connection(address) as given, socket.create_connection(address) as stream:
        worker = stage.start(*stage.command(), pass_fds=[given.fileno()], stdout=stream)
        worker.until_idle()
    assert warnings(worker) == []


def test_what_is_harmless_is_not_warned_about(stage: Stage, port: int) -> None:
    """An event loop, a listener, a logger of datagrams, and a client of Redis."""
    harmless = f"""
import asyncio, socket
import redis
loop = asyncio.new_event_loop()
listener = socket.create_server(("127.0.0.1", 0))
statsd = socket.socket(type=socket.SOCK_DGRAM)
statsd.connect(("127.0.0.1", 8125))
client = redis.Redis.from_url({stage.url!r})
client.ping()
resque_fork.Resque().enqueue_to("jobs", "quick")
"""
    worker = work(stage, port, CONNECTED + harmless)
    stage.told("quick", by=worker)
    worker.until_idle()
    assert warnings(worker) == []


def test_a_worker_of_a_program(stage: Stage, port: int) -> None:
    """The application's own program may run one; its connection to Redis is no concern either."""
    program = f"""
import os, socket
import resque_fork
client = socket.create_connection(("127.0.0.1", {port}))
resque = resque_fork.Resque({stage.url!r})
resque.enqueue_to("jobs", "nothing")
resque_fork.Worker("none", resque=resque).work(0)
"""
    running = stage.start(sys.executable, "-c", program)
    assert running.ended() == 0
    [line] = warnings(running)
    assert line.endswith(
        f"would share: 127.0.0.1:{port}. Close them in before_first_fork, "
        "and open others in after_fork or in the job."
    )


def test_what_cannot_be_closed_keeps_nobody_from_forking(stage: Stage, port: int) -> None:
    """It is logged, and the job is done."""
    broken = "from resque_fork.system.closers import closers\nclosers.add(lambda: 1 / 0)\n"
    worker = work(stage, port, CONNECTED + broken).until_idle()
    assert "A connection could not be closed before a fork: ZeroDivisionError" in worker.said
    stage.assert_goes_on(worker)
