"""Where a running job is: its child is asked to write down its Python stacks.

The child's faulthandler does that in a signal handler of its own, without
running any Python, so it answers in the middle of C code and of a hung system
call, and the job goes on undisturbed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ..errors import ResqueError
from ..system import process
from ..wire.procline import is_spare
from .forensics import MEMFD, STACKS, stack_lines

ANSWER_SECONDS = 2.0  # seconds for the child to write
STILL = 0.02  # seconds without growth after which it has written all


def children_with_jobs(worker: int) -> list[int]:
    """The pids of a worker's children that can be asked; none while it is idle."""
    try:
        found = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    except OSError:
        return []
    return [pid for pid in map(int, found) if _file_of(pid) and not is_spare(_title_of(pid))]


def stacks_of_job(worker: int) -> list[dict[str, Any]]:
    """The stacks of a worker's running job: {"child", "stack"} for each of its children."""
    return [{"child": pid, "stack": stacks_of(pid)} for pid in children_with_jobs(worker)]


def stacks_of(child: int) -> list[str]:
    """The stacks of all threads of a child, innermost frame first, without our own frames.

    Raises ResqueError if the child does not answer, or cannot be asked from here.
    """
    file = _file_of(child)
    if file is None:
        raise ResqueError(
            f"Process {child} cannot be asked: it has ended, or belongs to another user, "
            "or this system has no /proc."
        )
    before = file.stat().st_size
    process.kill(child, process.DUMP_SIGNAL)
    late = time.monotonic() + ANSWER_SECONDS
    size, still_since = before, time.monotonic()
    while time.monotonic() < late:
        time.sleep(STILL / 4)
        now = file.stat().st_size
        if now != size:
            size, still_since = now, time.monotonic()
        elif size > before and time.monotonic() - still_since > STILL:
            with file.open("rb") as written:
                written.seek(before)
                return stack_lines(written.read().decode("utf-8", "replace"))
    raise ResqueError(f"Process {child} did not answer within {ANSWER_SECONDS:g} seconds.")


def _title_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
    except OSError:
        return ""


def _file_of(pid: int) -> Path | None:
    """The file in memory that the child writes its stacks to."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        for fd in folder.iterdir():
            if os.readlink(fd).startswith(f"/memfd:{MEMFD}{STACKS}"):
                return fd
    except OSError:
        pass
    return None
