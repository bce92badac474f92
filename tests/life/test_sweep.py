"""What is ended with a job: all that it has left, and nothing that the application has started."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from .harness import Stage, is_alive, until

APP = """
import multiprocessing, os, signal, subprocess, sys, threading, time
from multiprocessing import shared_memory
from resque_fork import Job, before_first_fork, before_fork, job, keep, queue_empty
import jobs

helpers = []

def start(script="sleep 600", **options):
    helper = subprocess.Popen(["sh", "-c", script], **options)
    helpers.append(helper)
    return helper

def own(script="sleep 600"):
    return start(script, start_new_session=True)

@job(queue="jobs")
def leak(how=""):
    shared_memory.SharedMemory(create=True, size=1 << 16, name=f"resque-fork-{os.getppid()}")
    jobs.tell("leaked")
    if how == "hold":
        jobs.wait_at_gate()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "pool":
        multiprocessing.get_context("spawn").Pool(2).map(abs, [1])

@job(queue="jobs")
def false_tracker():
    jobs.tell("tracker", child=start("exec -a resource_tracker sleep 600").pid)

@job(queue="jobs")
def leave_group():
    "Two processes in the child's session, one of them in a group of its own."
    jobs.tell("left", pids=[start().pid, start(process_group=0).pid])

@job(queue="jobs", sweep=False)
def let_stay():
    jobs.tell("stays", child=own().pid)

@job(queue="jobs", sweep=False)
def let_stay_and_hold():
    jobs.tell("stays", group=start().pid, session=own().pid)
    jobs.wait_at_gate()

@job(queue="jobs")
def keep_in_job():
    keep(os.getpid())

"""


def app(stage: Stage, more: str = "") -> str:
    (stage.directory / "sweeping.py").write_text(APP + more)
    return "sweeping"


def segment(pid: int) -> Path:
    """The shared memory of a job of this worker."""
    return Path(f"/dev/shm/resque-fork-{pid}")


@pytest.mark.parametrize("leaves_session", [False, True], ids=["grandchild", "setsid"])
def test_what_a_job_leaves_behind_is_swept(stage: Stage, leaves_session: bool) -> None:
    """Also what made itself a session of its own; the job itself is done."""
    worker = stage.idle()
    stage.push("daemon", leaves_session)
    daemon = stage.told("daemon", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    assert not is_alive(daemon)
    worker.until_idle()
    assert worker.children == []
    assert worker.stop() == 0
    assert stage.failed() == []


def test_sweeping_is_not_put_off(stage: Stage) -> None:
    """Also without a next job, what is left behind goes at once."""
    worker = stage.idle()
    stage.push("daemon", True)
    daemon = stage.told("daemon", by=worker)["pid"]
    until(lambda: not is_alive(daemon))
    until(lambda: worker.children == [])
    assert worker.stop() == 0


def test_sweep_false_is_spared(stage: Stage) -> None:
    """A job that means to leave a daemon says so; later jobs are swept, the daemon is not."""
    worker = stage.idle()
    stage.push("lasting_daemon")
    lasting = stage.told("daemon", by=worker)["pid"]
    stage.push("daemon", True)
    other = stage.told("daemon", by=worker)["pid"]
    stage.push("quick")
    stage.told("quick", by=worker)
    until(lambda: not is_alive(other))
    assert is_alive(lasting)
    assert worker.stop() == 0
    assert is_alive(lasting)
    os.kill(lasting, signal.SIGKILL)


def test_what_the_application_has_started_is_spared(stage: Stage) -> None:
    """A process that the worker had before the job is none of the job's."""
    (stage.directory / "sidecar.py").write_text(
        "import subprocess, jobs\n"
        "from resque_fork import before_first_fork\n"
        "@before_first_fork\n"
        "def start():\n"
        "    global sidecar\n"
        "    sidecar = subprocess.Popen(['sleep', '600'])\n"
        "    jobs.tell('sidecar', started=sidecar.pid)\n"
    )
    worker = stage.idle(require="sidecar")
    sidecar = stage.told("sidecar", by=worker)["started"]
    for _ in range(2):
        stage.push("daemon", True)
        stage.told("daemon", by=worker)
        until(lambda: worker.children == [sidecar])
    assert is_alive(sidecar)


