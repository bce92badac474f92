"""The parent of ``work --reload``: runs the worker as a program, and anew when a file changes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

from ..logs import lifecycle
from ..settings import Settings
from ..system import process
from ..system.service import STOPPING, Service
from ..text import printable

log = logging.getLogger("resque_fork")

WATCHER = (sys.executable, "-m", f"{__package__}.watcher")
PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP)
HANDLED = (*STOPPING, *PASSED_ON, signal.SIGCHLD)


class Reloader(Service):
    """Keeps `command` running, and starts it again when a file below this directory changes.

    The program gets QUIT then: a worker finishes its job first. If it fails, for example because
    of an error in the file, it is started with the next change. If it leaves in good order, so
    does this process. If this process dies, the kernel sends TERM to the program.
    """

    def __init__(self, command: Sequence[str], settings: Settings) -> None:
        super().__init__(settings)
        self._command = command
        self._program = 0  # its pid; 0 while it does not run
        self._watcher = 0
        self._changed = False
        self._status = 0

    def run(self) -> int:
        """Run until told to stop; the exit status is the program's last.

        Signals stay blocked at the end: this process leaves next.
        """
        table: dict[int, Callable[[], None]] = {n: self._stop_with(n) for n in STOPPING}
        table |= {number: self._pass_on_with(number) for number in PASSED_ON}
        self._signals.install({**table, signal.SIGCHLD: self._reap})
        self._procline.reloading()
        self._start_watcher()
        self._start_program()
        while self._program or not self.stopping:
            self._loop.wait()
        process.block_signals()
        self._pass_on(self._watcher, signal.SIGKILL)
        return self._status

    def _start_watcher(self) -> None:
        changes, told = os.pipe()

        def be_the_watcher() -> None:
            os.setpgid(0, 0)  # what is typed in a terminal is not for it
            os.dup2(told, 1)
            self._become(WATCHER, signal.SIGKILL)

        self._watcher = process.fork(be_the_watcher)
        process.close(told)
        self._loop.fds.add(changes)
        self._loop.watch(changes, lambda: self._hear(changes))

    def _hear(self, changes: int) -> None:
        """Files have changed; or the watcher has left, and has said why."""
        files = os.read(changes, 65536).decode(errors="replace").splitlines()
        if not files:
            self._loop.forget(changes)
            log.error("Changed files are not noticed any more; the worker goes on")
            return
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        lifecycle.info("%s%s changed; the worker starts again", printable(files[0]), more)
        self._changed = True
        if self._program:
            self._pass_on(self._program, signal.SIGQUIT)
        else:
            self._start_program()

    def _start_program(self) -> None:
        self._changed = False
        self._program = process.fork(lambda: self._become(self._command, signal.SIGTERM))

    def _become(self, command: Sequence[str], at_our_end: int) -> None:
        """In a new process: run a program, which is sent a signal when we die."""
        process.close_inherited_fds(self._loop.fds)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        process.unblock_signals()
        process.die_with_parent(self.pid, at_our_end)
        os.execv(command[0], [*command])

    def _reap(self) -> None:
        process.reap(self._watcher)
        end = process.reap(self._program) if self._program else None
        if end is None:
            return
        self._program = 0
        self._status = os.waitstatus_to_exitcode(end.wait_status or 0)
        if self.stopping:
            return
        if self._changed:
            self._start_program()
        elif self._status == 0:
            self._stop.ask()
        else:
            log.warning(
                "The worker has left with status %d; it starts again when a file changes",
                self._status,
            )

    def _stop_with(self, number: int) -> Callable[[], None]:
        def stop() -> None:
            self._stop.ask()
            if number != signal.SIGINT or not process.in_foreground():
                self._pass_on(self._program, number)  # Ctrl-C has come to it too

        return stop

    def _pass_on_with(self, number: int) -> Callable[[], None]:
        return lambda: self._pass_on(self._program, number)

    def _pass_on(self, pid: int, number: int) -> None:
        if pid and process.is_ours(pid):
            process.kill(pid, number)
