"""Who a process is: what tells it from others that bear its pid, now or on another host.

A pid alone names nothing: pids are used again, and containers have pids (and
often host names) of their own. Boot, pid namespace and start time together do.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")
UNKNOWN_BOOT = "-"  # the boot or namespace of a process that cannot tell
UNKNOWN = ""  # the start of a process that lives, but may not be looked at


@dataclass(frozen=True)
class Identity:
    """Of one process: the boot of its kernel, its pid namespace, and when it started."""

    boot: str
    pid_namespace: str
    start: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """None if no such process is alive; a zombie is not.

        One that /proc hides is alive, with an unknown start.
        """
        start = _start_of(pid)
        return None if start is None else cls(_boot(), _pid_namespace(), start)

    @classmethod
    def here(cls) -> Identity:
        """This process."""
        return cls(_boot(), _pid_namespace(), _start_of(os.getpid()) or UNKNOWN)

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Identity | None:
        """As it stands among the fields of ``fork:<id>``, or None if it does not."""
        try:
            return cls(fields["boot"], fields["pid_namespace"], fields["start"])
        except KeyError:
            return None

    def to_fields(self) -> dict[str, str]:
        return {"boot": self.boot, "pid_namespace": self.pid_namespace, "start": self.start}

    def is_here(self) -> bool:
        """Whether its pid means something here: the same kernel, not rebooted, the same pids."""
        if LINUX and UNKNOWN_BOOT in (
            self.boot,
            self.pid_namespace,
        ):  # without /proc nobody can tell
            return False
        return self.boot == _boot() and self.pid_namespace == _pid_namespace()

    def has_exited(self, pid: int) -> bool:
        """Whether this process, which had the `pid`, has certainly ended."""
        now = _start_of(pid)
        return now is None or (UNKNOWN not in (now, self.start) and now != self.start)


def is_alive(pid: int) -> bool:
    """Whether a process of this pid lives here; a zombie does not."""
    return _start_of(pid) is not None


def _start_of(pid: int) -> str | None:
    if not LINUX:
        return _start_by_psutil(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # perhaps for want of a right or a descriptor, and not of a process
        return UNKNOWN if _exists(pid) else None
    # the name, in parentheses, may hold anything; state is the first field after it
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X", b"x") else fields[19].decode()


def _start_by_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else str(process.create_time())
    except psutil.Error:
        return UNKNOWN if _exists(pid) else None


def _exists(pid: int) -> bool:
    """Whether there is such a process, a zombie too."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return UNKNOWN_BOOT


@functools.cache
def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return UNKNOWN_BOOT