def test_what_a_killed_child_leaves_is_swept_too(stage: Stage) -> None:
    """A job that is stopped does not go on in its helpers."""
    stage.push("helper")
    worker = stage.work()
    helper = stage.told("helper", by=worker)["pid"]
    worker.until_title("Forked")
    assert worker.stop(signal.SIGTERM) == 0
    assert not is_alive(helper)


@pytest.mark.parametrize("how", ["", "kill", "pool"])
def test_a_tracker_has_its_time(stage: Stage, how: str) -> None:
    """Shared memory that a job has left is removed by the tracker of multiprocessing."""
    worker = stage.idle(require=app(stage))
    stage.push("leak", how)
    stage.told("leaked", by=worker)
    assert_cleaned(stage, worker.pid)
    until(lambda: worker.children == [])
    assert worker.stop() == 0


def test_a_tracker_of_a_job_that_is_stopped(stage: Stage) -> None:
    """The worker leaves no sooner than the tracker, even if the job has to be killed."""
    worker = stage.idle("--no-term-child", require=app(stage))
    stage.push("leak", "hold")
    stage.told("leaked", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert not segment(worker.pid).exists()


def assert_cleaned(stage: Stage, pid: int) -> None:
    until(lambda: not segment(pid).exists())
    assert not segment(pid).exists()


def test_a_tracker_holds_up_no_job(stage: Stage) -> None:
    """The next job begins at once; a tracker that does not end by itself is killed in the end."""
    stage.push("false_tracker")
    stage.push("quick")
    worker = stage.work(require=app(stage))
    tracker = stage.told("tracker", by=worker)["child"]
    stage.told("quick", by=worker)
    until(lambda: not is_alive(tracker))
    until(lambda: worker.children == [])
    assert worker.stop() == 0


def test_all_of_the_session_is_swept(stage: Stage) -> None:
    """Whatever groups the job has made in it."""
    worker = stage.idle(require=app(stage))
    stage.push("leave_group")
    left = stage.told("left", by=worker)["pids"]
    until(lambda: not any(map(is_alive, left)))
    assert worker.stop() == 0


STARTS = {
    "in the worker's session, by a hook": "before_fork(lambda job: start('exit 3'))",
    "in the worker's session, by a thread": "threading.Timer(0, start, ['exit 3']).start()",
    "in a session of its own, at import": "own('sleep 0.3; exit 3')",
    "in a session of its own, by a hook": """
@before_fork
def hook(job):
    if not helpers:
        own("sleep 0.3; exit 3")
""",
    "in a session of its own, kept": """
@before_first_fork
def first():
    def later():
        jobs.HELD.wait()
        keep(own("sleep 0.5; exit 3").pid)
    jobs.HELD = threading.Event()
    threading.Thread(target=later, daemon=True).start()
@before_fork
def hook(job):
    jobs.HELD.set()
""",
}


@pytest.mark.parametrize("start", STARTS)
def test_exit_statuses_of_the_application(stage: Stage, start: str) -> None:
    """What the application has started is reaped by nobody else: it gets the exit status."""
    more = """
@queue_empty
def tell():
    while not helpers:  # a thread starts one
        time.sleep(0.01)
    for helper in helpers:
        jobs.tell("helper", status=helper.wait())
"""
    stage.push("quick")
    worker = stage.work(require=app(stage, STARTS[start] + more))
    assert stage.told("helper", by=worker)["status"] == 3
    assert worker.stop() == 0


SPARED = {
    "hook": "before_fork(lambda job: jobs.tell('helper', child=start().pid))",
    "hook, session of its own": "before_fork(lambda job: jobs.tell('helper', child=own().pid))",
    "thread, while a job runs": """
@before_fork
def hook(job):
    def begin():
        jobs.tell("helper", child=start().pid)
    threading.Timer(0.3, begin).start()
""",
    "thread, while a job runs, kept": """
@before_fork
def hook(job):
    def begin():
        helper = own()
        keep(helper.pid)
        jobs.tell("helper", child=helper.pid)
    threading.Timer(0.3, begin).start()
""",
}


@pytest.mark.parametrize("start", SPARED)
def test_what_the_application_starts_lives_on(stage: Stage, start: str) -> None:
    """Whenever it is started, also by a thread that is gone when the job ends."""
    worker = stage.work(require=app(stage, SPARED[start]))
    stage.push("hold")
    helper = stage.told("helper", by=worker)["child"]
    until(lambda: psutil.Process(worker.pid).num_threads() == 1)
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)
    worker.until_title("Waiting for")
    assert is_alive(helper)
    assert worker.stop() == 0
    assert is_alive(helper)
    os.kill(helper, signal.SIGKILL)


