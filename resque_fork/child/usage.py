"""What a job uses of its process, and what the kernel refuses it. Runs in the child."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator

from ..job.limits import Limits
from ..system import proc
from .programs import LiftedAtStart


@contextlib.contextmanager
def memory_limited(limits: Limits) -> Iterator[None]:
    """Have the kernel refuse memory beyond what this process has now and the limit.

    A MemoryError that comes of it says so. It comes at once; what the kernel does not
    refuse, such as shared memory, the parent sees. What the job starts is not limited.
    """
    if limits.memory is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    lowered = (_data_size() + limits.memory, before[1])
    programs = LiftedAtStart(lambda: _set(before), lambda: _set(lowered))
    _set(lowered)
    try:
        yield
    except MemoryError as error:
        _set(before)
        if error.args:  # it may make its text of anything, as NumPy's
            error.add_note(limits.out_of_memory())
        else:
            error.args = (limits.out_of_memory(),)
        raise
    finally:
        programs.close()
        _set(before)


def _set(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, limits)


def _data_size() -> int:
    """Bytes of memory that count against RLIMIT_DATA."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[5]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Meter:
    """What one job uses: milliseconds, and KiB by which this process has grown."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._used = resource.getrusage(resource.RUSAGE_SELF)
        self._grown = 0

    def read(self) -> dict[str, int]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        in_kib = 1 if sys.platform == "linux" else 1024
        self._grown = max(0, used.ru_maxrss - self._used.ru_maxrss) // in_kib
        return {
            "rss_growth_kb": self._grown,
            "user_ms": round((used.ru_utime - self._used.ru_utime) * 1000),
            "system_ms": round((used.ru_stime - self._used.ru_stime) * 1000),
            "wall_ms": round((time.monotonic() - self._wall) * 1000),
        }

    def leave_clean(self) -> None:
        """Have what the next job adds counted from what is there now."""
        if self._grown:
            proc.reset_peak_rss()
