"""The sweep where processes cannot be seen, and what may be kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clock import Clock
from life.harness import is_alive, until

from resque_fork import ResqueError, keep
from resque_fork.child.sweep import TRACKER_SECONDS, Sweeper, kept
from resque_fork.system import libc, proc, process
from resque_fork.system.loop import Loop

# A child that leads a session and has ended, but for what it has started there.
LEAVES = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What these tests keep, and which worker that was."""
    yield
    kept.__init__()  # type: ignore[misc]


def left_behind() -> tuple[int, int]:
    """The pids of a child that has ended, and of what it has left in its session."""
    with subprocess.Popen(
        [sys.executable, "-c", LEAVES], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        return child.pid, int(child.stdout.readline())


def test_without_proc_its_group_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that a tracker has, for it may be one; and the sweep waits for nothing."""
    clock = Clock()
    loop = Loop(clock)
    sweeper = Sweeper(loop, list)
    monkeypatch.setattr(process, "children", lambda: None)
    child, left = left_behind()
    sweeper.note_present()
    sweeper.sweep(child, 0)
    assert is_alive(left)
    clock.now += TRACKER_SECONDS + 0.1
    loop.poll()
    until(lambda: not is_alive(left))


def test_a_sweep_that_saw_nothing_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next fork, when there is a descriptor to look with again."""
    libc.become_subreaper()
    sweeper = Sweeper(Loop(), list)
    forked = proc.ticks()
    child, left = left_behind()
    with monkeypatch.context() as patches:
        patches.setattr(process, "children", lambda: None)
        sweeper.sweep(child, forked)
        sweeper.note_present()
        assert is_alive(left)
    sweeper.note_present()
    assert not is_alive(left)


@pytest.mark.parametrize("pid", [0, -1, True, "1", None, 1.5])
def test_what_is_no_pid(pid: object) -> None:
    """It is refused, and the error says what is meant."""
    with pytest.raises(ResqueError, match="takes the pid of a process"):
        keep(pid)  # type: ignore[arg-type]


def test_what_has_ended_is_not_kept() -> None:
    """Nor is it an error to ask for it."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        keep(child.pid)
        assert child.pid in kept.ids()
        child.kill()
    assert kept.ids() == set()
    keep(child.pid)
    assert kept.ids() == set()


def test_not_in_a_child() -> None:
    """There it would keep nothing."""
    Sweeper(Loop(), list)
    kept.worker = os.getpid() + 1
    with pytest.raises(ResqueError, match="declares sweep=False"):
        keep(os.getpid())


@pytest.mark.parametrize("own_session", [False, True])
def test_a_subprocess_of_ours_is_reaped_and_not_swept(own_session: bool) -> None:
    """Whatever session it is in by the time of its end."""
    sweeper = Sweeper(Loop(), list)
    child = subprocess.Popen(["sleep", "60"], start_new_session=own_session)
    sweeper.note_subprocess(child.pid)
    sweeper.note_present()
    sweeper.sweep(os.getpid(), 0)
    assert is_alive(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: not is_alive(child.pid))
    sweeper.reap()
    assert child.pid not in (process.children() or ())
    child.wait()
