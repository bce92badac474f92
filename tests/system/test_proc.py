"""What the kernel tells about processes, and other ways to find out where it does not."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from life.harness import until

from resque_fork.system import proc


def test_when_a_process_was_started() -> None:
    """By the clock of the ticks, and so before or after a moment."""
    before = proc.ticks()
    with subprocess.Popen(["sleep", "60"]) as child:
        started, now = proc.started_at(child.pid), proc.ticks()
        until(lambda: proc.command_of(child.pid) == b"sleep\x0060\x00")
        child.kill()
        until(lambda: proc.is_zombie(child.pid))
        assert proc.started_at(child.pid) == started
    assert started is not None
    assert before <= started <= now
    assert proc.started_at(child.pid) is None
    assert proc.session_of(child.pid) is None


def test_cpu_time_elsewhere() -> None:
    """The same clock, if not as fine."""
    burning = time.process_time() + 0.2
    while time.process_time() < burning:
        pass
    exact = proc.cpu_seconds(os.getpid())
    by_psutil = proc._cpu_by_psutil(os.getpid())
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
        before = proc.own_memory_kib()
        act()
        after = proc.own_memory_kib()
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
    assert proc.cpu_seconds(gone.pid) is None
    assert proc._cpu_by_psutil(gone.pid) is None
    assert proc.rss_kib(gone.pid) == 0
    assert proc.own_memory_kib(gone.pid) is None
    assert not proc.group_lives(gone.pid)
