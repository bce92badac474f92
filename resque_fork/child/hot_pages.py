"""Learns from the first jobs of a worker which pages each job writes to, and has them pinned.

The child of such a job waits before it exits. Until then it shares with the worker all pages but
those that one of the two has written to since the fork, so the worker can see which those are.
The pages that were written to in each of three jobs are pinned.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from ..system import huge_pages, libc, pinned_pages, process
from ..system.loop import Loop

log = logging.getLogger("resque_fork")

JOBS = 3
MOST_JOBS = 20  # that it learns from, if they are killed or end in another way


class HotPages:
    """While it is `learning`, the child of a job is the only one, and waits for `look`."""

    def __init__(self, loop: Loop) -> None:
        self.learning = False
        self._loop = loop
        self._jobs = 0
        self._found: list[set[int]] = []
        self._huge = False
        self._pins: int | None = None  # the descriptor that holds the pages

    def settle(self, *, pins: bool, huge: bool) -> None:
        """What is in memory now stays there: pin pages of it, and put the others in huge pages.

        To pin any, it has to learn from the jobs that come now.
        """
        self._huge = huge
        if self._pins is None and not self.learning:
            why = pinned_pages.why_not() if pins else "that is switched off"
            self.learning = why is None
            if why:
                self._learned((), f"No pages are pinned: {why}")

    def begin_job(self) -> bool:
        """Whether the child of this job is to wait before it exits."""
        self._jobs += 1
        if self.learning and self._jobs > MOST_JOBS:
            self._learned((), "No pages are pinned: too few jobs ended in good order")
        return self.learning

    def look(self, child: int) -> None:
        """See what was written to since the fork of the child that waits."""
        try:
            self._found.append(pinned_pages.written_pages(child))
            if len(self._found) == JOBS:
                pages = sorted(set.intersection(*self._found))
                self._pins = pinned_pages.pin(pages)
                self._loop.fds.add(self._pins)
                self._learned(pages, f"{len(pages)} pages are pinned")
        except ProcessLookupError:  # it has not waited: another will
            return
        except (OSError, MemoryError) as error:
            self._learned((), f"No pages are pinned: {error}")

    def close(self) -> None:
        """Let go of the pages."""
        self.learning = False
        self._found.clear()
        if self._pins is not None:
            self._loop.fds.discard(self._pins)
            process.close(self._pins)
            self._pins = None

    def _learned(self, pages: Collection[int], words: str) -> None:
        self.learning = False
        self._found.clear()
        libc.trim_memory()
        log.debug("%s", words)
        if self._huge:
            for _ in huge_pages.collapse(but=pages):
                self._loop.poll()
