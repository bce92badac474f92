"""What a job has started is ended with it, unless it was there before or may stay.

A child is a session of its own, and the worker adopts whatever loses its parent. So a job's are
the processes in the session of its child, and those that the worker has adopted, that were
started after the fork and are not in the worker's own session. What the application has started
in the worker is not a job's: it is in the worker's session, or was there before the fork, or the
application has said `keep`.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator

from ..errors import ResqueError
from ..system import proc, process
from ..system.loop import Loop, Timer

log = logging.getLogger("resque_fork")

SWEEP_SECONDS = 1.0  # for killed processes to go
STARTING_SECONDS = 0.01  # until the next look at a process that has no command line yet
TRACKER_SECONDS = 1.0  # for a tracker to clean up, once all who use it are gone

# What multiprocessing and loky start to remove shared memory and semaphores that are left over,
# by what stands in their command lines.
TRACKERS = (b"resource_tracker", b"semaphore_tracker")


class Kept:
    """The processes that the application has asked to keep, by their pids and sessions."""

    def __init__(self) -> None:
        self.worker: int | None = None  # the pid of the worker, once there is one
        self._ids: set[int] = set()

    def add(self, pid: int) -> None:
        if self.worker not in (None, os.getpid()):
            raise ResqueError(
                "keep() is for what the worker itself starts. A job whose processes may stay "
                "declares sweep=False."
            )
        if isinstance(pid, bool) or not isinstance(pid, int) or pid < 1:
            raise ResqueError(f"keep() takes the pid of a process, such as popen.pid, not {pid!r}.")
        self._ids |= {pid, proc.session_of(pid) or pid}

    def ids(self) -> set[int]:
        """Those that have not ended."""
        self._ids = {number for number in self._ids if _lives(number)}
        return self._ids


kept = Kept()


def keep(pid: int) -> None:
    """Leave alone a process that the application has started in the worker, and its session.

    It is not killed with the job that runs meanwhile, and its exit status is left to the
    application. Only what is started in a session of its own needs it. Raises ResqueError if
    `pid` is not a process id, and in a job.
    """
    kept.add(pid)


class Sweeper:
    """`ours` names the children that the worker itself has at the moment."""

    def __init__(self, loop: Loop, ours: Callable[[], Collection[int]]) -> None:
        self._loop = loop
        self._ours = ours
        self._applications: set[int] = set()  # sessions of what the application has started
        self._staying: set[int] = set()  # sessions of what jobs have left, and may stay
        self._errands: set[int] = set()  # children of the worker's that do it a service
        self._late: dict[int, Timer] = {}  # by session: what has a moment to end by itself
        self._owed: tuple[int, int] | None = None  # a sweep that could not see any process
        kept.worker = os.getpid()

    def note_present(self) -> None:
        """Before a fork: whatever is there now is none of the next job's."""
        if self._owed is not None and process.children() is not None:
            self.sweep(*self._owed)
        present = set()
        for pid, session in self._strangers():
            present.add(session)
            if session not in self._staying and not proc.is_zombie(pid):
                self._applications.add(session)
        for sessions in (self._applications, self._staying):
            sessions -= {s for s in sessions if s not in present and not _lives(s)}

    def note_subprocess(self, pid: int) -> None:
        """A child of the worker that is no job's: it is not swept, and reaped when it ends."""
        self._errands.add(pid)

    def let_stay(self) -> None:
        """What is there now and is a job's may stay."""
        known = self._not_ours_to_reap()
        self._staying.update(s for _, s in self._strangers() if s not in known)

    def sweep(self, child: int, forked: int, *, all_of_it: bool = True) -> None:
        """Kill what is left of the jobs of a `child` that was forked at that many ticks.

        Waits, though not for long, until it is gone; not for trackers, which have a second to
        end by themselves. Without `all_of_it` only the session of the child is swept.
        """
        self._owed = None
        children = process.children()
        if children is not None and children <= {*self._ours(), *self._errands}:
            return
        late = self._loop.clock() + SWEEP_SECONDS
        clear_by = late - SWEEP_SECONDS / 2
        refused: set[int] = set()
        while (found := self._jobs(child, forked, all_of_it)) is not None:
            now = self._loop.clock()
            left = set(found) - refused
            unclear = {pid for pid in left if now < clear_by and proc.is_starting(pid)}
            doomed = {pid for pid in left - unclear if not _is_tracker(pid, child)}
            if not doomed and not unclear:
                self._give_time(child, left)
                break
            if now >= late:
                break
            for pid in doomed:
                if not process.kill(pid, signal.SIGKILL):
                    log.warning("Process %d, left by a job, is another user's, and stays", pid)
                    refused.add(pid)
            self.reap()
            if any(proc.session_of(pid) for pid in left - refused):
                self._loop.wait(min(late, now + STARTING_SECONDS) if unclear else late)
        else:  # no process can be seen, now or on this system: that leaves its group
            self._owed = (child, forked)
            if proc.group_lives(child):
                self._give_time(child, {child})
        self.let_stay()

    def reap(self) -> None:
        """Reap what the worker has adopted, and leave exit statuses of the application's to it."""
        self._errands = {pid for pid in self._errands if process.reap(pid) is None}
        if process.dead_child() is not None:
            process.reap_strangers({*self._ours(), *kept.ids()}, self._not_ours_to_reap())

    def finish(self) -> None:
        """Wait until what has a moment to end by itself has ended."""
        while self._late:
            self._loop.wait()
            self.reap()
            for session in [s for s in self._late if not proc.group_lives(s)]:
                self._late.pop(session).cancel()

    # --- inside

    def _not_ours_to_reap(self) -> set[int]:
        return {os.getsid(0), *self._applications, *kept.ids()}

    def _strangers(self) -> Iterator[tuple[int, int]]:
        """Pids and sessions of children, but those of the worker and in its own session."""
        worker, keeping = os.getsid(0), kept.ids()
        for pid in (process.children() or set()).difference(self._ours(), self._errands, keeping):
            session = proc.session_of(pid)
            if session is not None and session != worker and session not in keeping:
                yield pid, session

    def _jobs(self, child: int, forked: int, all_of_it: bool) -> list[int] | None:
        """The pids of what is to be swept; None if nothing can be seen."""
        if process.children() is None:
            return None
        spared = self._applications | self._staying
        return [
            pid
            for pid, session in self._strangers()
            if session == child
            or (all_of_it and session not in spared and _started_since(forked, pid))
        ]

    def _give_time(self, child: int, left: Iterable[int]) -> None:
        pids = list(left)
        if not pids:
            return

        def end() -> None:
            del self._late[child]
            process.kill_group(child)
            for pid in pids:
                if proc.session_of(pid) == child:
                    process.kill(pid, signal.SIGKILL)

        self._late[child] = self._loop.after(TRACKER_SECONDS, end)


def _is_tracker(pid: int, session: int) -> bool:
    if proc.session_of(pid) != session:
        return False
    command = proc.command_of(pid)
    return any(tracker in command for tracker in TRACKERS)


def _started_since(forked: int, pid: int) -> bool:
    """What is hidden from us cannot be told apart, and was not there before."""
    started = proc.started_at(pid)
    return started is None or started >= forked


def _lives(number: int) -> bool:
    """Whether there is a process of this pid, or any in a group of this number."""
    return proc.session_of(number) is not None or proc.group_lives(number)
