"""Calls of Linux that Python has no function for. On other systems they do nothing."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
MADV_COLLAPSE = 25
IO_URING_SETUP, IO_URING_REGISTER = 425, 427  # the same on all machines
IO_URING_PARAMS = 120  # bytes
REGISTER_BUFFERS = 0

try:
    _libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
except OSError:  # a libc that cannot be loaded by itself
    _libc = None


def signal_at_death_of_parent(number: int) -> bool:
    """Have this process sent a signal when its parent dies; False if the system cannot."""
    return _libc is not None and _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) == 0


def become_subreaper(value: int = 1) -> int:
    """Have this process become the parent of what its children leave behind.

    With 0 it no longer does. Returns what it was before.
    """
    before = ctypes.c_int(0)
    if _libc is not None:
        _libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
        _libc.prctl(PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
    return before.value


def trim_memory() -> None:
    """Give back to the system what loading has used and freed."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def collapse(start: int, length: int) -> bool:
    """Put a piece of this process's memory into huge pages; False if that cannot be."""
    if _libc is None:
        return False
    done = _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_COLLAPSE)
    return bool(done == 0)


def pin(pieces: Sequence[tuple[int, int]]) -> int:
    """Keep pieces of memory, each a start and a length in bytes, where they are.

    Until the returned descriptor is closed. They are registered as buffers of an io_uring, of
    which nothing else is used. Raises OSError.
    """
    if _libc is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    parameters = ctypes.create_string_buffer(IO_URING_PARAMS)
    ring = _checked(_libc.syscall(IO_URING_SETUP, 1, parameters))
    vectors = (ctypes.c_size_t * (2 * len(pieces)))(*itertools.chain(*pieces))
    try:
        _checked(_libc.syscall(IO_URING_REGISTER, ring, REGISTER_BUFFERS, vectors, len(pieces)))
    except OSError:
        os.close(ring)
        raise
    return ring


def _checked(returned: int) -> int:
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return returned
