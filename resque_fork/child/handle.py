"""The parent's eye on one child: its words, its end, and how it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from ..errors import signal_name
from ..job.limits import NO_LIMITS, Limits
from ..settings import Settings
from ..system import process
from ..system.loop import Loop, Timer
from ..system.process import End
from . import report

log = logging.getLogger("resque_fork")

SHORTEST_CHECK = 0.01  # seconds between two looks at the CPU clock of a child
MEMORY_CHECK = 0.1  # seconds between two at its memory, which it may fill at 2 GB a second
DUMP_SECONDS = 0.05  # to write down where it is, before it is killed: meanwhile it takes more
FIRST_LOOK, LAST_LOOK = 0.01, 10.0  # seconds between looks for the end of a child without a pipe
LEAVE_SECONDS = 10.0  # for hooks, backends and flushing, once the child has said its word


class Watch:
    """One child from its fork to its end.

    `word` is its last word about the present job, `settled` what it said after
    a failure, `told` the class of a payload that it has read for us and whether that is
    portable; `broken` is what is wrong with what it sent. `end` is how it ended, None
    while it lives. `said` is where in `report.FOLLOWS` it begins.
    """

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        pid: int,
        words: int,
        jobs: int | None,
        said: str = report.GIVEN,
    ) -> None:
        self.pid = pid
        self.word: dict[str, Any] | None = None
        self.settled: dict[str, Any] | None = None
        self.told: tuple[str, bool] | None = None
        self.broken = ""
        self._said = said
        self.end: End | None = None
        self.stopped = False  # we asked it to stop
        self.sent_term = False  # its job was still running then
        self.killed_after_grace = False
        self.killed_outright = False  # without a TERM before it
        self.over = ""  # the limit that its job went over, in words
        self.steps: list[str] = []  # what was done about that
        self.leaving = jobs is None  # it has been told, or knows, that no job follows
        self.swept = True  # what it leaves behind is ended; not if one of its jobs said otherwise
        self.forked = 0  # when, in clock ticks since the boot
        self.dawdled = False  # we killed it because it did not leave
        self.started = time.monotonic()  # of the present job
        self.used_before = [0, 0]  # user and system CPU, in ms, of the jobs before it
        self.rss_before = 0  # KiB at its start; 0 if it is the first
        self._loop = loop
        self._settings = settings
        self._jobs = jobs
        self._inbox = report.Inbox(words)
        os.set_blocking(words, False)
        if jobs is not None:
            os.set_blocking(jobs, False)
        self._unsent = memoryview(b"")
        self._timer: Timer | None = None
        self._end_timer: Timer | None = None
        self._limits = NO_LIMITS  # of the present job
        self._limit_timers: dict[str, Timer] = {}
        self._before_dump: Callable[[], object] = lambda: None
        self._halted = False  # it has been stopped, as by SIGSTOP, and does nothing
        self._said_halted = False  # and that has been said, in its present job
        self._to_act = False  # it has been sent what it is to act on
        loop.watch(words, self._read)

    @property
    def killed(self) -> bool:
        """Whether it was we who sent it KILL."""
        return (
            self.killed_after_grace or self.dawdled or "KILL" in self.steps or self.killed_outright
        )

    @property
    def ended(self) -> bool:
        return self.end is not None

    @property
    def answered(self) -> bool:
        """Whether all has been said about the present job."""
        if self.word is None:
            return False
        return self.word["word"] != "failed" or self.word["final"] or self.settled is not None

    @property
    def reusable(self) -> bool:
        """Whether the child waits for another job."""
        if self._jobs is None or self.ended or self.stopped or self.word is None or self.broken:
            return False
        return self.answered and not self.word.get("leaving")

    @property
    def rss_growth(self) -> int:
        """KiB by which it had grown at most in its last job, now that it has ended."""
        most = self.end.max_rss if self.end else 0
        return max(0, most - (self.rss_before or process.rss_kib()))

    @property
    def near_limit(self) -> str:
        """The limit of memory that its last job was close to when it ended, in words."""
        if self.end is None or self._limits.memory is None:
            return ""
        return self._limits.near_memory(self.rss_growth * 1024)

    def hold_to(self, limits: Limits, before_dump: Callable[[], object] = lambda: None) -> None:
        """From now on, until it has said its word, the child may use so much.

        `before_dump` is called when it is over a limit, before it is asked for its stack.
        """
        self._before_dump = before_dump
        self._limits = limits
        self._cancel_limits()
        if self.word is not None or self.ended:
            return
        if limits.timeout is not None:
            due = self._loop.after(limits.timeout, lambda: self._go_over(limits.out_of_time()))
            self._limit_timers["timeout"] = due
        if limits.cpu is not None:
            used = process.cpu_seconds(self.pid) or 0.0
            self._check_cpu(used + limits.cpu, limits.out_of_cpu())
        if limits.memory is not None:
            # A first job inherits what we have, and may have added to it already.
            before = process.own_memory_kib(self.pid if self.rss_before else "self")
            if before is not None:
                self._check_memory_later(before + limits.memory // 1024)

    def send_job(self, message: bytes, said: str = report.GIVEN, *, last: bool = False) -> bool:
        """Hand the child its next job, or its `last`; False if it is not there to take it.

        `said` is where in `report.FOLLOWS` it begins with it.
        """
        if self._jobs is None or self.ended:
            return False
        before, self.word, self.settled, self.told = self.word, None, None, None
        self._said = said
        self.over, self.steps = "", []
        self._said_halted = self._to_act = False
        self.started = time.monotonic()
        self.leaving = last
        self._unsent = memoryview(report.framed(message))
        taken = self._send_rest()
        if before is not None:  # the child should not have to wait for this
            self.used_before[0] += before["used"]["user_ms"]
            self.used_before[1] += before["used"]["system_ms"]
            self.rss_before = process.rss_kib(self.pid)
        return taken

    def dismiss(self) -> None:
        """There is no further job: let the child leave, and see to it that it does."""
        if self.leaving or self.ended:
            return
        self._close_jobs()
        self.leaving = True
        self.leave_by(LEAVE_SECONDS)

    def stop(self) -> None:
        """Make the child end: after pre_shutdown_timeout TERM, after term_timeout KILL."""
        if self.stopped or self.ended:
            return
        self.stopped = True
        if self.answered:
            self.dismiss()
        elif self._settings.pre_shutdown_timeout > 0:
            self._after(self._settings.pre_shutdown_timeout, self._term)
        else:
            self._term()

    def kill(self) -> None:
        """End it at once, unless it is gone. What it leaves behind is the sweep's business."""
        if not self.ended and process.is_ours(self.pid):
            process.kill(self.pid, signal.SIGKILL)

    def leave_by(self, seconds: float) -> None:
        """Kill the child if it has not ended by itself by then."""

        def too_late() -> None:
            self.dawdled = True
            self.kill()

        self._after(seconds, too_late)

    def reap(self) -> None:
        """See whether the child has ended, and if so, hear what it still said."""
        if self.end is None:
            self.end = process.reap(self.pid)
            if self.end is None:
                self._see_whether_halted()
                return
            self._cancel()
            if self._end_timer is not None:
                self._end_timer.cancel()
            if not self._inbox.closed:
                self._read()
            if self._inbox.partial and self.word and self.word["word"] in report.DONE:
                self.broken = self.broken or "the beginning of a message after its last word"

    def say_if_halted(self) -> None:
        """While somebody waits for its end: that it has been stopped, as by SIGSTOP."""
        if self._halted and not self.ended:
            log.warning(
                "The worker waits for child %d, which was stopped: kill -CONT %d lets it go on, "
                "TERM to the worker ends it",
                self.pid,
                self.pid,
            )

    @property
    def fds(self) -> list[int]:
        """The pipes, which another child of the parent's must let go of."""
        return [self._inbox.fd] if self._jobs is None else [self._inbox.fd, self._jobs]

    def close(self) -> None:
        """Let go of the pipes of a child that has ended."""
        self._cancel()
        self._loop.forget(self._inbox.fd)
        process.close(self._inbox.fd)
        self._close_jobs()

    # --- inside

    def _see_whether_halted(self) -> None:
        number = process.stopped_by(self.pid)
        if number is None:
            return
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
        if self.ended or not process.is_ours(self.pid):
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
                self._unsent = self._unsent[os.write(self._jobs, self._unsent) :]
        except BlockingIOError:
            self._loop.watch_writable(self._jobs, self._send_rest)
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
            process.close(self._jobs)
            self._jobs = None

    def _read(self) -> None:
        heard = False
        try:
            for message in self._inbox.read():
                heard = self._hear(report.read_word(message)) or heard
        except report.BrokenReport as problem:
            log.error("Child %d sent something that is no report: %s", self.pid, problem)
            self.broken = str(problem)
            if not self.ended:
                self.kill()
            self._loop.forget(self._inbox.fd)
            return
        if self._inbox.closed:
            self._loop.forget(self._inbox.fd)
            self._look_for_end(FIRST_LOOK)
        if heard and not self.ended:
            self._heard()

    def _hear(self, word: dict[str, Any]) -> bool:
        """Take in one word; whether it is about what became of the job."""
        self._said = report.follow(self._said, word)
        if word["word"] == "read":
            self.told = word["class"], word["portable"]
            return False
        if word["word"] == "settled":
            self.settled = word
        else:
            self.word = word
        return True

    def _look_for_end(self, pause: float) -> None:
        """In a while: SIGCHLD tells of it before, unless the application has taken that."""
        if self._end_timer is not None:
            self.reap()
        if not self.ended:
            again = min(2 * pause, LAST_LOOK)
            self._end_timer = self._loop.after(pause, lambda: self._look_for_end(again))

    def _heard(self) -> None:
        """After its word a child has so long to settle, and to leave if it is to."""
        self._cancel()
        if self.leaving or not self.answered:
            self.leave_by(LEAVE_SECONDS)

    def _check_cpu(self, most: float, words: str) -> None:
        """See whether the CPU time is used up, and if not, when that can be at the earliest."""
        used = process.cpu_seconds(self.pid)
        if used is None:
            return
        if used >= most:
            self._go_over(words)
            return
        earliest = max(SHORTEST_CHECK, (most - used) / (os.cpu_count() or 1))
        check = self._loop.after(earliest, lambda: self._check_cpu(most, words))
        self._limit_timers["cpu"] = check

    def _check_memory_later(self, most: int) -> None:
        check = self._loop.after(MEMORY_CHECK, lambda: self._check_memory(most))
        self._limit_timers["memory"] = check

    def _check_memory(self, most: int) -> None:
        """See whether there are more than so many KiB; there can be at any moment."""
        used = process.own_memory_kib(self.pid)
        if used is None or used <= most:  # None: it is dead, or there is no descriptor to look
            self._check_memory_later(most)
            return
        log.warning("Child %d: %s", self.pid, self._limits.out_of_memory())
        self._before_dump()
        self._send(process.DUMP_SIGNAL)
        self._limit_timers["memory"] = self._loop.after(DUMP_SECONDS, self._kill_over_memory)

    def _kill_over_memory(self) -> None:
        """No JobTimeout and no TERM before it: the job would go on taking memory."""
        if not self.killed:  # for something else, of which so large a process dies slowly
            self._cancel()
            self.over = self.over or self._limits.out_of_memory()
            self._kill_over()

    def _go_over(self, words: str) -> None:
        """A limit is exceeded: JobTimeout in the job, then TERM, then KILL."""
        if self.stopped or self.over or self.ended:
            return
        log.warning("Child %d: %s", self.pid, words)
        self.over, self.steps = words, ["JobTimeout"]
        self._before_dump()
        self._send(process.DUMP_SIGNAL)
        self._send(process.LIMIT_SIGNAL)
        self._after(self._settings.term_timeout, self._term_over)

    def _term_over(self) -> None:
        self.steps.append("TERM")
        self._send(signal.SIGTERM)
        self._after(self._settings.term_timeout, self._kill_over)

    def _kill_over(self) -> None:
        self.steps.append("KILL")
        self.kill()

    def _term(self) -> None:
        if not self._settings.term_child:
            self.killed_outright = True
            self.kill()
            return
        log.debug("Sending TERM signal to child %d", self.pid)
        self.sent_term = True
        self._send(signal.SIGTERM)
        self._after(self._settings.term_timeout, self._kill)

    def _kill(self) -> None:
        log.debug("Sending KILL signal to child %d", self.pid)
        self.killed_after_grace = True
        self.kill()

    def _after(self, seconds: float, action: Any) -> None:
        self._cancel()
        self._timer = self._loop.after(seconds, action)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.word is not None or self.ended:
            self._cancel_limits()

    def _cancel_limits(self) -> None:
        for timer in self._limit_timers.values():
            timer.cancel()
        self._limit_timers.clear()
