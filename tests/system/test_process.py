"""Processes by what the kernel has for them, and by other means where it has nothing."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from life.harness import is_alive, until

from resque_fork.system import process

# A process that has the kernel do nothing for it, and a child that dies with it all the same.
ELSEWHERE = """
import os, sys, time
from resque_fork.system import process

process._libc = None
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
        patches.setattr(process, "open", refuse, raising=False)
        patches.setattr(os, "listdir", refuse)
        assert process.children() is None
        assert process.started_at(sleeper.pid) is None
        assert process.command_of(sleeper.pid) == b""
        assert not process.is_starting(sleeper.pid)
        assert process.session_of(sleeper.pid) == os.getsid(0)


def test_something_else_in_place_of_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which this process is not tells nothing about its children."""
    monkeypatch.setattr(os, "listdir", lambda path: [])
    assert process._children_by_their_parent() is None


def test_when_a_process_was_started() -> None:
    """By the clock of the ticks, and so before or after a moment."""
    before = process.ticks()
    with subprocess.Popen(["sleep", "60"]) as child:
        started, now = process.started_at(child.pid), process.ticks()
        until(lambda: process.command_of(child.pid) == b"sleep\x0060\x00")
        child.kill()
        until(lambda: process.is_zombie(child.pid))
        assert process.started_at(child.pid) == started
    assert started is not None
    assert before <= started <= now
    assert process.started_at(child.pid) is None
    assert process.session_of(child.pid) is None


def test_what_stops_a_child(sleeper: subprocess.Popen[bytes]) -> None:
    """Each change is told once."""
    assert process.stopped_by(sleeper.pid) is None
    sleeper.send_signal(signal.SIGSTOP)
    assert until(lambda: process.stopped_by(sleeper.pid)) == signal.SIGSTOP
    assert process.stopped_by(sleeper.pid) is None
    sleeper.send_signal(signal.SIGCONT)
    until(lambda: process.stopped_by(sleeper.pid) == 0)
    sleeper.kill()
    sleeper.wait()
    assert process.stopped_by(sleeper.pid) is None


def test_cpu_time_elsewhere() -> None:
    """The same clock, if not as fine."""
    burning = time.process_time() + 0.2
    while time.process_time() < burning:
        pass
    exact = process.cpu_seconds(os.getpid())
    by_psutil = process._cpu_by_psutil(os.getpid())
    assert exact is not None
    assert by_psutil is not None
    assert by_psutil == pytest.approx(exact, abs=0.1)


def test_memory_of_its_own(tmp_path: Path) -> None:
    """Private and shared memory counts once it is used, a file that is mapped does not."""

    def fill(memory: mmap.mmap) -> None:
        for _ in range(32):
            memory.write(b"x" * (1 << 20))

    def added(act: Callable[[], object]) -> int:
        """Megabytes by which that makes us grow."""
        before = process.own_memory_kib()
        act()
        after = process.own_memory_kib()
        assert before is not None
        assert after is not None
        return round((after - before) / 1024)

    size = 32 << 20
    shared, private = mmap.mmap(-1, size), mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE)
    (tmp_path / "file").write_bytes(bytes(size))
    with open(tmp_path / "file", "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert added(lambda: fill(shared)) == pytest.approx(32, abs=2)
    assert added(lambda: fill(private)) == pytest.approx(32, abs=2)
    assert added(lambda: mapped.find(b"x")) == pytest.approx(0, abs=2)
    for memory in (shared, private, mapped):
        memory.close()


def test_of_no_process() -> None:
    """What cannot be told is not told."""
    with subprocess.Popen(["true"]) as gone:
        pass
    assert process.cpu_seconds(gone.pid) is None
    assert process._cpu_by_psutil(gone.pid) is None
    assert process.rss_kib(gone.pid) == 0
    assert process.own_memory_kib(gone.pid) is None
    process.kill(gone.pid, signal.SIGTERM)
    process.kill_group(gone.pid)
    assert not process.group_lives(gone.pid)


def test_memory_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is collapsed, and nothing given back."""
    monkeypatch.setattr(process, "_libc", None)
    assert not process.collapse(0, 4096)
    process.trim_memory()


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


def test_only_strangers_are_reaped(sleeper: subprocess.Popen[bytes]) -> None:
    """What the worker knows, and what is in its session, is left to those who wait for it."""

    def dead(**options: Any) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["true"], **options)
        until(lambda: not is_alive(child.pid))
        return child

    ours = dead()
    known = dead(start_new_session=True)
    stranger = dead(start_new_session=True)
    process.reap_strangers({known.pid}, {os.getsid(0)})
    children = process.children()
    assert children is not None
    assert stranger.pid not in children
    assert {known.pid, ours.pid, sleeper.pid} <= children
    assert sleeper.poll() is None
    assert (known.wait(), ours.wait()) == (0, 0)
    stranger.wait()
