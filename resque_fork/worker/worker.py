"""The parent: reserve a job, fork, watch the child, keep the books, again."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

from redis.exceptions import RedisError

from ..child.fork import ForkedPerformer
from ..client.resque import Resque
from ..errors import NotOnMainThread, ResqueError
from ..failure import Backends
from ..job.hooks import worker_hooks
from ..job.reservation import Reservation
from ..logs import LogFiles, life
from ..policies.outcome import FAILED, NOT_STARTED, Outcome
from ..settings import Settings, load
from ..store.access import check_access
from ..store.bell import Bell
from ..store.books import Books
from ..store.line import Dispensable, Line
from ..store.server import REDIS_ERRORS
from ..store.workers import Workers
from ..system import huge_pages, process
from ..system.closers import closers
from ..system.identity import Identity
from ..system.loop import Loop
from ..system.shield import Shield
from ..system.signals import Handler, Signals, can_handle_signals
from ..system.streams import HarmlessOutput
from ..system.surroundings import Surroundings
from ..wire.procline import Procline
from ..wire.queue_list import QueueList
from .idle import Pace
from .in_place import InPlacePerformer
from .maintenance import Upkeep
from .reserve import Bookkeeper
from .sockets import ConnectionCheck

log = logging.getLogger("resque_fork")

FORK_RETRY_SECONDS = 1.0  # before the next try when no process could be had


class Worker:
    """A worker that serves `queues`, in order of priority.

    ``Worker("urgent", "*", resque=resque).work()`` is what the command line
    runs; settings that are not given come from the environment. `log_files` is
    what HUP opens anew, by default where output goes now; `connections` knows
    which open sockets are not the application's. Raises NoQueueError if there is
    no queue, SettingsError for a failure backend that cannot be loaded.
    """

    _loop: Loop
    _line: Line
    _bell: Bell
    _books: Books
    _bookkeeper: Bookkeeper
    _upkeep: Upkeep
    _performer: ForkedPerformer | InPlacePerformer
    _signals: Signals
    _shield: Shield
    _surroundings: Surroundings
    _harmless_output: HarmlessOutput

    def __init__(
        self,
        *queues: str,
        resque: Resque | None = None,
        settings: Settings | None = None,
        log_files: LogFiles | None = None,
        connections: ConnectionCheck | None = None,
    ) -> None:
        self.settings = settings or load({}, os.environ)[0]
        self.resque = resque or Resque()
        self.queue_list = QueueList(queues or self.settings.queues)
        self.backends = Backends.named(self.settings.failure_backend)
        self.connections = connections or ConnectionCheck()
        self._log_files = log_files or LogFiles()
        self.hostname = socket.gethostname()
        self.pid = os.getpid()
        self.job: Reservation | None = None  # the present one, or the last
        self.paused = False
        self.stopping = False
        self._stop_asked = 0.0
        self._woken = self._was_rung = self._first_fork_announced = False

    @property
    def id(self) -> str:
        """``host:pid:queues``, by which every Resque knows it."""
        return f"{self.hostname}:{self.pid}:{self.queue_list}"

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Worker {self.id}>"

    # --- the loop

    def work(self, interval: float | None = None) -> int:
        """Work until told to stop; returns the exit status for a program.

        `interval` is the longest time in seconds between two looks at empty
        queues; with 0 the worker ends when they are empty. Raises
        NotOnMainThread outside the main thread.
        """
        status = self.run(interval)
        self._signals.restore()
        process.unblock_signals()
        gc.unfreeze()
        return status

    def run(self, interval: float | None = None) -> int:
        """`work` for a program that leaves next: all signals stay blocked.

        1. Startup: signals are handled, this worker's dead predecessor and other
           dead workers are rescued, and it registers.
        2. Work: jobs are reserved and performed, one after the other.
        3. Teardown: the last outcome is written, and the worker unregistered.
        """
        self._set_up()
        status = 1
        try:
            self.startup()
            self._work(self.settings.interval if interval is None else interval)
            self._performer.rest()
            self.done_working()
            self._mourn()
            self.unregister_worker()
            status = 0
        except ResqueError as error:
            log.error("%s", error)
        except RedisError as error:
            log.error("Redis refused what the worker cannot do without: %s", error)
        except Exception:
            log.exception("The worker stops because of an error that it did not expect")
            self._write_what_is_known()
        finally:
            self._performer.close()
            self._run_hooks("worker_exit")
            process.block_signals()
            self._line.close()
            life.info("Worker %s has left", self.id)
        return status

    def _work(self, interval: float) -> None:
        pace = Pace(interval, self.settings)
        worked = False
        while not self.stopping:
            if self.work_one_job():
                worked = True
                pace.after_job()
                self._mourn()
                continue
            self._performer.rest()
            self._mourn()
            if worked and not self._is_paused():
                self._run_hooks("queue_empty")
                worked = False
            if interval == 0:
                break
            self._sleep(pace)

    def work_one_job(self) -> bool:
        """Reserve one job and perform it; False if there is none, or the worker is paused.

        Its outcome is written with the next reservation, or by `done_working`.
        """
        reservation = self.reserve()
        if reservation is None:
            return False
        self.perform(reservation)
        return True

    def _sleep(self, pace: Pace) -> None:
        """Sleep until the bell rings, a signal says so, or the interval is over."""
        bell = self._bell
        if self._was_rung and bell.armed:  # somebody else was faster
            bell.disarm()  # and be deaf for a while, so that few wake for each job
            self._pause(pace.after_lost_race(self._upkeep.fleet))
            if pace.listens(self._upkeep.fleet):
                bell.arm()
            return
        if self.paused or not pace.listens(self._upkeep.fleet):
            bell.disarm()
        elif not (self._woken or bell.armed) and bell.arm():
            return  # look once more, now that pushes are announced
        seconds = pace.next()
        self._show_idle()
        log.debug("Sleeping for %s seconds", seconds)
        self._pause(None if self.paused else seconds)

    def _pause(self, seconds: float | None) -> None:
        until = None if seconds is None else self._loop.clock() + seconds
        while not (self.stopping or self._woken or self._bell.rung):
            if until is not None and self._loop.clock() >= until:
                break
            self._wait(until)
        self._woken = False

    # --- one job

    def queues(self) -> list[str]:
        """The queues that it looks at now, in order of priority."""
        return list(self._bookkeeper.queues())

    def reserve(self) -> Reservation | None:
        """Finish the last job and take the next, in one step; None if there is none to take."""
        bell = self._bell
        self._was_rung = bell.rung
        bell.forget()
        if self.paused:
            self.done_working()
            return None
        changed, bell.queues_changed = bell.queues_changed, False
        reservation = self._bookkeeper.reserve(look_again=changed)
        self._line.let_in = True
        bell.hush(reservation is not None)
        return reservation

    def perform(self, reservation: Reservation) -> None:
        """Perform a job. What became of it is written with the next step."""
        outcome = None if self.stopping else self._before_fork(reservation)
        if outcome is None and self.stopping:
            self._bookkeeper.put_back()
            return
        self.job = reservation
        outcome = outcome or self._performer.perform(
            reservation, self._told, more=self._bookkeeper.more
        )
        self._bookkeeper.conclude(self.job, outcome)
        if outcome.kind == NOT_STARTED:
            self._pause(FORK_RETRY_SECONDS)

    def _before_fork(self, reservation: Reservation) -> Outcome | None:
        """Run the hooks, and hear of signals that came meanwhile; what is raised fails the job."""
        if reservation.payload.decoded:
            log.info("got: %s", reservation)
        if not (self.settings.fork_per_job and worker_hooks.any("before_fork")):
            return None
        try:
            self._run_hook("before_fork", reservation)
        # a hook of the application's may raise anything, and leaving is an error too
        except BaseException as error:
            return Outcome.of(FAILED, error)
        self._loop.poll()
        return None

    def _told(self, reservation: Reservation) -> None:
        """The child has read a payload that was too large for us."""
        self.job = reservation
        log.info("got: %s", reservation)
        self._bookkeeper.told(reservation)

    def done_working(self) -> None:
        """Write what became of the last job, if that is still to be written."""
        self._bookkeeper.done_working()

    def _write_what_is_known(self) -> None:
        """The last job may have had its end before the worker has its own."""
        try:
            self.done_working()
        except Exception:
            log.exception("What became of the last job cannot be written")

    # --- being alive

    def startup(self) -> None:
        """Take over from a dead predecessor, rescue other dead workers, register."""
        self._procline.starting()
        life.info("Worker %s is starting", self.id)
        self._line.open_or_refuse()
        check_access(self._line, self.resque.server, self.resque.key_names)
        self.prune_dead_workers()
        if not self._first_fork_announced:  # work() may be called again
            self._announce_first_fork()
            self._first_fork_announced = True
        self._look_for_shared_connections()
        self._settle_memory()
        self._upkeep.replace()
        self._upkeep.heartbeat()
        self._upkeep.prune_fleet()

    def _look_for_shared_connections(self) -> None:
        if self.settings.fork_per_job:
            closers.run()
            self.connections.warn_worker(ours=self._line.fds)

    def _settle_memory(self) -> None:
        """What has been loaded by now stays: no collector need look at it, and it forks fast."""
        if not self.settings.fork_per_job:
            return
        gc.collect()
        gc.freeze()
        process.trim_memory()
        if self.settings.huge_pages:
            for _ in huge_pages.collapse():
                self._loop.poll()

    def prune_dead_workers(self) -> None:
        """Rescue what dead workers of this host have left."""
        self._upkeep.prune_here()

    def _mourn(self) -> None:
        """Have the hooks run of jobs that were rescued, once our own is off the record."""
        if self._upkeep.mourns:
            self.done_working()
            self._upkeep.mourn(self._performer.handle_failure)

    def unregister_worker(self) -> None:
        """Leave nothing of this worker in Redis."""
        self._books.unregister()

    def _wait(self, until: float | None = None) -> None:
        """Let one round of events happen, then do what is due."""
        due = self._upkeep.due
        self._loop.wait(due if until is None else min(due, until))
        with self._shield("heartbeats and looking for dead workers"):
            self._upkeep.attend()

    def _patience(self) -> float | None:
        """Until when to wait for Redis: for ever, unless told to stop with no job running."""
        if not self.stopping or self._performer.busy:
            return None
        return max(self._stop_asked, self._performer.idle_since) + self.settings.term_timeout

    def _is_paused(self) -> bool:
        return self.paused or self._bookkeeper.paused

    def _show_idle(self) -> None:
        if self._is_paused():
            self._procline.paused()
        else:
            self._procline.waiting_for(self.queues(), self.queue_list.included)

    def _announce_first_fork(self) -> None:
        try:
            self._run_hook("before_first_fork")
        except Exception:
            raise
        except BaseException as error:  # it would end us as if all were well, or half way
            raise ResqueError(f"The hook before_first_fork raised {error!r}.") from error

    def _run_hooks(self, name: str, *args: object) -> None:
        """Hooks at whose failure there is no job to fail."""
        try:
            self._run_hook(name, *args)
        except BaseException as error:  # whatever it is, it is not what ends a worker
            log.error("The hook %s raised %r", name, error)

    def _run_hook(self, name: str, *args: object) -> None:
        """The application's hooks; what they raise is raised."""
        if worker_hooks.any(name):
            try:
                with self._harmless_output:
                    worker_hooks.run(name, *args)
            finally:
                self._reinstate(f"The hook {name}")

    def _reinstate(self, who: str) -> None:
        """After application code in this process: see to it that what the worker needs stands."""
        with self._shield("putting back what the application has changed"):
            self._signals.reinstate()
            self._surroundings.put_back(who)

    def _come_back_from_job(self) -> None:
        """A job was performed in this process."""
        self._reinstate("A job")
        self._loop.poll()

    def _set_up(self) -> None:
        if not can_handle_signals():
            raise NotOnMainThread()
        self.pid = os.getpid()
        keys, settings = self.resque.key_names, self.settings
        self._loop = Loop()
        self._shield = Shield()
        self._surroundings = Surroundings()
        self._harmless_output = HarmlessOutput()
        self._procline = Procline(settings.procline_prefix)
        self._line = Line(
            self.resque.server,
            self._loop,
            keys.queues,
            self._patience,
            lambda work, wait: self._performer.apart(work, wait),
        )
        self._bell = Bell(self._line, keys)
        identity = Identity.here().to_fields()
        lesser = Dispensable(self._line)
        self._books = Books(self._line, keys, self.id, identity, settings.max_attempts, lesser)
        self._upkeep = Upkeep(
            self._loop,
            self._books,
            Workers(lesser, keys),
            keys,
            settings,
            self.backends,
            self.queue_list.included,
            lambda: self._performer.look_around(),
        )
        self._performer = self._make_performer()
        self._bookkeeper = Bookkeeper(
            self._books,
            keys,
            settings,
            self.queue_list,
            self.backends,
            self._performer.handle_failure,
            lambda: self.stopping,
            self._upkeep.attend,
        )
        self._signals = Signals(self._loop, self._signal_table())
        self._signals.install()

    def _make_performer(self) -> ForkedPerformer | InPlacePerformer:
        settings = self.settings
        if not settings.fork_per_job:
            return InPlacePerformer(
                self.backends,
                self.id,
                self._procline,
                self._beat_from_a_thread,
                settings.heartbeat_interval,
                self._raising,
                self._come_back_from_job,
            )
        return ForkedPerformer(
            self._loop,
            settings,
            self.backends,
            self.id,
            self._procline,
            self._wait,
            self._fds,
            self._shield,
        )

    def _raising(self, handler: Handler) -> AbstractContextManager[None]:
        graceful = self.settings.graceful_term
        stopping = [signal.SIGINT] if graceful else [signal.SIGTERM, signal.SIGINT]
        return self._signals.raising(stopping, handler)

    def _fds(self) -> list[int]:
        """What a child must not keep: it is the parent's alone."""
        return [*self._signals.fds, *self._line.fds]

    def _beat_from_a_thread(self) -> None:
        try:
            self._books.on(self.resque.redis).heartbeat()
        except (ResqueError, *REDIS_ERRORS, OSError) as error:
            log.warning("A heartbeat could not be sent: %s", error)

    # --- signals

    def _signal_table(self) -> dict[int, Callable[[], None]]:
        """
        TERM, INT   stop now: the child gets TERM, then KILL (graceful_term: TERM is QUIT)
        QUIT        finish the job, then stop
        USR1        stop the child, go on
        USR2        take no new job
        CONT        go on
        HUP         open log files anew
        CHLD        see which child has ended
        """
        return {
            signal.SIGTERM: self.shutdown if self.settings.graceful_term else self.shutdown_now,
            signal.SIGINT: self.shutdown_now,
            signal.SIGQUIT: self.shutdown,
            signal.SIGUSR1: self.kill_child,
            signal.SIGUSR2: self.pause_processing,
            signal.SIGCONT: self.unpause_processing,
            signal.SIGHUP: self.reopen_logs,
            signal.SIGCHLD: self._performer.reap,
        }

    def shutdown(self) -> None:
        """Stop as soon as the running job is finished."""
        self._begin_shutdown()
        self._performer.say_what_holds()

    def shutdown_now(self) -> None:
        """Stop, and stop the running job too."""
        self._begin_shutdown()
        self._performer.stop()

    def _begin_shutdown(self) -> None:
        if not self.stopping:
            life.info("Exiting...")
            self.stopping = True
            self._stop_asked = self._loop.clock()
            self._run_hooks("shutdown", self)

    def kill_child(self) -> None:
        """Stop the running job and go on with the next."""
        self._performer.stop()

    def reopen_logs(self) -> None:
        """Open log files anew, after they were moved away."""
        self._log_files.reopen()
        self._performer.refresh()

    def pause_processing(self) -> None:
        """Take no new job until told to go on."""
        life.info("USR2 received; pausing job processing")
        self._run_hooks("before_pause", self)
        self.paused = self._woken = True

    def unpause_processing(self) -> None:
        """Take jobs again."""
        life.info("CONT received; resuming job processing")
        self.paused, self._woken = False, True
        self._run_hooks("after_pause", self)
