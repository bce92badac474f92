"""What is left to tell of a child that died: its last words on stderr, its stack, its end."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from ..errors import signal_name
from ..failure.base import OUR_FOLDER
from ..system import process
from ..system.loop import Loop
from ..system.process import End
from ..system.streams import Stream
from .handle import ChildHandle

TAIL_BYTES = 8192
TAIL_LINES = 20
STACK_BYTES = 65536
STACK_LINES = 100
MEMFD = "resque-fork-"
CRASH, STACKS = "crash", "stacks"  # names of files for a crash, and for the asking


class StderrTail(Stream):
    """Passes on what children write to stderr, and remembers the end of it."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop, 2, "stderr")
        self._kept = b""

    def forget(self) -> None:
        """A new job is about to begin: forget what the last one wrote."""
        self.drain()
        self._kept = b""

    def lines(self) -> list[str]:
        """The last lines, now that the child is dead."""
        self.drain()
        return _last_lines(self._kept, TAIL_LINES)

    def _note(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-TAIL_BYTES:]


class StackFile:
    """Where faulthandler writes the Python stacks of children. In memory."""

    def __init__(self, name: str) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create(MEMFD + name)
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())

    def take(self) -> list[str]:
        """The lines written since the last time, and forget them."""
        data = os.pread(self.fd, STACK_BYTES, 0)
        if not data:
            return []
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        return stack_lines(data.decode("utf-8", "replace"))

    def close(self) -> None:
        process.close(self.fd)


def describe(
    child: ChildHandle, end: End, stack: list[str], stderr: list[str], oom: bool
) -> dict[str, Any]:
    """The ``forensics`` of a dead child; what there is nothing to say about is left out.

    What it used is that of its last job alone.
    """
    told: dict[str, Any] = {}
    if end.wait_status is not None:
        if os.WIFSIGNALED(end.wait_status):
            told["signal"] = signal_name(os.WTERMSIG(end.wait_status))
        else:
            told["exit_status"] = os.waitstatus_to_exitcode(end.wait_status)
    if oom:
        told["oom"] = "probably"
    if stack:
        told["stack"] = stack
    if stderr:
        told["stderr"] = stderr
    if end.wait_status is not None:
        user_before, system_before = child.used_before
        told["rss_growth_kb"] = child.rss_growth
        told["user_ms"] = max(0, round(end.user * 1000) - user_before)
        told["system_ms"] = max(0, round(end.system * 1000) - system_before)
    told["wall_ms"] = round((time.monotonic() - child.started) * 1000)
    return told


def stack_lines(text: str) -> list[str]:
    """What faulthandler wrote, without our own frames and all that they stand on."""
    kept, below_job = [], False
    for line in text.splitlines():
        if not line.startswith("  "):
            below_job = False
        elif f'File "{OUR_FOLDER}' in line:
            below_job = True
        if line and not below_job and not line.startswith("Extension modules"):
            kept.append(line)
    return kept[:STACK_LINES]


def _last_lines(data: bytes, count: int) -> list[str]:
    lines = data.decode("utf-8", "replace").splitlines()
    return [line[:1000] for line in lines[-count:]]
