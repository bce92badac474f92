"""The parent's hold on one child: its reports, its end, and the signals that end it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence

from ..errors import JobKilled, signal_name
from ..job.limits import NO_LIMITS, Limits
from ..settings import Settings
from ..system import proc, process
from ..system.loop import WRITABLE, Loop, Timer
from ..system.process import End, Halt
from . import report
from .limit_watch import LimitWatch
from .outcome import ChildEnd
from .report import Done, Exiting, Failed, Handled, Read, Report

log = logging.getLogger("resque_fork")

# Grace for faulthandler to write the stack; short, because the job goes on allocating.
DUMP_SECONDS = 0.05
FIRST_LOOK, LAST_LOOK = 0.01, 10.0  # seconds between looks for the end of a child without a pipe
WAIT_SECONDS = 1.0  # that a child waits to be let go
LEAVE_SECONDS = 10.0  # for hooks, backends and flushing, once the child has reported


# Why a child is sent signals: it is to stop, its job exceeds a limit, or it does not exit.
STOP, LIMIT, LATE = "stop", "limit", "late"

# Names of signals, each with the seconds to wait before it is sent.
Escalation = Sequence[tuple[float, str]]

# Those that raise the exception of their name in a job, and TERM; a KILL is sent otherwise.
SIGNALS = {
    "JobTimeout": process.LIMIT_SIGNAL,
    "JobKilled": process.KILL_SIGNAL,
    "TERM": int(signal.SIGTERM),
}


class ChildHandle:
    """One child from its fork to its end.

    `report` is what it has reported of the present job, `handled` what followed a failure,
    `read` what it has read of a payload that was too large for us; `broken` is what is wrong
    with what it sent. `end` is how it ended, None while it lives. `said` is where in
    `report.FOLLOWS` it begins. `signals_sent` are names of signals, by why they were sent.
    """

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        pid: int,
        reports: int,
        jobs: int | None,
        said: str = report.GIVEN,
    ) -> None:
        self.pid = pid
        self.report: Done | Failed | None = None
        self.handled: Handled | None = None
        self.read: Read | None = None
        self.answered = False  # all has been said about the present job
        self.exiting = False  # it has said that nothing is left but to exit
        self.finished = False  # likewise, and its exit is neither waited for nor counts
        self.broken = ""
        self._said = said
        self.end: End | None = None
        self.stopped = False  # we asked it to stop
        self.exceeded = ""  # in words: the limit that its present job exceeds, or that it is killed
        self.signals_sent: dict[str, list[str]] = {STOP: [], LIMIT: [], LATE: []}
        self.killed = False  # by us
        self.waits = False  # before it exits, until it is let go
        self.leaving = jobs is None  # it has been told, or knows, that no job follows
        self.swept = True  # what it leaves behind is ended; not if one of its jobs said otherwise
        self.forked = 0  # when, in clock ticks since the boot
        self.started = time.monotonic()  # of the present job
        self.used_before = [0, 0]  # user and system CPU, in ms, of the jobs before it
        self.rss_before = 0  # KiB at its start; 0 if it is the first
        self._loop = loop
        self._settings = settings
        self._jobs = jobs
        self._inbox = report.Inbox(reports)
        os.set_blocking(reports, False)
        if jobs is not None:
            os.set_blocking(jobs, False)
        self._unsent = memoryview(b"")
        self._timer: Timer | None = None  # of the next signal
        self._end_timer: Timer | None = None
        self._limits = NO_LIMITS  # of the present job
        self._limit_watch: LimitWatch | None = None
        self._before_dump: Callable[[], object] = lambda: None
        self._halted = False  # it has been stopped, as by SIGSTOP, and does nothing
        self._said_halted = False  # and that has been said, in its present job
        self._to_act = False  # it has been sent what it is to act on
        loop.watch(reports, self._read)
        loop.fds.add(reports)
        if jobs is not None:
            loop.fds.add(jobs)

    @property
    def reusable(self) -> bool:
        """Whether the child waits for another job."""
        if self._jobs is None or self.end or self.stopped or self.broken:
            return False
        return self.answered and not (isinstance(self.report, Failed) and self.report.leaving)

    @property
    def rss_growth(self) -> int:
        """KiB by which it had grown at most in its last job, now that it has ended."""
        most = self.end.max_rss if self.end else 0
        return max(0, most - (self.rss_before or proc.rss_kib()))

    def enforce_limits(
        self, limits: Limits, before_dump: Callable[[], object] = lambda: None
    ) -> None:
        """From now on, until it has reported, the child may use so much.

        `before_dump` is called when it exceeds a limit, before it is asked for its stack.
        """
        self._before_dump = before_dump
        self._limits = limits
        self._stop_limit_watch()
        if limits != NO_LIMITS and self.report is None and not self.end:
            grown = bool(self.rss_before)
            self._limit_watch = LimitWatch(
                self._loop, self.pid, limits, self._exceed, self._over_memory, grown=grown
            )

    def send_job(self, message: bytes, said: str = report.GIVEN, *, last: bool = False) -> bool:
        """Hand the child its next job, or its `last`; False if it is not there to take it.

        `said` is where in `report.FOLLOWS` it begins with it.
        """
        if self._jobs is None or self.end:
            return False
        before, self.report, self.handled, self.read = self.report, None, None, None
        self._said, self.answered = said, False
        self.exceeded, self.signals_sent[LIMIT] = "", []
        self._said_halted = self._to_act = False
        self.started = time.monotonic()
        self.leaving = last
        self._unsent = memoryview(report.framed(message))
        taken = self._send_rest()
        if before is not None:  # the child should not have to wait for this
            self.used_before[0] += before.used["user_ms"]
            self.used_before[1] += before.used["system_ms"]
            self.rss_before = proc.rss_kib(self.pid)
        return taken

    def close_job_pipe(self) -> None:
        """There is no further job: let the child leave, and see to it that it does."""
        if self.end or (self.leaving and not self.waits):
            return
        self._close_jobs()
        self.leaving, self.waits = True, False
        self.exit_within(LEAVE_SECONDS)

    def stop(self) -> None:
        """Make the child end: after pre_shutdown_timeout TERM, after term_timeout KILL."""
        if self.stopped or self.end:
            return
        self.stopped = True
        settings, wait = self._settings, self._settings.pre_shutdown_timeout
        if self.answered:
            self.close_job_pipe()
        elif settings.term_child:
            self._escalate(STOP, [(wait, "TERM"), (settings.term_timeout, "KILL")])
        else:
            self._escalate(STOP, [(wait, "KILL")])

    def kill_job(self) -> None:
        """End its job now: JobKilled in the job, then TERM, then KILL."""
        if self.stopped or self.exceeded or self.end or self.report is not None:
            return
        self.exceeded = str(JobKilled())
        log.warning("Child %d: its job is killed on request", self.pid)
        grace = self._settings.term_timeout
        self._escalate(LIMIT, [(0, "JobKilled"), (grace, "TERM"), (grace, "KILL")])

    def kill(self) -> None:
        """End it at once, unless it is gone. What it leaves behind is the sweep's business."""
        if not self.end and process.is_ours(self.pid):
            process.kill(self.pid, signal.SIGKILL)

    def exit_within(self, seconds: float) -> None:
        """Kill the child if it has not ended by itself by then."""
        self._escalate(LATE, [(seconds, "KILL")])

    def reap(self) -> None:
        """See whether the child has ended, and if so, hear what it still said."""
        change = process.change_of(self.pid) if self.end is None else None
        if isinstance(change, Halt):
            self._note_halt(change.by)
        elif change is not None:
            self.end = change
            self._cancel()
            if self._end_timer is not None:
                self._end_timer.cancel()
            if not self._inbox.closed:
                self._read()
            if self._inbox.rest and isinstance(self.report, Done):
                self.broken = self.broken or "the beginning of a message after its last word"

    def ending(self, job: object) -> ChildEnd:
        """How it ended its present job: all that the outcome goes by."""
        return ChildEnd(
            pid=self.pid,
            job=job,
            report=self.report,
            handled=self.handled,
            wait_status=self.end.wait_status if self.end and not self.finished else 0,
            stopped=self.stopped,
            stop_signals=tuple(self.signals_sent[STOP]),
            term_child=self._settings.term_child,
            term_timeout=self._settings.term_timeout,
            exceeded=self.exceeded,
            limit_signals=tuple(self.signals_sent[LIMIT]),
            killed=self.killed,
            near_limit=self._near_limit() if self.end else "",
            broken=self.broken,
        )

    def say_if_halted(self) -> None:
        """While somebody waits for its end: that it has been stopped, as by SIGSTOP."""
        if self._halted and not self.end:
            log.warning(
                "The worker waits for child %d, which was stopped: kill -CONT %d lets it go on, "
                "TERM to the worker ends it",
                self.pid,
                self.pid,
            )

    def close(self) -> None:
        """Let go of the pipes of a child that has ended."""
        self._cancel()
        self._loop.forget(self._inbox.fd)
        self._loop.fds.discard(self._inbox.fd)
        process.close(self._inbox.fd)
        self._close_jobs()

    # --- inside

    def _near_limit(self) -> str:
        """The limit of memory that its last job was close to when it ended, in words."""
        if self._limits.memory is None:
            return ""
        return self._limits.near_memory(self.rss_growth * 1024)

    def _note_halt(self, number: int) -> None:
        self._halted = number != 0
        if self._halted and self._to_act:
            process.kill(self.pid, signal.SIGCONT)
        if self._said_halted or not self._halted:
            return
        self._said_halted = True
        log.warning(
            "Child %d was stopped by %s and does nothing until it gets SIGCONT (kill -CONT %d); "
            "its limits hold meanwhile",
            self.pid,
            signal_name(number),
            self.pid,
        )

    def _send(self, number: int) -> None:
        """A signal that it is to act on, which it cannot while it is stopped."""
        if self.end or not process.is_ours(self.pid):
            return
        self._to_act = True
        process.kill(self.pid, number)
        if self._halted:
            process.kill(self.pid, signal.SIGCONT)

    def _send_rest(self) -> bool:
        """Send what the pipe takes of a job, and the rest when it takes more."""
        if self._jobs is None:
            return True
        try:
            while self._unsent:
                self._unsent = self._unsent[process.write(self._jobs, self._unsent) :]
        except BlockingIOError:
            self._loop.watch(self._jobs, self._send_rest, WRITABLE)
            return True
        except OSError:  # nobody reads it: the child is gone, and its end will be heard of
            self._close_jobs()
            return False
        if self.leaving:
            self._close_jobs()
        else:
            self._loop.forget(self._jobs)
        return True

    def _close_jobs(self) -> None:
        if self._jobs is not None:
            self._loop.forget(self._jobs)
            self._loop.fds.discard(self._jobs)
            process.close(self._jobs)
            self._jobs = None

    def _read(self) -> None:
        heard = False
        try:
            for message in self._inbox.read():
                heard = self._hear(report.parse(message)) or heard
        except report.BrokenReport as problem:
            log.error("Child %d sent something that is no report: %s", self.pid, problem)
            self.broken = str(problem)
            if not self.end:
                self.kill()
            self._loop.forget(self._inbox.fd)
            return
        if self._inbox.closed:
            self._loop.forget(self._inbox.fd)
            self._look_for_end(FIRST_LOOK)
        if heard and not self.end:
            self._heard()

    def _hear(self, message: Report) -> bool:
        """Take in one report; whether the child has a new deadline from now on."""
        self._said = report.follow(self._said, message)
        if isinstance(message, Read):
            self.read = message
            return False
        self.answered = not isinstance(message, Failed) or message.final
        if isinstance(message, Exiting):
            self.exiting, self.finished = True, self._settings.overlap
        elif isinstance(message, Handled):
            self.handled = message
        else:
            self.report = message
        return True

    def _look_for_end(self, pause: float) -> None:
        """In a while: SIGCHLD tells of it before, unless the application has taken that."""
        if self._end_timer is not None:
            self.reap()
        if not self.end:
            again = min(2 * pause, LAST_LOOK)
            self._end_timer = self._loop.after(pause, lambda: self._look_for_end(again))

    def _heard(self) -> None:
        """After its report a child has so long to handle a failure, and to leave if it is to."""
        self._cancel()
        if self.waits and self.exiting:
            self._timer = self._loop.after(WAIT_SECONDS, self.close_job_pipe)
        elif self.leaving or not self.answered:
            self.exit_within(LEAVE_SECONDS)

    def _over_memory(self) -> None:
        log.warning("Child %d: %s", self.pid, self._limits.out_of_memory())
        self._before_dump()
        self._send(process.DUMP_SIGNAL)
        if self._limit_watch is not None:
            self._limit_watch.after_memory(DUMP_SECONDS, self._kill_over_memory)

    def _kill_over_memory(self) -> None:
        """Send neither JobTimeout nor TERM first: the job would go on allocating."""
        if not self.killed:  # for another reason: a large process takes time to die
            self.exceeded = self.exceeded or self._limits.out_of_memory()
            self._escalate(LIMIT, [(0, "KILL")])

    def _exceed(self, words: str) -> None:
        """A limit is exceeded: JobTimeout in the job, then TERM, then KILL."""
        if self.stopped or self.exceeded or self.end:
            return
        log.warning("Child %d: %s", self.pid, words)
        self.exceeded = words
        self._before_dump()
        self._send(process.DUMP_SIGNAL)
        grace = self._settings.term_timeout
        # JobTimeout once the stack is written: a system call that is interrupted for that is begun
        # again after it, and a job that waits there would not hear of what came meanwhile.
        self._escalate(LIMIT, [(DUMP_SECONDS, "JobTimeout"), (grace, "TERM"), (grace, "KILL")])

    def _escalate(self, why: str, steps: Escalation) -> None:
        """Send signals, one after the other, until the child has ended or something else is due."""
        self._cancel()
        if not steps:
            return
        (seconds, name), *others = steps

        def send() -> None:
            log.debug("Sending %s signal to child %d", name, self.pid)
            self.signals_sent[why].append(name)
            if name == "KILL":
                self.killed = True
                self.kill()
            else:
                self._send(SIGNALS[name])
            self._escalate(why, others)

        if seconds > 0:
            self._timer = self._loop.after(seconds, send)
        else:
            send()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.report is not None or self.end:
            self._stop_limit_watch()

    def _stop_limit_watch(self) -> None:
        if self._limit_watch is not None:
            self._limit_watch.stop()
            self._limit_watch = None
