"""A large process is put into huge pages where the kernel can; a small one is left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from resque_fork.system import huge_pages, libc

PROGRAM = """
import sys
from resque_fork.system import huge_pages

kept = bytearray(int(sys.argv[1]) * 1024 * 1024)
kept[::4096] = b"x" * len(kept[::4096])
slices = sum(1 for _ in huge_pages.collapse())
with open("/proc/self/smaps_rollup") as rollup:
    huge = next(int(line.split()[1]) for line in rollup if line.startswith("AnonHugePages:"))
assert set(kept[::4096]) == {ord("x")}
print(slices, huge)
"""


def collapsed(megabytes: int) -> tuple[int, int]:
    """Slices, and KiB in huge pages, of a process of that size."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(megabytes)],
        *(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    slices, huge = map(int, done.stdout.split())
    return slices, huge


def test_a_large_process() -> None:
    """Nearly all of its memory, a slice at a time, and its contents are as they were."""
    slices, huge = collapsed(128)
    if not slices:
        pytest.skip("this kernel does not collapse memory on request (Linux 6.1 and newer do)")
    assert slices >= 3
    assert huge > 120 * 1024


def test_a_small_process() -> None:
    """Too little to gain: nothing is done."""
    assert collapsed(1) == (0, 0)


def test_a_kernel_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first refusal is the last."""
    asked = []
    monkeypatch.setattr(libc, "collapse", lambda *page: asked.append(page))
    monkeypatch.setattr(huge_pages, "WORTHWHILE", 0)
    kept = bytearray(64 * 1024 * 1024)
    kept[::4096] = b"x" * len(kept[::4096])
    assert list(huge_pages.collapse()) == []
    assert len(asked) == 1
