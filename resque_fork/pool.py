"""The supervisor of ``--count N``: one application, loaded once, and N workers forked from it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable

from .logs import LogFiles, lifecycle
from .settings import Settings
from .system import leaving, libc, process
from .system.service import STOPPING, Service
from .worker.worker import FORK_RETRY_SECONDS, Worker

log = logging.getLogger("resque_fork")

MIN_UPTIME = 5.0  # seconds: a worker that dies before has not started well
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)


class Pool(Service):
    """Keeps `settings.count` workers running; `make_worker` is called in each new process.

    Every signal is passed on to the workers, but the first Ctrl-C in a terminal, which is
    QUIT to them. One that dies is started again, at
    once if it had been running well, else after a growing pause; paused, if the
    others are. If the supervisor dies, the kernel sends its workers TERM.
    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        settings: Settings,
        log_files: LogFiles | None = None,
    ) -> None:
        super().__init__(settings, log_files)
        self._make_worker = make_worker
        self._workers: dict[int, float] = {}  # pid: when it was started
        self._missing = settings.count
        self._pause = 0.0
        self._paused = False
        self._failed = False
        self._robbed = False  # of the end of a worker

    def run(self) -> int:
        """Supervise until told to stop and all workers have left; the exit status.

        Signals stay blocked at the end: the program leaves next.
        """
        table: dict[int, Callable[[], None]] = {n: self._stop_with(n) for n in STOPPING}
        table |= {number: self._pass_on_with(number) for number in PASSED_ON}
        table |= {signal.SIGHUP: self._reopen, signal.SIGCHLD: self._reap}
        self._signals.install(table)
        libc.become_subreaper()
        self._procline.supervising(self.settings.count)
        lifecycle.info("Supervising %d workers", self.settings.count)
        self._freeze_memory()
        self._start_missing()
        while self._workers or self._missing:
            self._loop.wait()
        process.block_signals()
        lifecycle.info("All workers have left")
        return 1 if self._failed else 0

    def _start_missing(self) -> None:
        while self._missing and not self.stopping:
            try:
                pid = process.fork(self._be_a_worker)
            except OSError as error:
                log.error("A worker cannot be started now: %s", error)
                self._loop.after(FORK_RETRY_SECONDS, self._start_missing)
                return
            self._missing -= 1
            self._workers[pid] = self._loop.clock()
            if self._paused:
                process.kill(pid, signal.SIGUSR2)  # which waits until the worker handles it

    def _be_a_worker(self) -> None:
        """In the new process: forget the supervisor, and work."""
        process.close_inherited_fds(self._loop.fds)
        os.setpgid(0, 0)  # Ctrl-C in a terminal is for the supervisor, which passes it on
        handled = (*STOPPING, *PASSED_ON, signal.SIGHUP, signal.SIGCHLD)
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        process.unblock_signals(but=handled)  # those wait until the worker handles them
        process.die_with_parent(self.pid, signal.SIGTERM)
        status = self._make_worker().run()
        leaving.flush_logging()
        process.leave(status)

    def _reap(self) -> None:
        for pid, started in list(self._workers.items()):
            end = process.reap(pid)
            if end is None:
                continue
            del self._workers[pid]
            in_good_order = not end.wait_status  # also if it is not known
            if end.wait_status is None and not self._robbed:
                self._robbed = True
                log.warning(
                    "How worker %d ended is not known: something else in the supervisor's "
                    "process, such as a thread with os.wait(), waits for its children",
                    pid,
                )
            if self.stopping and not in_good_order:
                self._failed = True
            drained = in_good_order and self.settings.interval == 0
            if not self.stopping and not drained:
                self._replace(pid, self._loop.clock() - started)
        process.reap_strangers(set(self._workers))

    def _replace(self, pid: int, lived: float) -> None:
        if lived >= MIN_UPTIME:
            self._pause = 0.0
        self._missing += 1
        log.warning("Worker %d has died, starting another in %g seconds", pid, self._pause)
        self._loop.after(self._pause, self._start_missing)
        if lived < MIN_UPTIME:
            self._pause = min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE)

    def _stop_with(self, number: int) -> Callable[[], None]:
        def stop() -> None:
            softened = number == signal.SIGINT and self._is_first_ctrl_c()
            if softened:
                lifecycle.info("Finishing the running jobs; Ctrl-C again stops them")
            self._ask_to_stop()
            self._missing = 0
            self._pass_on(signal.SIGQUIT if softened else number)

        return stop

    def _pass_on_with(self, number: int) -> Callable[[], None]:
        def pass_on() -> None:
            if number in (signal.SIGUSR2, signal.SIGCONT):
                self._paused = number == signal.SIGUSR2
            self._pass_on(number)

        return pass_on

    def _reopen(self) -> None:
        self._log_files.reopen()
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: int) -> None:
        for pid in filter(process.is_ours, self._workers):
            process.kill(pid, number)
