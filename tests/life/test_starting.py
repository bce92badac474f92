"""Signals that come while the application is loading, or before: none does harm, none is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .harness import TITLE, Running, Stage, is_alive, title_of, until

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
USR1, USR2, CONT, HUP = signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP
STOPPING = pytest.mark.parametrize("number", [TERM, INT, QUIT], ids=["TERM", "INT", "QUIT"])
COUNT = pytest.mark.parametrize("count", ["1", "2"])

# Loads until the gate is opened, whatever happens to it meanwhile in the way that a test wants.
SLOW = """
import jobs, os, signal, threading
def load():
    jobs.tell("loading", pid=os.getpid())
    jobs.wait_at_gate()
{load}
jobs.tell("loaded", pid=os.getpid())
"""
PLAIN = "load()"
SWALLOWING = "try:\n    load()\nexcept BaseException:\n    jobs.tell('swallowed')\n    load()"
TURNING = "try:\n    load()\nexcept BaseException:\n    raise RuntimeError('it has its reasons')"
FORGIVING = "try:\n    load()\nexcept Exception:\n    pass"
ON_A_LOOP = """
import asyncio
async def later():
    asyncio.get_running_loop().call_soon(load)
    await asyncio.sleep(60)
asyncio.run(later())
"""
WITH_A_THREAD = "threading.Thread(target=threading.Event().wait).start()\nload()"
OWN_HANDLERS = (
    "load()\nfor number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP):\n"
    "    signal.signal(number, lambda *_: jobs.tell('own handler'))"
)


def loading(stage: Stage, *options: str, load: str = PLAIN) -> tuple[Running, int]:
    """A worker in the middle of loading its application, and the pid of who loads it."""
    (stage.directory / "slow.py").write_text(SLOW.format(load=load))
    worker = stage.work("--pidfile", "worker.pid", *options, require="slow")
    pid = stage.told("loading", by=worker)["pid"]
    assert pidfile(stage).read_text() == f"{pid}\n"
    return worker, pid


def pidfile(stage: Stage) -> Path:
    return stage.directory / "worker.pid"


def assert_nothing_left(stage: Stage) -> None:
    """No pidfile, nor anything else that was made for it, and nothing in Redis."""
    assert [path.name for path in stage.directory.iterdir() if "pid" in path.name] == []
    assert stage.workers() == []
    assert stage.redis.keys("*:worker:*") == []


@STOPPING
@COUNT
def test_a_stop_interrupts_loading(stage: Stage, number: int, count: str) -> None:
    """It leaves at once, with status 0, and takes its pidfile along."""
    worker, _ = loading(stage, "--count", count)
    worker.send(number)
    assert worker.ended() == 0
    assert_nothing_left(stage)
    assert worker.said.endswith("INFO: Exiting...\n")
    assert "is starting" not in worker.said


@pytest.mark.parametrize("load", [FORGIVING, TURNING, ON_A_LOOP, WITH_A_THREAD])
def test_applications_that_catch_or_run_much(stage: Stage, load: str) -> None:
    """``except Exception``, another exception instead, an event loop, a thread: all the same."""
    worker, _ = loading(stage, load=load)
    worker.send(TERM)
    assert worker.ended() == 0
    assert_nothing_left(stage)
    assert "cannot be loaded" not in worker.said


@COUNT
def test_a_stop_that_the_application_swallows(stage: Stage, count: str) -> None:
    """It has its effect once the application is loaded."""
    worker, _ = loading(stage, "--count", count, load=SWALLOWING)
    worker.send(TERM)
    stage.told("swallowed", by=worker)
    stage.told("loading", by=worker)
    stage.open_gate()
    stage.told("loaded", by=worker)
    assert worker.ended() == 0
    assert_nothing_left(stage)
    assert "is starting" not in worker.said


@STOPPING
def test_told_to_stop_often(stage: Stage, number: int) -> None:
    """The second stop does not interrupt the cleaning up after the first."""
    worker, _ = loading(stage)
    while worker.popen.poll() is None:
        worker.send(number)
    assert worker.ended() == 0
    assert_nothing_left(stage)


@pytest.mark.parametrize("numbers", [[HUP, USR1, CONT, HUP], [USR2, CONT]])
@COUNT
def test_other_signals_do_no_harm(stage: Stage, numbers: list[int], count: str) -> None:
    """HUP, USR1, CONT: it loads on, and works."""
    worker, _ = loading(stage, "--count", count)
    for number in numbers:
        worker.send(number)
    stage.open_gate()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert_nothing_left(stage)


@pytest.mark.parametrize("numbers", [[USR2], [USR2, HUP, USR2]])
@COUNT
def test_usr2_has_it_start_paused(stage: Stage, numbers: list[int], count: str) -> None:
    """No job is taken until CONT."""
    stage.push("quick")
    worker, _ = loading(stage, "--count", count)
    for number in numbers:
        worker.send(number)
    stage.open_gate()
    until(lambda: all_paused(worker, int(count)), lambda: worker.said)
    assert len(stage.queue()) == 1
    worker.send(CONT)
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def all_paused(worker: Running, count: int) -> bool:
    pids = [worker.pid] if count == 1 else worker.children
    return [title_of(pid) for pid in pids] == [f"{TITLE}Paused"] * count


@COUNT
def test_hup_reopens_logs_that_were_moved_while_loading(stage: Stage, count: str) -> None:
    """Once it is loaded, everything goes to the file of --logfile."""
    worker, _ = loading(stage, "--count", count, "--logfile", "worker.log")
    log, moved = stage.directory / "worker.log", stage.directory / "worker.log.1"
    log.rename(moved)
    worker.send(HUP)
    stage.open_gate()
    until(log.exists)
    stage.push("say_aloud", "after the rotation")
    until(lambda: "stdout: after the rotation" in log.read_text())
    assert worker.stop() == 0
    assert "Exiting..." in log.read_text()
    assert "Exiting..." not in moved.read_text()


def test_handlers_of_the_application_do_not_stay(stage: Stage) -> None:
    """Those that it sets while it is loaded give way to the worker's."""
    worker, _ = loading(stage, load=OWN_HANDLERS)
    stage.open_gate()
    stage.told("loaded", by=worker)
    worker.until_idle()
    for number in (HUP, USR2):
        worker.send(number)
    worker.until_title("Paused")
    assert worker.stop(TERM) == 0
    assert stage.nothing_told("own handler")
    assert_nothing_left(stage)


