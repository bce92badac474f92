"""The parent: reserve a job, fork, wait for the child, write the outcome, again."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from ..child.stacks import stacks_of_job
from ..errors import JobKilled, NotOnMainThread, ResqueError
from ..job.hooks import worker_hooks
from ..job.registry import registry
from ..job.reservation import Reservation
from ..logs import lifecycle
from ..policies import Outcome
from ..policies.outcome import DONE, FAILED, KILLED, NOT_STARTED
from ..store.access import check_access
from ..system import process
from ..system.closers import closers
from ..system.signals import can_handle_signals
from ..version import __version__
from .idle import IdleBackoff
from .parts import WorkerParts
from .requests import RequestDesk

log = logging.getLogger("resque_fork")

FORK_RETRY_SECONDS = 1.0  # before the next try when no process could be had
STOP_SECONDS = 2.0  # for our own TERM after that of the child: some platforms send it to both


class Worker(WorkerParts):
    """A worker that serves `queues`, in order of priority.

    ``Worker("urgent", "*", resque=resque).work()`` is what the command line
    runs; settings that are not given come from the environment. `log_files` is
    what HUP opens anew, by default where output goes now; `connections` knows
    which open sockets are not the application's. Raises NoQueueError if there is
    no queue, SettingsError for a failure backend that cannot be loaded.

    It can also be used step by step: ``startup()``, ``work_one_job()`` as often
    as you like, ``shutdown()``, ``close()``.
    """

    job: Reservation | None = None  # the present one, or the last
    paused = False
    _closed = False
    _first_fork_announced = False

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Worker {self.id}>"

    # --- the loop

    def work(self, interval: float | None = None) -> int:
        """Work until told to stop; returns the exit status for a program.

        `interval` is the longest time in seconds between two looks at empty
        queues; with 0 the worker ends when they are empty. Leaves this process
        as it found it, whatever is raised. Raises NotOnMainThread outside the
        main thread.
        """
        try:
            return self.run(interval)
        finally:
            self._give_back()

    def run(self, interval: float | None = None) -> int:
        """`work` for a program that leaves next: all signals stay blocked.

        1. Startup: signals are handled, this worker's dead predecessor and other
           dead workers are rescued, and it registers.
        2. Work: jobs are reserved and performed, one after the other.
        3. Teardown: the last outcome is written, and the worker unregistered.
        """
        self._begin()
        status = 1
        try:
            self.startup()
            self._work(self.settings.interval if interval is None else interval)
            self._leave_redis()
            status = 0
        except ResqueError as error:
            log.error("%s", error)
        except Exception:
            log.exception("The worker stops because of an error that it did not expect")
            self._write_what_is_known()
        finally:
            self._performer.close()
            self._hooks.run_safely("worker_exit")
            process.block_signals()
            self._connection.close()
            lifecycle.info("Worker %s has left", self.id)
            self._closed = True
        return status

    def _work(self, interval: float) -> None:
        backoff = IdleBackoff(interval, self.settings)
        worked = False
        while not self._stop.asked:
            if self.work_one_job():
                worked = True
                backoff.after_job()
                self._run_failure_hooks()
                continue
            self._performer.become_idle()
            self._run_failure_hooks()
            if worked and not self._is_paused():
                self._hooks.run_safely("queue_empty")
                worked = False
            if interval == 0:
                break
            self._idle(backoff)

    def work_one_job(self) -> bool:
        """Reserve one job and perform it; False if there is none, or the worker is paused.

        Its outcome is written with the next reservation, or by `done_working`.
        """
        job = self.reserve()
        if job is None:
            return False
        self.working_on(job)
        if self.settings.fork_per_job:
            self.perform_with_fork(job)
        else:
            self.perform(job)
        return True

    def _idle(self, backoff: IdleBackoff) -> None:
        """Sleep until a push, a signal that matters, or the end of the interval."""
        if self._idler.listen(backoff, self._pruner.fleet, self.paused):
            return
        seconds = backoff.next()
        self._show_idle()
        log.debug("Sleeping for %s seconds", seconds)
        self._idler.sleep(None if self.paused else seconds)

    # --- one job

    def queues(self) -> list[str]:
        """The queues that it looks at now, in order of priority."""
        return list(self._reserver.queues())

    def reserve(self) -> Reservation | None:
        """Finish the last job and take the next, in one step; None if there is none to take.

        What cannot be a job here is failed on the way.
        """
        listener = self._listener
        self._idler.was_notified = listener.begin_look()
        if self.paused != self._store.paused:
            self._store.note_pause(self.paused)
        if self.paused:
            self.done_working()
            return None
        job = None
        while not self._stop.asked:
            changed, listener.queues_changed = listener.queues_changed, False
            reserved = self._reserver.finish_and_reserve(look_again=changed)
            if reserved is None:
                break
            if reserved.problem is None:
                job = reserved.job
                break
            killed = isinstance(reserved.problem, JobKilled)
            self._finish(reserved.job, Outcome.of(KILLED if killed else FAILED, reserved.problem))
            self._loop.run_tasks()
        self._connection.authenticated = True
        listener.muted = job is not None
        return job

    def working_on(self, job: Reservation) -> None:
        """This is the job that it performs now; the step that reserved it put it on record."""
        self.job = job
        if job.class_name and not self._stop.asked:
            log.info("got: %s", job)

    def perform_with_fork(self, job: Reservation) -> None:
        """Run the before_fork hooks, then `perform`; what they raise fails the job."""
        if worker_hooks.any("before_fork") and not self._stop.asked:
            try:
                self._hooks.run("before_fork", job)
            # a hook of the application's may raise anything, and leaving is an error too
            except BaseException as error:
                self._finish(job, Outcome.of(FAILED, error))
                return
            self._loop.poll()  # a signal that came meanwhile
        self.perform(job)

    def perform(self, job: Reservation) -> None:
        """Perform a job. What became of it is written with the next step."""
        if self._stop.asked:
            self._finish(job, Outcome(NOT_STARTED))
            return
        self.job = job
        outcome = self._performer.perform(job, self._read_by_child, more=self._reserver.more)
        if outcome.kind != DONE:  # a stop that has come to all processes of the group counts
            self._loop.poll()
        if outcome.kind == FAILED and outcome.by_term:
            self._wait_for_stop()
        self._finish(self.job, outcome)
        if outcome.kind == NOT_STARTED:
            self._idler.sleep(FORK_RETRY_SECONDS)

    def _wait_for_stop(self) -> None:
        """Somebody else has sent TERM to the child, and may be about to send it to us."""
        until = self._loop.clock() + STOP_SECONDS
        while not self._stop.asked and self._loop.clock() < until:
            self._loop.idle(until)

    def done_working(self) -> None:
        """Write what became of the last job, if that is still to be written."""
        self._reserver.finish_last()

    def _finish(self, job: Reservation, outcome: Outcome) -> None:
        """Decide what the next step writes about a job."""
        progress = self._tracker.end() if self._tracker.job else None
        finish = self._reserver.finish = self._finisher.finish_of(job, outcome, progress)
        self._reserver.if_failed = None
        if finish.verb in ("lost", "later"):
            self._reserver.if_failed = (job, self._finisher.error_of(outcome, finish))

    def _read_by_child(self, job: Reservation) -> None:
        """The child has read a payload that was too large for us."""
        self.working_on(job)
        self._reserver.describe(job)

    def _write_what_is_known(self) -> None:
        """The last job may have had its end before the worker has its own."""
        try:
            self.done_working()
        except Exception:
            log.exception("What became of the last job cannot be written")

    # --- being alive

    def startup(self) -> None:
        """Take over from a dead predecessor, rescue other dead workers, register.

        From then on it handles signals. Raises NotOnMainThread outside the main thread.
        """
        self._begin()
        self._procline.starting()
        self._log_start()
        self._connection.open_or_refuse()
        check_access(self._connection, self.resque.server, self.resque.key_names)
        self._declarations.declare()
        self._reserver.warn_of_misspelt()
        self.prune_dead_workers()
        if not self._first_fork_announced:  # work() may be called again
            self._hooks.announce_first_fork()
            self._first_fork_announced = True
        self._look_for_shared_connections()
        self._settle_memory()
        self._maintenance.replace()
        self.register_worker()
        self._maintenance.prune_fleet()

    def register_worker(self) -> None:
        """Have all Resques know of this worker."""
        self._maintenance.heartbeat()

    def unregister_worker(self) -> None:
        """Leave nothing of this worker in Redis."""
        self._store.unregister()

    def prune_dead_workers(self) -> None:
        """Rescue what dead workers of this host have left."""
        self._maintenance.prune_here()

    def close(self) -> None:
        """After the last of its steps: write the last outcome, leave Redis and this process.

        `work` does all of it by itself.
        """
        self._leave_redis()
        self._performer.close()
        self._connection.close()
        self._give_back()
        self._closed = True

    def _leave_redis(self) -> None:
        """Write what is still to be written, and unregister."""
        self._performer.retire_child()
        self.done_working()
        self._run_failure_hooks()
        self._tally.run()
        if self._clock is not None:
            self._clock.close()
        self.unregister_worker()

    def _give_back(self) -> None:
        """This process is its program's again."""
        self._signals.restore()
        self._procline.restore()
        gc.unfreeze()

    def _begin(self) -> None:
        """Handle signals; in a new process, or after the former life, with all parts made anew."""
        if not can_handle_signals():
            raise NotOnMainThread()
        if self._closed or self.pid != os.getpid():
            self._make_loop()
            self._assemble()
            self.paused = self._closed = False
        if not self._signals.installed:
            self._signals.install(self._signal_table())
            self._loop.tasks.append(RequestDesk(self._store, self._listener, self._actions()))
            self._performer.open()

    def _log_start(self) -> None:
        lifecycle.info("Worker %s is starting", self.id)
        names = registry.names()
        lifecycle.info(
            "resque-fork %s on %s (namespace %s), queues %s, %d job%s known",
            __version__,
            self.resque.server,
            self.resque.key_names.namespace,
            self.queue_list,
            len(names),
            "" if len(names) == 1 else "s",
        )
        log.info("Known jobs: %s", ", ".join(names) or "none")

    def _look_for_shared_connections(self) -> None:
        if self.settings.fork_per_job:
            closers.run()
            self.connections.warn_worker(ours=self._connection.fds)

    def _settle_memory(self) -> None:
        if self.settings.fork_per_job:
            self._freeze_memory()
            self._performer.settle_memory()

    def _run_failure_hooks(self) -> None:
        """Run on_failure hooks of jobs that were rescued, or lost too often.

        The outcome of our own job is written before.
        """
        if self._pruner.rescued:
            self.done_working()
        for jobs in (self._pruner.rescued, self._reserver.failed):
            while jobs:
                self._performer.handle_failure(*jobs.pop(0))

    def _is_paused(self) -> bool:
        return self.paused or self._reserver.paused

    def _show_idle(self) -> None:
        if self._is_paused():
            self._procline.paused()
        else:
            self._procline.waiting_for(self.queues(), self.queue_list.included)

    # --- signals

    def _signal_table(self) -> dict[int, Callable[[], None]]:
        """
        TERM, INT   stop now: the child gets TERM, then KILL (graceful_term: TERM is QUIT)
                    the first Ctrl-C in a terminal is QUIT
        QUIT        finish the job, then stop
        USR1        stop the child, go on
        USR2        take no new job
        CONT        go on
        HUP         open log files anew
        CHLD        see which child has ended
        """
        return {
            signal.SIGTERM: self.shutdown if self.settings.graceful_term else self.shutdown_now,
            signal.SIGINT: self._interrupt,
            signal.SIGQUIT: self.shutdown,
            signal.SIGUSR1: self.kill_child,
            signal.SIGUSR2: self.pause_processing,
            signal.SIGCONT: self.unpause_processing,
            signal.SIGHUP: self.reopen_logs,
            signal.SIGCHLD: self._performer.reap,
        }

    def _actions(self) -> dict[str, Callable[[], Any]]:
        """What operators may ask for from any host."""
        actions = (
            *(self.shutdown, self.shutdown_now, self.kill_child),
            *(self.pause_processing, self.unpause_processing, self.stacks),
        )
        return {action.__name__: action for action in actions}

    def stacks(self) -> list[dict[str, Any]]:
        """Where the running job is: for its child the pid, and the stack, innermost frame first."""
        found: list[dict[str, Any]] = self._performer.run_in_subprocess(
            lambda: stacks_of_job(self.pid), self._loop.wait
        )
        return found

    def shutdown(self) -> None:
        """Stop as soon as the running job is finished."""
        self._begin_shutdown()
        self._performer.say_what_holds()

    def shutdown_now(self) -> None:
        """Stop, and stop the running job too."""
        self._begin_shutdown()
        self._performer.stop()

    def _interrupt(self) -> None:
        if not (self.settings.fork_per_job and self._is_first_ctrl_c()):
            self.shutdown_now()  # without a child, the signal has been raised in the job
            return
        if self._stop.busy:
            lifecycle.info("Finishing the running job; Ctrl-C again stops it")
        self.shutdown()

    def _begin_shutdown(self) -> None:
        if self._ask_to_stop():
            if self._clock is not None:
                self._clock.stop()
            self._hooks.run_safely("shutdown", self)

    def kill_child(self) -> None:
        """Stop the running job and go on with the next."""
        self._performer.stop()

    def reopen_logs(self) -> None:
        """Open log files anew, after they were moved away."""
        self._log_files.reopen()
        self._performer.discard_spare()

    def pause_processing(self) -> None:
        """Take no new job until told to go on."""
        lifecycle.info("USR2 received; pausing job processing")
        self._hooks.run_safely("before_pause", self)
        self.paused = True
        self._idler.wake()

    def unpause_processing(self) -> None:
        """Take jobs again."""
        lifecycle.info("CONT received; resuming job processing")
        self.paused = False
        self._idler.wake()
        self._hooks.run_safely("after_pause", self)
