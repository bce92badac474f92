"""The name server falls silent: a worker whose connection is lost waits for it, and is not deaf."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.nodes import free_ports

from resque_fork import embedded

from .harness import Running, Stage, children_of, descriptors_of, is_alive, until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose workers know their server by a name."""
    port = free_ports(1)[0]
    with embedded.Server(port=port):
        stage = Stage(tmp_path, f"redis://127.0.0.1:{port}/0")
        stage.url = f"redis://redis.test:{port}/0"
        yield stage
        stage.close()


def fall_silent(stage: Stage) -> None:
    """From now on no name is resolved, and the worker has to have one resolved."""
    (stage.directory / "silent").touch()
    stage.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def speak(stage: Stage) -> None:
    (stage.directory / "silent").unlink()


def resolver_of(worker: Running, *others: int) -> int:
    """The child that waits for the name server."""
    return int(until(lambda: [pid for pid in worker.children if pid not in others])[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_worker_can_be_stopped(stage: Stage, number: int) -> None:
    """Within term_timeout, and nothing of it is left."""
    worker = stage.idle(require="nameless")
    fall_silent(stage)
    resolver = resolver_of(worker)
    asked = time.monotonic()
    assert worker.stop(number) == 1
    assert time.monotonic() - asked < 5.0
    assert "leaving without it" in worker.said
    until(lambda: not is_alive(resolver))


def test_a_starting_worker_can_be_stopped(stage: Stage) -> None:
    """Also one that has never found its Redis."""
    (stage.directory / "silent").touch()
    worker = stage.work(require="nameless")
    resolver_of(worker)
    assert worker.stop() == 1


@pytest.mark.parametrize("options", [(), ("--jobs-per-fork", "5")])
def test_an_idle_worker_goes_on(stage: Stage, options: tuple[str, ...]) -> None:
    """When names are resolved again, it takes jobs again, with not one descriptor more."""
    worker = stage.idle("--no-pin-pages", *options, require="nameless")
    stage.push("quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    descriptors = descriptors_of(worker.pid)
    for _ in range(5):
        fall_silent(stage)
        resolver = resolver_of(worker)
        speak(stage)
        stage.push("quick")
        stage.told("quick", by=worker)
        worker.until_idle()
        until(lambda resolver=resolver: resolver not in worker.children)
    until(lambda: worker.children == [])
    until(lambda: descriptors_of(worker.pid) == descriptors)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_a_job_is_held_to_its_limit(stage: Stage) -> None:
    """While a heartbeat waits for the name server, the time of a job is over all the same."""
    worker, child = stage.holding(
        *("--heartbeat-interval", "0.1", "--timeout", "2"), require="nameless"
    )
    fall_silent(stage)
    resolver_of(worker, child)
    until(lambda: not is_alive(child))
    speak(stage)
    assert stage.failed(1)[0]["exception"] == "ResqueFork::JobTimeout"
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert stage.stat("processed") == 2
    stage.assert_left(worker)


def test_a_running_job_ends(stage: Stage) -> None:
    """It notices nothing, and is counted once when names are resolved again."""
    worker, child = stage.holding("--heartbeat-interval", "0.1", require="nameless")
    fall_silent(stage)
    resolver_of(worker, child)
    stage.open_gate()
    stage.told("done", by=worker)
    until(lambda: child not in worker.children)
    speak(stage)
    until(lambda: stage.stat("processed") == 1)
    worker.until_idle()
    assert stage.failed() == []
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_the_worker_is_killed(stage: Stage) -> None:
    """Who waits for the name server does not outlive it."""
    worker = stage.idle(require="nameless")
    fall_silent(stage)
    resolver = resolver_of(worker)
    worker.kill()
    until(lambda: not is_alive(resolver))


def test_workers_of_a_pool(stage: Stage) -> None:
    """Each goes on, and all are stopped, by the one that supervises them."""
    pool = stage.work("--count", "2", require="nameless")
    until(lambda: len(stage.workers()) == 2, lambda: pool.said)
    until(lambda: stage.redis.info("clients")["connected_clients"] == 3)
    fall_silent(stage)
    resolvers = [until(lambda pid=pid: children_of(pid)) for pid in pool.children]
    pool.send(signal.SIGTERM)
    pool.ended()
    for (resolver,) in resolvers:
        until(lambda resolver=resolver: not is_alive(resolver))


def test_a_worker_that_does_not_fork(stage: Stage) -> None:
    """With --no-fork-per-job names are resolved where everything else is done."""
    worker = stage.idle("--no-fork-per-job", require="nameless")
    stage.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    stage.assert_goes_on(worker)