def test_an_error_while_loading(stage: Stage) -> None:
    """The pidfile goes, and a thread that the application has left keeps nobody waiting."""
    worker, _ = loading(stage, load=f"{WITH_A_THREAD}\nraise RuntimeError('no such thing')")
    stage.open_gate()
    assert worker.ended() == 1
    assert "slow cannot be loaded: RuntimeError: no such thing" in worker.said
    assert_nothing_left(stage)


def test_a_thread_of_the_application_does_not_keep_a_worker(stage: Stage) -> None:
    """Having left, it is gone."""
    worker, _ = loading(stage, load=WITH_A_THREAD)
    stage.open_gate()
    worker.until_idle()
    assert worker.stop(TERM) == 0
    assert_nothing_left(stage)


def test_functions_at_exit_of_the_application_run(stage: Stage) -> None:
    """As in any Python program, whether it has worked or was stopped before."""
    at_exit = "import atexit\natexit.register(jobs.tell, 'at exit')\nload()"
    worker, _ = loading(stage, load=at_exit)
    worker.send(TERM)
    stage.told("at exit", by=worker)
    assert worker.ended() == 0
    worker, _ = loading(stage, load=at_exit)
    stage.open_gate()
    worker.until_idle()
    assert worker.stop() == 0
    stage.told("at exit", by=worker)


# --- in the background


def test_in_the_background_other_signals_do_no_harm(stage: Stage) -> None:
    """Neither to who loads the application, nor to the process that waits for it."""
    starter, pid = loading(stage, "--daemon", "--logfile", "worker.log")
    for number in (HUP, USR1, CONT):
        starter.send(number)
        os.kill(pid, number)
    stage.open_gate()
    assert starter.ended() == 0
    until(lambda: title_of(pid).startswith(TITLE))
    stage.push("quick")
    assert stage.told("quick")["parent"] == pid
    os.kill(pid, TERM)
    until(lambda: not is_alive(pid))
    assert_nothing_left(stage)


@STOPPING
def test_in_the_background_a_stop_ends_the_start(stage: Stage, number: int) -> None:
    """The process that was started says by its status that there is no worker."""
    starter, pid = loading(stage, "--daemon", "--logfile", "worker.log")
    os.kill(pid, number)
    assert starter.ended() == 1
    until(lambda: not is_alive(pid))
    assert_nothing_left(stage)


@STOPPING
def test_in_the_background_the_starter_is_stopped(stage: Stage, number: int) -> None:
    """Ctrl-C of who waits for the start: there is no worker afterwards."""
    starter, pid = loading(stage, "--daemon", "--logfile", "worker.log")
    starter.send(number)
    assert starter.ended() == 1
    stage.open_gate()
    until(lambda: not is_alive(pid))
    assert_nothing_left(stage)


# --- before there is a pidfile


@pytest.mark.parametrize("number", [HUP, USR2, TERM])
@pytest.mark.parametrize("large", ["", "x" * 2000], ids=["started anew", "started once"])
def test_as_soon_as_it_can_be_known_by_its_title(stage: Stage, number: int, large: str) -> None:
    """A signal waits until it is handled, also while the program is started anew for its title."""
    few = {k: v for k, v in stage.environment().items() if k in ("PYTHONPATH", "LIFE")}
    env = few | ({"LARGE": large} if large else {})
    stage.push("quick")
    worker = stage.work("--pidfile", "worker.pid", env=env)
    until(lambda: worker.title == "resque: Starting")
    worker.send(number)
    if number in (TERM, INT, QUIT):
        assert worker.ended() == 0
        assert_nothing_left(stage)
        return
    if number == USR2:
        worker.until_title("Paused")
        worker.send(CONT)
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_a_misspelt_queue(stage: Stage) -> None:
    """A worker that starts warns of it once, and serves it all the same."""
    stage.redis.sadd("resque:queues", "mail")
    worker = stage.idle(queues="mial")
    stage.push("quick", queue="mial")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert worker.said.count("WARNING: There is no queue mial yet; did you mean 'mail'?") == 1
