"""Performs each job in a child: forks it, watches it, and sweeps up behind it."""

from __future__ import annotations

import functools
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from ..errors import signal_name
from ..failure import Backends
from ..job.hooks import worker_hooks
from ..job.limits import Limits
from ..job.progress import ProgressPage
from ..job.registry import registry
from ..job.reservation import Reservation
from ..policies.action import Action
from ..policies.outcome import NOT_STARTED, Outcome
from ..settings import Settings
from ..system import libc, proc, process, subprocess
from ..system.loop import Loop, Repeated
from ..system.oom import OomCounters
from ..system.service import Stop
from ..system.shield import Shield
from ..wire.procline import Procline
from . import report
from .forensics import describe
from .handle import LEAVE_SECONDS, ChildHandle
from .hot_pages import HotPages
from .inherited import Inherited
from .main import ChildContext, handle_failure, has_aftermath, main
from .outcome import outcome_of
from .performer import Performer
from .sweep import SWEEP_SECONDS, Sweeper

log = logging.getLogger("resque_fork")

OOM_SECONDS = 4.0  # between two looks at the counters of kills while no child runs


class ForkedPerformer(Performer):
    """Forks a child for each job, or for several."""

    def __init__(
        self, loop: Loop, settings: Settings, backends: Backends, worker_id: str, stop: Stop
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._backends = backends
        self._worker_id = worker_id
        self._stop = stop
        self._procline = Procline(settings.procline_prefix)
        self._shield = Shield()
        self._limits = Limits(settings.timeout, settings.memory, settings.cpu)
        self._oom = OomCounters()
        self._child: ChildHandle | None = None
        self._jobs_left = 0
        self._spare: ChildHandle | None = None  # forked ahead, and waits for its job
        self._robbed = False  # of the end of a child
        self._sweeper = Sweeper(loop, self._pids)
        self._inherited = Inherited(loop)
        self._hot_pages = HotPages(loop)
        self.progress = ProgressPage()
        self._was_subreaper = 0

    def open(self) -> None:
        """Get ready for the first fork, if that has not been done."""
        if not self._inherited.opened:
            self._inherited.open()
            self._loop.tasks.append(Repeated(self._loop, OOM_SECONDS, self._sample_oom))
            self._was_subreaper = libc.become_subreaper()

    def perform(
        self, reservation: Reservation, read: Callable[[Reservation], None], *, more: bool = False
    ) -> Outcome:
        """Perform one job in a child. If `more` wait, the next child is forked meanwhile."""
        self.open()
        self._stop.busy = True
        with self._shield("passing on what the last job wrote"):
            self._inherited.stderr.forget()
        try:
            child = self._child_for(reservation)
        except (OSError, MemoryError) as error:  # no process, no descriptor: not the job's fault
            self._stop.end_of_job()
            return Outcome(NOT_STARTED, error=error)
        if child is None:
            self._stop.end_of_job()
            return Outcome(NOT_STARTED)
        self._procline.forked(child.pid)
        self._enforce_declared(child, reservation)
        self._jobs_left -= 1
        if more and self._settings.fork_ahead:
            self._fork_spare()
        while True:
            if child.read and not reservation.class_name:
                reservation = reservation.told(child.read.class_name, child.read.portable)
                self._enforce_declared(child, reservation)
                read(reservation)
            elif child.end or (self._jobs_left > 0 and child.reusable):
                break
            elif child.finished:
                self._stop.end_of_job()
                break
            else:
                if child.answered and not child.leaving:
                    child.close_job_pipe()
                elif child.exiting:
                    self._allow_exit(child)
                self._loop.idle()
        outcome = self._outcome_of(child, reservation)
        if child.end:
            self._release_child(child)
        return outcome

    def stop(self) -> None:
        """Make the running child end."""
        if self._child is not None:
            self._child.stop()

    def kill_job(self) -> None:
        """JobKilled in the job, then TERM, then KILL."""
        if self._child is not None:
            self._child.kill_job()

    def say_what_holds(self) -> None:
        """Why the end of the running job may have to be waited for in vain."""
        if self._child is not None:
            self._child.say_if_halted()

    def settle_memory(self) -> None:
        """The first jobs tell which of it to pin; who performs many jobs a fork has no use."""
        pins = self._settings.pin_pages and self._settings.jobs_per_fork == 1
        self._hot_pages.settle(pins=pins, huge=self._settings.huge_pages)

    def become_idle(self) -> None:
        """An idle worker has no children, but the spare one if it is to keep that."""
        if not self._settings.keep_spare:
            self.retire_child()
            return
        self._end_child()
        if self._spare is not None and (self._spare.leaving or self._spare.end):
            self._end_spare()
        self._jobs_left = 0
        self._fork_spare()

    def retire_child(self) -> None:
        """End all children, once they have finished."""
        self._end_spare()
        self._end_child()

    def handle_failure(
        self, reservation: Reservation, error: BaseException, action: Action | None = None
    ) -> bool:
        """Hooks and backends run in a short-lived child."""
        if not has_aftermath(reservation, self._backends, action):
            return False
        self.open()
        self.retire_child()
        try:
            child = self._child = self._fork(
                lambda context: handle_failure(context, reservation, error, action),
                report.HANDLING,
            )
        except (OSError, MemoryError) as problem:
            log.error("Hooks and backends for %s cannot be run now: %s", reservation, problem)
            return False
        child.exit_within(LEAVE_SECONDS)
        while not child.end:
            self._loop.idle()
        self._release_child(child)
        return child.handled is not None and child.handled.saved

    def run_in_subprocess(self, work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        """In a short-lived child."""
        self.open()
        # which must not have the file by which those who perform a job are known
        fds = [*self._loop.fds, self._inherited.asked_stack.fd]
        return subprocess.run(self._loop, work, wait, fds, self._sweeper.note_subprocess)

    def reap(self) -> None:
        """Reap our children and adopted orphans."""
        for child in self._children():
            child.reap()
        if self._child is not None and self._child.end:
            self._stop.end_of_job()
        with self._shield("reaping what jobs have left"):
            self._sweeper.reap()

    def discard_spare(self) -> None:
        self._jobs_left = 0
        self._inherited.reopened()
        if self._spare is not None:
            self._spare.close_job_pipe()

    def close(self) -> None:
        """End whatever still runs, and let go of everything."""
        for child in self._children():
            child.kill()
            while not child.end:
                self._loop.wait(self._loop.clock() + SWEEP_SECONDS)
                child.reap()
        self._end_spare()
        if self._child is not None:
            self._release_child(self._child)
        self._hot_pages.close()
        with self._shield("sweeping behind a job"):
            self._sweeper.finish()
        if self._inherited.opened:
            with self._shield("passing on what the last job wrote"):
                self._inherited.close_streams()
            self._inherited.close()
            libc.become_subreaper(self._was_subreaper)

    # --- children

    def _pids(self) -> list[int]:
        return [child.pid for child in self._children()]

    def _children(self) -> list[ChildHandle]:
        return [child for child in (self._child, self._spare) if child is not None]

    def _end_child(self) -> None:
        """Have the present child end, if it has not, and see what it leaves behind."""
        child = self._child
        if child is None:
            return
        self._allow_exit(child)
        while not child.end:
            self._loop.idle()
        self._release_child(child)

    def _allow_exit(self, child: ChildHandle) -> None:
        """Tell the child that no job follows; if it waits for that, see first what it wrote to."""
        if child.waits and child.exiting and not child.end:
            self._hot_pages.look(child.pid)
        child.close_job_pipe()

    def _child_for(self, reservation: Reservation) -> ChildHandle | None:
        """The present child, if it can take another job, or the spare one, or a new one.

        None if the worker was told to stop while it waited for the end of the last child.
        """
        begin = report.GIVEN if reservation.payload.decoded else report.UNREAD
        child = self._child
        if child is not None:
            reusable = self._jobs_left > 0 and child.reusable
            if reusable and child.send_job(report.packed_job(reservation), begin):
                return child
            self._end_child()
            if self._stop.asked:
                return None
        self._jobs_left = self._settings.jobs_per_fork
        spare = self._spare
        if spare is not None:
            last = self._jobs_left == 1
            if spare.send_job(report.packed_job(reservation), begin, last=last):
                self._child, self._spare = spare, None
                return spare
            self._end_spare()
        with self._shield("looking for processes"):
            self._sweeper.note_present()
        self._child = self._fork(
            lambda context: main(context, reservation),
            begin,
            takes_jobs=self._jobs_left > 1,
            waits=self._hot_pages.begin_job(),
        )
        return self._child

    def _enforce_declared(self, child: ChildHandle, reservation: Reservation) -> None:
        declaration = registry.get(reservation.class_name)
        limits = declaration.limits.or_else(self._limits) if declaration else self._limits
        child.enforce_limits(limits, self._inherited.asked_stack.take)
        child.swept = child.swept and (declaration is None or declaration.sweep)

    def _fork_spare(self) -> None:
        """Fork the next child ahead of its job, if the present one takes no other.

        Skipped if there is a before_fork hook, which would run too late.
        """
        if self._spare is not None or self._jobs_left > 0 or worker_hooks.any("before_fork"):
            return
        if self._hot_pages.learning:  # from the pages that the worker shares with one child
            return
        try:
            self._spare = self._fork(main, report.WAITING, takes_jobs=True)
        except (OSError, MemoryError) as error:  # it is only for speed
            log.debug("No child could be forked ahead: %s", error)

    def _end_spare(self) -> None:
        spare = self._spare
        if spare is not None:
            spare.close_job_pipe()
            while not spare.end:
                self._loop.idle()
            spare.close()
            self._spare = None

    def _fork(
        self,
        life: Callable[[ChildContext], None],
        said: str,
        *,
        takes_jobs: bool = False,
        waits: bool = False,
    ) -> ChildHandle:
        files = self._inherited
        forked = proc.ticks()
        words, outbox = os.pipe()
        try:
            inbox, jobs = os.pipe() if takes_jobs or waits else (None, None)
        except OSError:
            process.close(words)
            process.close(outbox)
            raise
        context = ChildContext(
            parent=os.getpid(),
            worker_id=self._worker_id,
            parents_fds=[*self._loop.fds, *(fd for fd in (words, jobs) if fd is not None)],
            outbox=outbox,
            inbox=inbox,
            null=files.null,
            stdout=files.stdout.writer,
            stderr=files.stderr.writer,
            stack=files.crash_stack.fd,
            dump=files.asked_stack.fd,
            progress=self.progress,
            procline=self._procline,
            backends=self._backends,
            limits=self._limits,
            run_at_exit_hooks=self._settings.run_at_exit_hooks,
            waits=waits,
        )
        try:
            pid = process.fork(functools.partial(life, context))
        except (OSError, MemoryError):
            process.close(words)
            if jobs is not None:
                process.close(jobs)
            raise
        finally:
            process.close(outbox)
            if inbox is not None:
                process.close(inbox)
        watch = ChildHandle(self._loop, self._settings, pid, words, jobs, said)
        watch.forked = forked
        watch.waits = watch.leaving = waits
        return watch

    def _note_end(self, child: ChildHandle, status: int | None) -> None:
        """Say what is strange about the end of a child, beside what became of its job."""
        if status and child.finished:
            log.warning(
                "Child %d ended with %s when it had finished: the outcome of its job stands",
                child.pid,
                signal_name(os.WTERMSIG(status))
                if os.WIFSIGNALED(status)
                else f"status {os.waitstatus_to_exitcode(status)}",
            )
        if status is not None or self._robbed:
            return
        self._robbed = True
        log.warning(
            "How child %d ended is not known: something else in the worker's process, such "
            "as a thread with os.wait(), waits for its children. What a child says of its "
            "job counts; of one that says nothing, the cause of its death cannot be told.",
            child.pid,
        )

    def _outcome_of(self, child: ChildHandle, job: Reservation) -> Outcome:
        outcome = outcome_of(child.ending(job))
        if outcome.failure is not None and (child.end or child.exceeded):
            with self._shield("finding out why a job has failed"):
                return self._explained(child, outcome)
        return outcome

    def _explained(self, child: ChildHandle, outcome: Outcome) -> Outcome:
        stack = self._inherited.take_stack(asked=bool(child.exceeded))
        if child.end is not None and outcome.error is not None:
            oom = self._was_oom_killed(child)
            return outcome.explained(
                describe(child, child.end, stack, self._inherited.stderr.lines(), oom)
            )
        if stack:
            return outcome.explained({"stack": stack})
        return outcome

    def _sample_oom(self) -> None:
        """Refresh the out-of-memory counters while no child runs.

        So old kills are not blamed on the next child.
        """
        if self._child is None or self._child.end:
            self._oom.look()

    def _was_oom_killed(self, child: ChildHandle) -> bool:
        """Probably: by a SIGKILL that is not ours, while the kernel counted such a kill."""
        if child.end is None or child.killed:
            return False
        status = child.end.wait_status
        if status is None:
            return False
        by_kill = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        return by_kill and self._oom.look()

    def _release_child(self, child: ChildHandle) -> None:
        """Let go of a child that has ended; end what it left behind."""
        self._child = None
        if child.end is not None and child.end.wait_status != 0:
            self._note_end(child, child.end.wait_status)
        with self._shield("letting go of a job's process"):
            child.close()
            self._inherited.crash_stack.take()
            self._inherited.asked_stack.take()
        with self._shield("sweeping behind a job"):
            if child.swept or child.killed:
                self._sweeper.sweep(child.pid, child.forked, all_of_it=child.swept)
            else:
                self._sweeper.let_stay()
