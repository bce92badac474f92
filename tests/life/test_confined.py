"""A worker that may do little: a user without rights, and a file system that is not writable."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from resque_fork import embedded

from .harness import SOURCES, Running, Stage, until

# The first argument is the only directory that can be written to.
READ_ONLY = (
    *("unshare", "--mount", "sh", "-ec"),
    'mount --bind / / && mount -o remount,ro,bind / && mount -t tmpfs tmpfs "$0" && exec "$@"',
)

# In front of a command that is to see no process of another user.
HIDING = ("unshare", "--mount", "sh", "-ec", 'mount -t proc -o hidepid=2 x /proc; exec "$@"', "sh")


@pytest.fixture
def open_stage() -> Iterator[Stage]:
    """A directory and a Redis that every user can use."""
    with embedded.Server() as server, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stage = Stage(directory, server.url)
        directory.chmod(0o755)
        for path in (directory / "box", directory / "gate", *_way_to_socket(server)):
            path.chmod(0o777)
        (directory / "tmp").mkdir(mode=0o777)
        try:
            yield stage
        finally:
            stage.close()


def _way_to_socket(server: embedded.Server) -> list[Path]:
    socket = Path(server.url.removeprefix("unix://"))
    return [socket, socket.parent]


def do_all_kinds(stage: Stage, worker: Running) -> None:
    """Jobs that end well, raise, crash, hang and are stopped, with all that is told of them."""
    pushed = (("quick",), ("boom",), ("segfault",), ("with_timeout",), ("quick",))
    for name, *args in pushed:
        stage.push(name, *args)
    until(lambda: stage.stat("processed") == len(pushed), lambda: worker.said)
    raised, crashed, hung = stage.failed(3)
    assert raised["exception"] == "ValueError"
    assert any("in segfault" in line for line in crashed["forensics"]["stack"])
    assert hung["exception"] == "ResqueFork::JobTimeout"
    stage.everything_told()
    stage.push("hold")
    stage.told("begun", by=worker)
    worker.send(signal.SIGUSR1)
    assert stage.failed(4)[3]["exception"] == "Resque::TermException"
    worker.until_idle()
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_as_a_user_without_rights(open_stage: Stage) -> None:
    """Everything works, and the kernel's killer is still told to spare the worker first."""
    command = open_stage.command(require="more_jobs")
    worker = open_stage.start(*_without_rights(), *command).until_idle()
    assert 0 not in psutil.Process(worker.pid).uids()
    do_all_kinds(open_stage, worker)


def test_a_worker_that_cannot_be_seen_is_not_dead(open_stage: Stage) -> None:
    """Where /proc hides the processes of other users, their workers keep their jobs."""
    probe = subprocess.run([*HIDING, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"processes cannot be hidden here: {probe.stderr.strip()}")
    working = open_stage.start(*_without_rights(), *open_stage.command()).until_idle()
    open_stage.push("hold")
    open_stage.told("begun", by=working)
    other = open_stage.start(
        *HIDING, *_without_rights("daemon"), *open_stage.command(queues="other")
    ).until_idle()
    command = (sys.executable, "-m", "resque_fork", "--redis", open_stage.url, "kill")
    killing = open_stage.start(
        *HIDING, *_without_rights("daemon"), *command, open_stage.id_of(working)
    )
    assert killing.ended() == 1
    assert "belongs to another user: run this command as that user, or as root." in killing.said
    assert "Pruned" not in other.said
    open_stage.open_gate()
    until(lambda: open_stage.stat("processed") == 1)
    assert open_stage.failed(0) == []


def _without_rights(user: str = "nobody") -> list[str]:
    """What to put before a command; nothing if we have no rights ourselves."""
    if os.geteuid() != 0:
        return []
    nobody = ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups"]
    # where Python itself lies in a home directory, that has to be read
    reader = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    problem = "there is no setpriv"
    for become in ([*nobody, "--inh-caps=-all"], [*nobody, *reader]):
        probe = [*become, sys.executable, "-c", "import resque_fork, redis, psutil"]
        if not shutil.which("setpriv"):
            break
        done = subprocess.run(probe, cwd=SOURCES, capture_output=True, text=True)
        if done.returncode == 0:
            return become
        problem = done.stderr.strip()
    pytest.skip(f"nobody else can run Python here: {problem}")


def test_a_process_of_another_user_is_left_alone(open_stage: Stage) -> None:
    """What a job left running with more rights than the worker's does not end the worker."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a program more rights than ours")
    program = open_stage.directory / "become-root"
    shutil.copy(shutil.which("setpriv") or "", program)
    program.chmod(0o4755)
    worker = open_stage.start(
        *_without_rights(), *open_stage.command(require="more_jobs")
    ).until_idle()
    open_stage.push("leave_running", str(program), "--reuid=0", "--clear-groups", "sleep", "600")
    for _ in range(2):
        open_stage.push("quick")
        open_stage.told("quick", by=worker)
    assert worker.said.count("is another user's, and stays") == 1
    assert worker.stop() == 0
    assert open_stage.stat("processed") == 3
    assert open_stage.failed() == []


def test_nothing_is_written_but_temporary_files(open_stage: Stage) -> None:
    """With a read-only file system everything works that works elsewhere."""
    temporary = str(open_stage.directory / "tmp")
    probe = [*READ_ONLY, temporary, "sh", "-c", f"touch {temporary}/file && ! touch {SOURCES}/file"]
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare, with which to make the file system read-only")
    done = subprocess.run(probe, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the file system cannot be made read-only here: {done.stderr.strip()}")
    worker = open_stage.start(
        *READ_ONLY,
        temporary,
        *open_stage.command("--jobs-per-fork", "3", require="more_jobs"),
        env=open_stage.environment(TMPDIR=temporary),
    ).until_idle()
    do_all_kinds(open_stage, worker)
