"""Libraries that replace parts of Python, as eventlet does: the worker uses the real ones."""

from __future__ import annotations

import signal
import sys

import pytest

from .harness import Stage, until

# What eventlet.monkey_patch() does to the modules that a worker uses.
PATCHED = """
import os, select, sys, threading

class GreenThread:
    name = "green"

def never(*arguments):
    raise AssertionError("a green function was called in the worker")

threading.current_thread = threading.main_thread = GreenThread
for name in ("poll", "epoll"):
    if hasattr(select, name):
        delattr(select, name)
select.select = never

def green(function):
    def call(*arguments):
        if sys._getframe(1).f_globals["__name__"].startswith("resque_fork"):
            never()  # what jobs call may be green
        return function(*arguments)
    return call

os.read, os.write = green(os.read), green(os.write)

import jobs
"""


@pytest.mark.parametrize(
    "options", [(), ("--count", "2"), ("--no-fork-per-job",), ("--jobs-per-fork", "3")]
)
def test_a_worker_of_a_patched_application(stage: Stage, options: tuple[str, ...]) -> None:
    """Being in the main thread is told by what signals can do there, and all works as ever."""
    (stage.directory / "patched.py").write_text(PATCHED)
    stage.push("say_aloud", "hello")
    worker = stage.work(*options, require="patched")
    worker.until_said("stdout: hello")
    worker.until_said("stderr: hello")
    stage.push("hold")
    stage.told("begun", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert "AssertionError" not in worker.said


GEVENT = """
from gevent import monkey
monkey.patch_all()

import subprocess
import time

import gevent
gevent.sleep(0.01)  # its loop runs, and hears of children

from jobs import tell
from resque_fork import job


@job(queue="jobs")
def green(number):
    \"\"\"Has green threads of its own, and a program, in its child.\"\"\"
    gevent.joinall([gevent.spawn(time.sleep, 0.05) for _ in range(5)])
    subprocess.run(["true"], check=True)
    tell("green", number=number)
"""


@pytest.mark.parametrize(
    "options", [(), ("--count", "2"), ("--jobs-per-fork", "3"), ("--no-fork-ahead",)]
)
def test_gevent(stage: Stage, options: tuple[str, ...]) -> None:
    """The real one: jobs are performed with it, no child is lost, and the worker hears signals."""
    (stage.directory / "patched.py").write_text(GEVENT)
    for number in range(5):
        stage.push("green", number)
    worker = stage.work(*options, require="patched")
    assert sorted(stage.told("green", by=worker)["number"] for _ in range(5)) == list(range(5))
    until(lambda: stage.stat("processed") == 5, lambda: worker.said)
    stage.push("hold")
    stage.told("begun", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert "killed" not in worker.said


PROGRAM = """
import threading
from resque_fork import NotOnMainThread, Resque, Worker

def work():
    try:
        Worker("jobs", resque=Resque({url!r})).work(0)
    except NotOnMainThread as error:
        print(error)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_in_another_thread(stage: Stage) -> None:
    """There it says what to do."""
    program = stage.start(sys.executable, "-c", PROGRAM.format(url=stage.url))
    assert program.ended() == 0
    assert program.said == (
        "Worker.work() handles signals, so call it from the main thread of its process.\n"
    )


def test_where_there_is_no_poll(stage: Stage) -> None:
    """What was replaced before we were loaded cannot be had back: that is said."""
    text = "import select\ndel select.poll\n" + PROGRAM.format(url=stage.url).replace(
        "thread = ", "work()\nthread = "
    )
    program = stage.start(sys.executable, "-c", text)
    assert program.ended() == 1
    assert program.said.splitlines()[-1] == (
        "resque_fork.errors.ResqueError: This Python has no select.poll, without which there is "
        "no worker. A library such as eventlet may have removed it: import Worker from "
        "resque_fork before it does."
    )
