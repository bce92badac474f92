"""What a program has used so far, with all processes that it has started."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    cpu: float  # seconds
    faults: int  # page faults


def usage(pid: int) -> Usage:
    """Of the process, of its descendants that live, and of those that have been reaped.

    From ``/proc/<pid>/stat``, where a process has the sums of its children that are gone.
    """
    ticks = faults = 0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(OSError):  # it has just ended, and its parent has its sums
            text = Path(f"/proc/{process.pid}/stat").read_text()
            # from the third field on: minflt and cminflt are the tenth and eleventh, utime, stime,
            # cutime and cstime the fourteenth to seventeenth
            fields = text.rpartition(")")[2].split()
            faults += int(fields[7]) + int(fields[8])
            ticks += sum(map(int, fields[11:15]))
    return Usage(ticks / TICK, faults)
