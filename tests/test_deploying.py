"""Workers are restarted under load, as docs/deploying.md says: each job is performed once."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import shipped
from life.harness import Running, Stage, until

APPLICATION = """
import os

from redis import Redis

from jobs import tell, wait_at_gate
from resque_fork import job


def performed(n):
    with Redis.from_url(os.environ["RESQUE_REDIS"]) as redis:
        redis.rpush("performed", n)


@job(queue="mail")
def short(n):
    performed(n)


@job(queue="mail")
def long(n):
    tell("begun")
    wait_at_gate()
    performed(n)
"""

SHORT = 30  # jobs in each round
UNSHARE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


@pytest.fixture
def deployed(stage: Stage) -> Stage:
    """A stage with the application `app`."""
    (stage.directory / "app.py").write_text(APPLICATION)
    program = stage.directory / "resque-fork"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m resque_fork "$@"\n')
    program.chmod(0o755)
    return stage


def environment(stage: Stage, **more: str) -> dict[str, str]:
    """In which `resque-fork` is ours, and Redis the test's."""
    path = f"{stage.directory}{os.pathsep}{os.environ['PATH']}"
    return stage.environment(**more, PATH=path) | {"RESQUE_REDIS": stage.url}


def restart_under_load(
    stage: Stage,
    start: Callable[[], Running],
    stop: Callable[[Running], object],
    status: int = 0,
) -> None:
    """Stop it three times in the middle of a job, and let it do the rest after that."""
    numbers = itertools.count()
    for _ in range(3):
        for _ in range(SHORT):
            stage.push("short", next(numbers), queue="mail")
        stage.redis.lpush("resque:queue:mail", b'{"class":"long","args":[%d]}' % next(numbers))
        running = start()
        stage.told("begun", by=running)
        stop(running)
        running.until_said("Exiting...")
        stage.open_gate()
        assert running.ended() == status
        assert stage.workers() == []
    running = start()
    total = next(numbers)
    until(lambda: stage.stat("processed") == total, lambda: running.said)
    stop(running)
    assert running.ended() == status
    performed = stage.redis.lrange("performed", 0, -1)
    assert sorted(map(int, performed)) == list(range(total))
    assert stage.failed() == []


# --- systemd


def start_unit(stage: Stage, unit: shipped.Unit, **variables: str) -> Running:
    """Start it as systemd does, with the program of this test."""
    _, *arguments = unit.command
    env = environment(stage, **unit.environment, **variables)
    return stage.start(str(stage.directory / "resque-fork"), *arguments, env=env)


def signal_of(unit: shipped.Unit, key: str) -> int:
    """Which signal goes to the main process; KillMode says that it goes to no other."""
    assert unit["KillMode"] == "mixed"
    return signal.Signals[unit[key]]


@pytest.mark.parametrize("name", shipped.UNITS)
@pytest.mark.parametrize("count", ["1", "2"])
def test_restarts_of_the_unit(deployed: Stage, name: str, count: str) -> None:
    """With the signal that systemctl restart sends."""
    unit = shipped.Unit(name)
    number = signal_of(unit, "KillSignal")
    restart_under_load(
        deployed,
        lambda: start_unit(deployed, unit, COUNT=count),
        lambda running: running.send(number),
    )


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_job_that_outlasts_the_stop_of_the_unit(deployed: Stage, count: str) -> None:
    """After TimeoutStopSec the second signal stops the job in good order; nothing is killed."""
    unit = shipped.Unit("resque-fork.service")
    deployed.push("long", 1, queue="mail")
    running = start_unit(deployed, unit, COUNT=count)
    deployed.told("begun", by=running)
    running.send(signal_of(unit, "KillSignal"))
    running.until_said("Exiting...")
    assert unit["TimeoutStopFailureMode"] == "abort"
    running.send(signal_of(unit, "WatchdogSignal"))
    assert running.ended() == 0
    assert [entry["error"] for entry in deployed.failed()] == ["SIGTERM"]
    assert deployed.workers() == []


def test_a_reload_of_the_unit(deployed: Stage) -> None:
    """A reload in the middle of a job reopens the log files, and disturbs nothing."""
    unit = shipped.Unit("resque-fork.service")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    deployed.push("long", 1, queue="mail")
    running = start_unit(deployed, unit, LOGFILE="worker.log")
    deployed.told("begun", by=running)
    log = deployed.directory / "worker.log"
    log.rename(deployed.directory / "worker.log.1")
    running.send(signal.SIGHUP)
    until(log.exists)
    deployed.open_gate()
    until(lambda: deployed.stat("processed") == 1)
    assert running.stop(signal_of(unit, "KillSignal")) == 0
    assert deployed.failed() == []


# --- a Procfile

TERMINATED = 128 + signal.SIGTERM  # what honcho ends with


def start_honcho(stage: Stage) -> Running:
    shutil.copy(shipped.CONF / "Procfile", stage.directory)
    return stage.start(sys.executable, "-m", "honcho", "start", env=environment(stage))


def stop_honcho(honcho: Running) -> None:
    honcho.send(signal.SIGTERM)


def test_restarts_of_the_procfile(deployed: Stage) -> None:
    """With honcho itself."""
    restart_under_load(deployed, lambda: start_honcho(deployed), stop_honcho, TERMINATED)


def test_a_job_that_outlasts_the_stop_of_the_procfile(deployed: Stage) -> None:
    """It goes back to its queue before its worker is killed, and is performed once in the end."""
    deployed.push("long", 1, queue="mail")
    honcho = start_honcho(deployed)
    deployed.told("begun", by=honcho)
    stop_honcho(honcho)
    assert honcho.ended() == TERMINATED
    assert "SIGKILL" not in honcho.said
    assert deployed.queue("mail") == [b'{"class":"long","args":[1]}']
    assert deployed.failed() == []
    honcho = start_honcho(deployed)
    deployed.told("begun", by=honcho)
    deployed.open_gate()
    until(lambda: deployed.stat("processed") == 1)
    stop_honcho(honcho)
    assert honcho.ended() == TERMINATED
    assert deployed.redis.lrange("performed", 0, -1) == [b"1"]


# --- containers and supervisord


@pytest.mark.parametrize("platform", shipped.PLATFORMS, ids=lambda one: one.__name__)
def test_restarts_by_a_platform(deployed: Stage, platform: Callable[[], shipped.Platform]) -> None:
    """With the signal that it sends; in a container the worker is process 1."""
    ours = platform()
    _, *arguments = ours.command
    command = [str(deployed.directory / "resque-fork"), *arguments]
    env = environment(deployed, **ours.environment)
    number = signal.Signals[ours.signal]
    if platform is shipped.supervisord:
        restart_under_load(
            deployed,
            lambda: deployed.start(*command, env=env),
            lambda running: running.send(number),
        )
        return
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("there is no permission to make a pid namespace here")

    def stop(outer: Running) -> None:
        (worker,) = outer.children
        os.kill(worker, number)

    restart_under_load(deployed, lambda: deployed.start(*UNSHARE, *command, env=env), stop)
