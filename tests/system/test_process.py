"""Processes by what the kernel has for them, and by other means where it has nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from life.harness import is_alive, until

from resque_fork.system import proc, process

# A process that has the kernel do nothing for it, and a child that dies with it all the same.
ELSEWHERE = """
import os, sys, time
from resque_fork.system import libc, process

libc._libc = None
parent = os.getpid()

def main():
    process.die_with_parent(parent)
    process.unblock_signals()
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(60)

process.fork(main)
time.sleep(60)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_a_child_dies_with_its_parent_elsewhere_too() -> None:
    """Where the kernel sends no signal, the child looks itself."""
    with subprocess.Popen([sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        until(lambda: not is_alive(child))


def test_children_elsewhere(sleeper: subprocess.Popen[bytes]) -> None:
    """The same, by looking at all processes, where the kernel keeps no list of them."""
    children = process.children()
    assert children is not None
    assert sleeper.pid in children
    assert process._children_by_their_parent() == children


def test_children_that_cannot_be_told(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /proc, or without a descriptor to read it with, nothing is known, but of none."""

    def refuse(*args: object, **more: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patches:
        for module in (process, proc):
            patches.setattr(module, "open", refuse, raising=False)
        patches.setattr(os, "listdir", refuse)
        assert process.children() is None
        assert proc.started_at(sleeper.pid) is None
        assert proc.command_of(sleeper.pid) == b""
        assert not proc.is_starting(sleeper.pid)
        assert proc.session_of(sleeper.pid) == os.getsid(0)


def test_something_else_in_place_of_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which this process is not tells nothing about its children."""
    monkeypatch.setattr(os, "listdir", lambda path: [])
    assert process._children_by_their_parent() is None


def test_what_stops_a_child(sleeper: subprocess.Popen[bytes]) -> None:
    """Each change is told once."""
    assert process.change_of(sleeper.pid) is None
    sleeper.send_signal(signal.SIGSTOP)
    assert until(lambda: process.change_of(sleeper.pid)) == process.Halt(signal.SIGSTOP)
    assert process.change_of(sleeper.pid) is None
    sleeper.send_signal(signal.SIGCONT)
    assert until(lambda: process.change_of(sleeper.pid)) == process.Halt(0)
    sleeper.kill()
    end = until(lambda: process.change_of(sleeper.pid))
    assert os.WTERMSIG(end.wait_status) == signal.SIGKILL
    sleeper.wait()


def test_a_child_that_is_stopped_has_not_ended(sleeper: subprocess.Popen[bytes]) -> None:
    """Nor has one that goes on again."""
    for number in (signal.SIGSTOP, signal.SIGCONT):
        sleeper.send_signal(number)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WCONTINUED | os.WNOWAIT)
        assert process.reap(sleeper.pid) is None


def test_signals_to_nobody() -> None:
    """A process or a group that is gone can be sent anything."""
    with subprocess.Popen(["true"]) as gone:
        pass
    assert process.kill(gone.pid, signal.SIGTERM)
    process.kill_group(gone.pid)


def test_how_a_child_ended() -> None:
    """Its wait status, once; if somebody else has waited for it, that is not known."""
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    end = until(lambda: process.reap(child.pid))
    assert os.waitstatus_to_exitcode(end.wait_status) == 3
    assert end.user > 0
    assert end.max_rss > 1000
    again = process.reap(child.pid)
    assert again is not None
    assert again.wait_status is None
    child.wait()


def test_whether_a_child_is_ours(sleeper: subprocess.Popen[bytes]) -> None:
    """Alive or a zombie, until somebody has waited for it."""
    assert process.is_ours(sleeper.pid)
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert process.is_ours(sleeper.pid)
    sleeper.wait()
    assert not process.is_ours(sleeper.pid)
    assert not process.is_ours(1)


def test_only_orphans_are_reaped(sleeper: subprocess.Popen[bytes]) -> None:
    """What the worker knows, and what is in its session, is left to those who wait for it."""

    def dead(**options: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["true"], **options)
        until(lambda: not is_alive(child.pid))
        return child

    ours = dead()
    known = dead(start_new_session=True)
    orphan = dead(start_new_session=True)
    process.reap_strangers({known.pid}, {os.getsid(0)})
    children = process.children()
    assert children is not None
    assert orphan.pid not in children
    assert {known.pid, ours.pid, sleeper.pid} <= children
    assert sleeper.poll() is None
    assert (known.wait(), ours.wait()) == (0, 0)
    orphan.wait()
