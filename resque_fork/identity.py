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


@dataclass(frozen=True)
class Identity:
    """Of one process: the boot of its kernel, its pid namespace, and when it started."""

    boot: str
    pid_namespace: str
    start: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """None if no such process is alive; a zombie is not."""
        start = _start_of(pid)
        return None if start is None else cls(_boot(), _pid_namespace(), start)

    @classmethod
    def here(cls) -> Identity:
        """This process."""
        return cls(_boot(), _pid_namespace(), _start_of(os.getpid()) or "")

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
        return self.boot == _boot() and self.pid_namespace == _pid_namespace()


def is_alive(pid: int) -> bool:
    """Whether a process of this pid lives here; a zombie does not."""
    return _start_of(pid) is not None


def _start_of(pid: int) -> str | None:
    if not LINUX:
        return _start_by_psutil(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
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
        return None


@functools.cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


@functools.cache
def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "-"
