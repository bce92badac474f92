"""What ``ps`` and ``top`` show of a worker, in Resque's words.

Monitoring matches on these titles, and a Ruby worker on the same host removes
the records of every worker whose title it does not recognise by
``resque-<digit>`` (or ``resque: Starting``), however alive it is.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Sequence

from setproctitle import getproctitle, setproctitle

from ..text import printable
from ..version import __version__

log = logging.getLogger("resque_fork")

LONGEST_QUEUE_LIST = 200  # bytes
ROOM = 512  # bytes for a title; more than the longest we set, short of a very long class name
PADDING = "RESQUE_TITLE_ROOM"

STARTING = "resque: Starting"
SPARE = "Spare"


class Procline:
    """Sets this process's title."""

    def __init__(self, prefix: str = "", clock: Callable[[], float] = time.time) -> None:
        self._before = f"{prefix}resque-{__version__}: "
        self._found = getproctitle()
        self._clock = clock

    def starting(self) -> None:
        self._show(STARTING, before="")

    def waiting_for(self, expanded: Sequence[str], given: Sequence[str]) -> None:
        """The queues by name; a list beyond 200 bytes is shown as it was given."""
        queues = ",".join(expanded)
        if len(queues.encode("utf-8", "replace")) > LONGEST_QUEUE_LIST:
            queues = ",".join(given)
        self._show(f"Waiting for {queues}")

    def paused(self) -> None:
        self._show("Paused")

    def forked(self, pid: int) -> None:
        self._show(f"Forked {pid} at {int(self._clock())}")

    def processing(self, queue: str, class_name: str) -> None:
        """Never the arguments: titles are readable to every user of the host."""
        self._show(f"Processing {queue} since {int(self._clock())} [{class_name}]")

    def spare(self) -> None:
        """A child that was forked ahead, until it has its job."""
        self._show(SPARE)

    def supervising(self, count: int) -> None:
        self._show(f"Supervising {count} workers")

    def reloading(self) -> None:
        self._show("Reloading on changes")

    def keeping_the_clock(self) -> None:
        self._show("Moving delayed jobs")

    def restore(self) -> None:
        """The title that was found, for a process that goes on without its worker."""
        setproctitle(self._found)
        log.debug("%s", self._found)

    def _show(self, what: str, before: str | None = None) -> None:
        shown = what if what.isprintable() else printable(what)
        title = (self._before if before is None else before) + shown
        setproctitle(title)
        log.debug("%s", title)


def is_spare(title: str) -> bool:
    """Whether a child of this title was forked ahead and has no job yet."""
    return title.endswith(f": {SPARE}")


def make_room(argv: Sequence[str] | None = None) -> None:
    """Have the title say that we start, and be long enough for all that it will say.

    A title can only be as long as the arguments and the environment that the
    kernel laid out at exec; under systemd or ``env -i`` that is some 50 bytes.
    There the program is started anew with a larger environment, so call it
    before anything else has been started. From then on nobody sees the
    arguments, nor the password that may stand in a URL among them.
    """
    if PADDING in os.environ:
        setproctitle(STARTING)  # claims the room, after which the padding may go
        del os.environ[PADDING]
        return
    argv = argv if argv is not None else sys.orig_argv
    size = sum(len(os.fsencode(arg)) + 1 for arg in argv)
    size += sum(len(k) + len(v) + 2 for k, v in os.environb.items())
    if size < ROOM and sys.executable:
        environment = {**os.environ, PADDING: "." * ROOM}
        os.execve(sys.executable, [sys.executable, *argv[1:]], environment)
    setproctitle(STARTING)  # at once: an application may take its time to load