def test_a_session_that_is_not_kept(stage: Stage) -> None:
    """Nothing tells it from what the job has started."""
    more = """
@before_fork
def hook(job):
    threading.Timer(0.3, lambda: jobs.tell("helper", child=own().pid)).start()
"""
    worker = stage.work(require=app(stage, more))
    stage.push("hold")
    helper = stage.told("helper", by=worker)["child"]
    until(lambda: psutil.Process(worker.pid).num_threads() == 1)
    stage.open_gate()
    until(lambda: not is_alive(helper))
    assert worker.stop() == 0


def test_what_a_job_cannot_keep(stage: Stage) -> None:
    """A job says sweep=False instead."""
    stage.push("keep_in_job")
    worker = stage.work(require=app(stage))
    assert stage.failed(1)[0]["error"] == (
        "keep() is for what the worker itself starts. A job whose processes may stay declares "
        "sweep=False."
    )
    assert worker.stop() == 0


def test_sweep_false_among_others(stage: Stage) -> None:
    """With --jobs-per-fork, what one of the jobs has left stays when their process ends."""
    stage.push("let_stay")
    stage.push("quick")
    worker = stage.work("--jobs-per-fork", "2", require=app(stage))
    left = stage.told("stays", by=worker)["child"]
    stage.told("quick", by=worker)
    worker.until_title("Waiting for")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert is_alive(left)
    os.kill(left, signal.SIGKILL)


def test_sweep_false_and_killed(stage: Stage) -> None:
    """What a killed job has in its own session ends; what it has put into another may stay."""
    stage.push("let_stay_and_hold")
    worker = stage.work("--no-term-child", require=app(stage))
    told = stage.told("stays", by=worker)
    worker.until_title("Forked")
    assert worker.stop(signal.SIGTERM) == 0
    until(lambda: not is_alive(told["group"]))
    assert is_alive(told["session"])
    os.kill(told["session"], signal.SIGKILL)


# --- where processes cannot be seen

WITHOUT_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


@pytest.fixture
def without_proc() -> tuple[str, ...]:
    probe = subprocess.run([*WITHOUT_PROC, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"/proc cannot be covered here: {probe.stderr.strip()}")
    return WITHOUT_PROC


def test_without_proc(stage: Stage, without_proc: tuple[str, ...]) -> None:
    """Jobs are done and failed as ever, and what is in the group of a child is swept."""
    worker = stage.start(*without_proc, *stage.command("--interval", "0.1"))
    stage.push("daemon", False)
    left = stage.told("daemon", by=worker)["pid"]
    stage.push("kill_self", 9)
    stage.push("boom")
    stage.push("quick")
    stage.told("quick", by=worker)
    killed, raised = stage.failed(2)
    assert killed["forensics"]["signal"] == "SIGKILL"
    assert raised["exception"] == "ValueError"
    until(lambda: not is_alive(left))
    until(lambda: stage.stat("processed") == 4)
    assert worker.stop() == 0
    assert stage.workers() == []
    assert "Traceback" not in worker.said
