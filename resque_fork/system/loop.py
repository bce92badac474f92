"""The parent's one event loop: what is readable, and what is due.

Nothing here knows about jobs. A callback does what cannot wait (note a signal,
drain a pipe, send a KILL) and returns; the worker's own story is told in
straight lines that call `wait` wherever they have to wait for something.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import ResqueError

Callback = Callable[[], object]

# Libraries such as eventlet take one out of its module, and put something else for the other.
new_poll: Any = getattr(select, "poll", None)
_select = select.select
READABLE, WRITABLE = select.POLLIN, select.POLLOUT

NO_POLL = (
    "This Python has no select.poll, without which there is no worker. A library such as eventlet "
    "may have removed it: import Worker from resque_fork before it does."
)


@dataclass(slots=True)
class Timer:
    """Something due at a moment of the loop's clock, unless it is cancelled first."""

    due: float
    callback: Callback | None

    def cancel(self) -> None:
        self.callback = None


class Task(Protocol):
    """What is done again and again; `due` is when next, by the loop's clock."""

    @property
    def due(self) -> float: ...

    def run(self) -> None: ...


class Repeated:
    """A task that runs every so many seconds."""

    def __init__(self, loop: Loop, seconds: float, action: Callback) -> None:
        self.due = loop.clock()
        self._loop = loop
        self._seconds = seconds
        self._action = action

    def run(self) -> None:
        self.due = self._loop.clock() + self._seconds
        self._action()


class Loop:
    """Waits for descriptors and timers. The clock is in seconds and never steps back.

    There are two kinds of waits. While the worker is idle, or waits for its child, it calls
    `idle`: all `tasks` that are due run, however long a job takes. While it waits for a reply,
    a connection or a handshake, it calls `wait`: signals are noted and what children report is
    taken in, and nothing else. So no task runs in the middle of a command of its own.

    `fds` are descriptors that are this process's alone, which a forked child must close; whoever
    opens one notes it there.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        if new_poll is None:
            raise ResqueError(NO_POLL)
        self.clock = clock
        self._poll = new_poll()  # unlike epoll it is nothing that a fork would share
        self._callbacks: dict[int, Callback] = {}  # by descriptor
        self._wanted: dict[int, int] = {}  # events, likewise
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.tasks: list[Task] = []
        self.fds: set[int] = set()

    def watch(self, fd: int, callback: Callback, events: int = READABLE) -> None:
        """Call back whenever `fd` is READABLE, WRITABLE, or either: ``READABLE | WRITABLE``.

        It is both where its other end is gone, and using it tells.
        """
        self._poll.register(fd, events)
        self._callbacks[fd] = callback
        self._wanted[fd] = events

    def forget(self, fd: int) -> None:
        """Watch `fd` no longer; call it before closing."""
        if self._callbacks.pop(fd, None) is not None:
            del self._wanted[fd]
            self._poll.unregister(fd)

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, so many seconds from now."""
        due = self.clock() + seconds
        timer = Timer(due, callback)
        heapq.heappush(self._timers, (due, next(self._order), timer))
        return timer

    def wait(self, until: float | None = None) -> None:
        """Sleep until something happens, at the latest until `until`; then call back.

        Returns after one round, whether or not what the caller waits for is
        among what happened: call it in a loop, with a condition.
        """
        now = self.clock()
        due = self._next_due()
        if until is None or (due is not None and due < until):
            until = due
        timeout = None if until is None else max(0.0, (until - now) * 1000)
        for fd, events in self._events(timeout):
            callback = self._callbacks.get(fd)
            if events & select.POLLNVAL:  # closed by somebody else: it would never be quiet
                self.forget(fd)
            elif callback is not None:  # an earlier one of this round may have forgotten it
                callback()
        self._run_due()

    def idle(self, until: float | None = None) -> None:
        """`wait`, at the latest until a task is due; then run the tasks that are."""
        due = [task.due for task in self.tasks]
        self.wait(min(due if until is None else [*due, until], default=None))
        self.run_tasks()

    def run_tasks(self) -> None:
        """Run the tasks that are due."""
        now = self.clock()
        for task in self.tasks:
            if task.due <= now:
                task.run()

    def sleep(self, seconds: float) -> None:
        """Let events happen for so long, and no task."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.wait(until)

    def poll(self) -> None:
        """Handle what has already happened, without sleeping."""
        self.wait(until=self.clock())

    def _events(self, timeout: float | None) -> list[tuple[int, int]]:
        try:
            happened: list[tuple[int, int]] = self._poll.poll(timeout)
            return happened
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        # More descriptors than this process may have open, since somebody has lowered its limit.
        wanted = self._wanted.items()
        readable = [fd for fd, events in wanted if events & READABLE]
        writable = [fd for fd, events in wanted if events & WRITABLE]
        seconds = None if timeout is None else timeout / 1000
        found = _select(readable, writable, [], seconds)[:2]
        return [(fd, self._wanted[fd]) for fd in dict.fromkeys([*found[0], *found[1]])]

    def _next_due(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _run_due(self) -> None:
        now = self.clock()
        while (due := self._next_due()) is not None and due <= now:
            timer = heapq.heappop(self._timers)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
