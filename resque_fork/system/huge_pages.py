"""The worker's memory in huge pages: a fork copies page tables, and these have fewer entries.

A fork of a process of 150 MB costs several times as much as that of a bare
interpreter, nearly all of it for page tables. Linux (6.1 and newer) puts
memory that is there already into huge pages on request, whatever the system's
setting. Elsewhere nothing happens, and nothing is lost but speed.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator

from . import libc, proc

HUGE = 2 * 1024 * 1024  # bytes of one huge page
WORTHWHILE = 64 * 1024 * 1024  # bytes; in less there is hardly a page that is not soon written to
FULL = 0.9  # of a mapping; what is not there yet would be allocated
SLICE = 16  # huge pages, some 50 ms


def collapse(but: Collection[int] = ()) -> Iterator[None]:
    """Put this process's memory into huge pages, a slice at a time: do what is due in between.

    Where one of the pages `but` lies, given by their numbers, memory stays as it is.
    """
    if proc.rss_kib() * 1024 < WORTHWHILE:
        return
    spared = {page * mmap.PAGESIZE // HUGE * HUGE for page in but}
    pages = [page for start, end in _mappings() for page in range(start, end, HUGE)]
    pages = [page for page in pages if page not in spared]
    for number, page in enumerate(pages, 1):
        if not libc.collapse(page, HUGE) and number == 1:
            return  # this kernel cannot
        if number % SLICE == 0:
            yield


def _mappings() -> list[tuple[int, int]]:
    """Those parts of anonymous private mappings that can be huge pages, start and end."""
    found = []
    start = end = 0
    for line in _smaps():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            _, access, _, _, inode, *_ = line.split()
            start, end = (int(part, 16) for part in name.split("-"))
            if access != "rw-p" or inode != "0":
                start = end = 0
        elif name == "Anonymous:" and int(rest.split()[0]) * 1024 >= FULL * (end - start):
            found.append((-(-start // HUGE) * HUGE, end // HUGE * HUGE))
    return [(start, end) for start, end in found if start < end]


def _smaps() -> Iterator[str]:
    try:
        with open("/proc/self/smaps") as smaps:
            yield from smaps
    except OSError:
        pass
