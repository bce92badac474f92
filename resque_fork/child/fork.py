"""Performs each job in a child: forks it, watches it, and sweeps up behind it."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from ..failure import Backends
from ..job.hooks import worker_hooks
from ..job.limits import NO_LIMITS, Limits
from ..job.registry import registry
from ..job.reservation import Reservation
from ..policies.outcome import NOT_STARTED, Outcome
from ..settings import Settings
from ..system import errand, process
from ..system.loop import Loop
from ..system.oom import OomCounters
from ..system.shield import Shield
from ..system.streams import Stream
from ..wire.procline import Procline
from . import report
from .forensics import CRASH, STACKS, StackFile, StderrTail, describe
from .handle import LEAVE_SECONDS, ChildHandle
from .main import ChildContext, handle_failure, has_aftermath, job_message, main
from .outcome import outcome_of
from .sweep import SWEEP_SECONDS, Sweeper

log = logging.getLogger("resque_fork")


class ForkedPerformer:
    """`wait` lets the loop go on once; `fds` are what a child must not keep of the worker's.

    What happens in `shield` does not harm a job.
    """

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        backends: Backends,
        worker_id: str,
        procline: Procline,
        wait: Callable[[], None],
        fds: Callable[[], list[int]],
        shield: Shield,
    ) -> None:
        self.idle_since = loop.clock()
        self._loop = loop
        self._settings = settings
        self._backends = backends
        self._worker_id = worker_id
        self._procline = procline
        self._wait = wait
        self._fds_of_worker = fds
        self._shield = shield
        self._limits = Limits(settings.timeout, settings.memory, settings.cpu)
        self._null = os.open(os.devnull, os.O_RDONLY)
        self._stdout = Stream(loop, 1, "stdout")
        self._tail = StderrTail(loop)
        self._stack = StackFile(CRASH)  # written when a child crashes
        self._dump = StackFile(STACKS)  # written when it is asked where it is
        self._oom = OomCounters()
        faulthandler.register(process.DUMP_SIGNAL, self._dump.fd, all_threads=True)
        self._child: ChildHandle | None = None
        self._jobs_left = 0
        self._spare: ChildHandle | None = None  # forked ahead, and waits for its job
        self._robbed = False  # of the end of a child
        self._sweeper = Sweeper(loop, lambda: [child.pid for child in self._children()])
        process.adopt_orphans()

    @property
    def busy(self) -> bool:
        """Whether a child lives."""
        return self._child is not None and not self._child.ended

    def perform(
        self, reservation: Reservation, told: Callable[[Reservation], None], *, more: bool = False
    ) -> Outcome:
        """Perform one job in a child, and wait until all has been said about it.

        If `more` are waiting, the next child is forked while this one is at work. Once the
        child has read a payload that was too large for us, `told` gets the job.
        """
        with self._shield("passing on what the last job wrote"):
            self._stdout.start()
            self._tail.start()
        try:
            child = self._child_for(reservation)
        except (OSError, MemoryError) as error:  # no process, no descriptor: not the job's fault
            return Outcome(NOT_STARTED, error=error)
        self._procline.forked(child.pid)
        self._enforce_declared(child, reservation)
        self._jobs_left -= 1
        if more:
            self._fork_spare()
        while True:
            if child.read and not reservation.class_name:
                reservation = reservation.told(child.read.class_name, child.read.portable)
                self._enforce_declared(child, reservation)
                told(reservation)
            elif child.ended or (child.reusable and self._jobs_left > 0):
                break
            else:
                if child.answered and not child.leaving:
                    child.close_job_pipe()
                self._wait()
        outcome = self._outcome_of(child, reservation)
        if child.ended:
            self._release_child(child)
        return outcome

    def stop(self) -> None:
        """Make the running child end."""
        if self._child is not None:
            self._child.stop()

    def say_what_holds(self) -> None:
        """Why the end of the running job may have to be waited for in vain."""
        if self._child is not None:
            self._child.say_if_halted()

    def rest(self) -> None:
        """There is no job for the moment: an idle worker has no children."""
        self._end_spare()
        child = self._child
        if child is None:
            return
        child.close_job_pipe()
        while not child.ended:
            self._wait()
        self._release_child(child)

    def handle_failure(self, reservation: Reservation, error: BaseException) -> bool:
        """Have on_failure hooks and other backends run for a job that cannot run them itself.

        They run in a short-lived child. Whether all backends took the failure.
        """
        if not has_aftermath(reservation, self._backends):
            return False
        self.rest()
        try:
            child = self._child = self._fork(
                lambda context: handle_failure(context, reservation, error), report.HANDLING
            )
        except (OSError, MemoryError) as problem:
            log.error("Hooks and backends for %s cannot be run now: %s", reservation, problem)
            return False
        child.exit_within(LEAVE_SECONDS)
        while not child.ended:
            self._wait()
        self._release_child(child)
        return child.handled is not None and child.handled.saved

    def apart(self, work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        """Have a short-lived child do work that may block; `wait` is called until it is done."""
        fds = [*self._parents_fds(), self._dump.fd]  # by that one is known who performs a job
        return errand.run(self._loop, work, wait, fds, self._sweeper.note_errand)

    def look_around(self) -> None:
        """From time to time, when no child runs: what happens to others is not its doing."""
        if not self.busy:
            self._oom.look()

    def reap(self) -> None:
        """A child of ours has ended, or one that we did not know we had."""
        for child in self._children():
            child.reap()
        if self._child is not None and self._child.ended:
            self.idle_since = self._loop.clock()
        with self._shield("reaping what jobs have left"):
            self._sweeper.reap()

    def refresh(self) -> None:
        """Something of ours is new, such as a log file: no child of before takes a job."""
        self._jobs_left = 0
        for stream in (self._stdout, self._tail):
            stream.reopened()
        if self._spare is not None:
            self._spare.close_job_pipe()

    def close(self) -> None:
        """End whatever still runs, and let go of everything."""
        for child in self._children():
            child.kill()
            while not child.ended:
                self._loop.wait(self._loop.clock() + SWEEP_SECONDS)
                child.reap()
        self._end_spare()
        if self._child is not None:
            self._release_child(self._child)
        with self._shield("sweeping behind a job"):
            self._sweeper.finish()
        with self._shield("passing on what the last job wrote"):
            self._stdout.close()
            self._tail.close()
        faulthandler.unregister(process.DUMP_SIGNAL)
        self._stack.close()
        self._dump.close()
        process.close(self._null)

    # --- children

    def _children(self) -> list[ChildHandle]:
        return [child for child in (self._child, self._spare) if child is not None]

    def _child_for(self, reservation: Reservation) -> ChildHandle:
        """The present child, if it can take another job, or the spare one, or a new one."""
        child = self._child
        if child is not None:
            reusable = child.reusable and self._jobs_left > 0
            if reusable and child.send_job(job_message(reservation), _begin(reservation)):
                return child
            self.rest()
        self._jobs_left = self._settings.jobs_per_fork
        spare = self._spare
        if spare is not None:
            last = self._jobs_left == 1
            if spare.send_job(job_message(reservation), _begin(reservation), last=last):
                self._child, self._spare = spare, None
                return spare
            self._end_spare()
        with self._shield("looking for processes"):
            self._sweeper.note_present()
        self._child = self._fork(
            lambda context: main(context, reservation),
            _begin(reservation),
            takes_jobs=self._jobs_left > 1,
        )
        return self._child

    def _enforce_declared(self, child: ChildHandle, reservation: Reservation) -> None:
        child.enforce_limits(_limits_of(reservation).or_else(self._limits), self._dump.take)
        child.swept = child.swept and _is_swept(reservation)

    def _fork_spare(self) -> None:
        """Fork the next child ahead of its job, unless it could not be told from one forked then.

        Only while a job runs and more are waiting, after that job's child.
        """
        wanted = self._settings.fork_ahead and self._jobs_left == 0
        if not wanted or self._spare is not None or worker_hooks.any("before_fork"):
            return
        try:
            self._spare = self._fork(main, report.WAITING, takes_jobs=True)
        except (OSError, MemoryError) as error:  # it is only for speed
            log.debug("No child could be forked ahead: %s", error)

    def _end_spare(self) -> None:
        spare = self._spare
        if spare is not None:
            spare.close_job_pipe()
            while not spare.ended:
                self._wait()
            spare.close()
            self._spare = None

    def _fork(
        self, life: Callable[[ChildContext], None], said: str, *, takes_jobs: bool = False
    ) -> ChildHandle:
        forked = process.ticks()
        words, outbox = os.pipe()
        try:
            inbox, jobs = os.pipe() if takes_jobs else (None, None)
        except OSError:
            process.close(words)
            process.close(outbox)
            raise
        context = ChildContext(
            parent=os.getpid(),
            worker_id=self._worker_id,
            parents_fds=self._parents_fds(words, jobs),
            outbox=outbox,
            inbox=inbox,
            null=self._null,
            stdout=self._stdout.writer,
            stderr=self._tail.writer,
            stack=self._stack.fd,
            dump=self._dump.fd,
            procline=self._procline,
            backends=self._backends,
            limits=self._limits,
            run_at_exit_hooks=self._settings.run_at_exit_hooks,
        )
        try:
            pid = process.fork(lambda: life(context))
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
        return watch

    def _parents_fds(self, *new: int | None) -> list[int]:
        """All that is the parent's alone, and that a child must not keep."""
        fds = [*self._fds_of_worker(), *self._stdout.fds, *self._tail.fds]
        for child in self._children():
            fds += child.fds
        return fds + [fd for fd in new if fd is not None]

    def _wonder_at(self, child: ChildHandle) -> None:
        """Say once that how our children end is not to be known."""
        if child.end is not None and child.end.wait_status is None and not self._robbed:
            self._robbed = True
            log.warning(
                "How child %d ended is not known: something else in the worker's process, such "
                "as a thread with os.wait(), waits for its children. What a child says of its "
                "job counts; of one that says nothing, the cause of its death cannot be told.",
                child.pid,
            )

    def _outcome_of(self, child: ChildHandle, job: Reservation) -> Outcome:
        self._wonder_at(child)
        outcome = outcome_of(child.ending(job))
        if child.ended or child.exceeded:  # else it lives, and there is nothing to explain
            with self._shield("finding out why a job has failed"):
                return self._explained(child, outcome)
        return outcome

    def _explained(self, child: ChildHandle, outcome: Outcome) -> Outcome:
        stack = self._stack.take() or (self._dump.take() if child.exceeded else [])
        if outcome.failure is not None and child.end is not None and outcome.error is not None:
            oom = self._was_oom_killed(child)
            return outcome.explained(describe(child, child.end, stack, self._tail.lines(), oom))
        if stack:
            return outcome.explained({"stack": stack})
        return outcome

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
        with self._shield("letting go of a job's process"):
            child.close()
            self._stack.take()
            self._dump.take()
        with self._shield("sweeping behind a job"):
            if child.swept or child.killed:
                self._sweeper.sweep(child.pid, child.forked, all_of_it=child.swept)
            else:
                self._sweeper.let_stay()


def _begin(reservation: Reservation) -> str:
    """Where a child begins to speak of this job."""
    return report.GIVEN if reservation.payload.decoded else report.UNREAD


def _limits_of(reservation: Reservation) -> Limits:
    declaration = registry.get(reservation.class_name)
    return declaration.limits if declaration else NO_LIMITS


def _is_swept(reservation: Reservation) -> bool:
    declaration = registry.get(reservation.class_name)
    return declaration is None or declaration.sweep
