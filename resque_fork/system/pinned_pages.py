"""Pages that a fork copies at once, because parent and child will write to them anyway.

After a fork the two share every page, and whoever writes to one takes a page fault, which costs
more than the fork itself: a child writes to some 600 pages, whatever its job, and its parent to as
many. Pages that are pinned, since a device might write to them, cannot be shared: the kernel copies
them while it forks, and neither side takes a fault.

Where pages cannot be pinned, forks are as they were. Nothing is lost but speed.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import mmap
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence

from . import libc, proc, process

PAGE = mmap.PAGESIZE
OWN = 1 << 63 | 1 << 56  # bits in /proc/<pid>/pagemap: present, and mapped by this process alone
ENTRY = 8  # bytes in pagemap for each page
AT_ONCE = 1 << 16  # pages that are looked at in one go
LARGEST = 1 << 20  # pages of a mapping; it is data if there are more, and not looked at
MOST = 2048  # pages that are pinned: 8 MB, what a user's processes may lock unless told otherwise
FEWEST = 64  # that are worth it


def why_not() -> str | None:
    """Why pages cannot be pinned here, in the system's words; None if they can."""
    if proc.is_filtered() and _kills(_pin_one):
        return "a filter of system calls kills who asks"
    try:
        _pin_one()
    except OSError as error:
        return str(error.strerror)
    return None


def _pin_one() -> None:
    memory = ctypes.create_string_buffer(PAGE)
    with open("/proc/self/pagemap", "rb"):
        os.close(libc.pin([(ctypes.addressof(memory), PAGE)]))


def _kills(action: Callable[[], None]) -> bool:
    """Whether a process dies of it: a filter may kill instead of refuse."""

    def main() -> None:
        with contextlib.suppress(OSError):
            action()

    _, status = process.system.waitpid(process.fork(main), 0)
    return os.WIFSIGNALED(status)


def limit() -> int | None:
    """How many bytes the processes of this user may lock together; None if that is not limited."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY or not os.geteuid() else soft


def written_pages(child: int) -> set[int]:
    """The numbers of the pages that this process or its child has written to since the fork.

    Whoever writes to a page gets one of its own. A page that nobody else has may be told only
    by the other's, since this process may share its old one with its own parent. Raises OSError;
    ProcessLookupError if the child has ended.
    """
    ours = _own_pages("self")
    try:
        return ours | _own_pages(child)
    except PermissionError:  # it has become another user
        return ours


def _own_pages(who: int | str) -> set[int]:
    """Of the pages that this process may write to, those that one process shares with no other."""
    found: set[int] = set()
    with open(f"/proc/{who}/pagemap", "rb", buffering=0) as pagemap:
        for first, last in _mappings():
            for page in range(first, last, AT_ONCE):
                size = (min(last, page + AT_ONCE) - page) * ENTRY
                data = os.pread(pagemap.fileno(), size, page * ENTRY)
                if not data:
                    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
                entries = array.array("Q", data)
                found.update(n for n, entry in enumerate(entries, page) if entry & OWN == OWN)
    return found


def pin(pages: Sequence[int]) -> int:
    """Pin pages by their numbers, or as many of them as may be pinned, from the first on.

    Returns the descriptor that holds them. Raises OSError if hardly any may be pinned.
    """
    wanted = pages[:MOST]
    while True:
        try:
            return libc.pin([(page * PAGE, count * PAGE) for page, count in _runs(wanted)])
        except OSError:  # more than may be locked, or some are gone
            wanted = wanted[: len(wanted) // 2]
            if len(wanted) < FEWEST:
                raise


def _runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Pages that follow one another: the first, and how many there are."""
    first = count = 0
    for page in sorted(pages):
        if page != first + count:
            if count:
                yield first, count
            first, count = page, 0
        count += 1
    if count:
        yield first, count


def _mappings() -> list[tuple[int, int]]:
    """The first page of each private mapping that may be written to, and the one behind it."""
    found = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            place, access, *_ = line.split()
            first, last = (int(part, 16) // PAGE for part in place.split("-"))
            if access == "rw-p" and last - first <= LARGEST:
                found.append((first, last))
    return found
