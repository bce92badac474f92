"""What the kernel tells about processes: when they started, whose they are, what they use.

Where it does not tell, as on a system without /proc, each function says what it returns.
"""

from __future__ import annotations

import os
import sys
import time


def ticks() -> int:
    """Now, in clock ticks since the boot, by which the kernel tells when a process started."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def started_at(pid: int) -> int | None:
    """When a process was started, by the clock of `ticks`; None if it is gone, or hidden."""
    stat = _stat(pid)
    return int(stat[19]) if stat else None


def parent_of(pid: int) -> int | None:
    """The pid of a process's parent; None if it is gone, or hidden."""
    stat = _stat(pid)
    return int(stat[1]) if stat else None


def session_of(pid: int) -> int | None:
    """The session of a process, a zombie too; None if it is gone."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def group_lives(group: int) -> bool:
    """Whether any process, a zombie too, is in a process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_zombie(pid: int) -> bool:
    """Whether a process has ended, and is only there until somebody waits for it."""
    stat = _stat(pid)
    return stat is not None and stat[0] == b"Z"


def is_filtered() -> bool:
    """Whether this process may not make all system calls (seccomp)."""
    try:
        with open("/proc/self/status", "rb") as status:
            return b"\nSeccomp:\t2" in status.read()
    except OSError:
        return False


def is_starting(pid: int) -> bool:
    """Whether a process lives and has no command line: it is in the middle of exec."""
    if command_of(pid):
        return False
    stat = _stat(pid)
    return stat is not None and stat[0] not in (b"Z", b"X")


def command_of(pid: int) -> bytes:
    """The command line of a process; empty for a zombie, or if it is gone or hidden."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as command:
            return command.readall()
    except OSError:
        return b""


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat from the third on: its state, its parent, ..."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            text = stat.readall()
    except OSError:
        return None
    return text[text.rindex(b")") + 2 :].split()  # the name, in parentheses, may hold anything


def rss_kib(pid: int | str = "self") -> int:
    """Resident memory of a process in KiB; 0 where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            pages = int(statm.readall().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def own_memory_kib(pid: int | str = "self") -> int | None:
    """Memory of a process's own in KiB, resident or swapped out, shared memory too.

    Files that it maps do not count, for the system can take their pages back at any
    time. None where that cannot be told.
    """
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            lines = status.readall().splitlines()
    except OSError:
        return None
    kinds = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
    found = [int(line.split()[1]) for line in lines if line.startswith(kinds)]
    return sum(found) if found else None  # a process that is dead has none of them


def reset_peak_rss() -> None:
    """Have this process's peak of resident memory counted from now on."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as control:
            control.write(b"5")
    except OSError:
        pass  # then it is the peak of all jobs of this process


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a child has used so far; None where that cannot be told."""
    if sys.platform != "linux":
        return _cpu_by_psutil(pid)
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the clock of a process, by its pid
    except OSError:
        return None


def _cpu_by_psutil(pid: int) -> float | None:
    import psutil

    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(used.user + used.system)
