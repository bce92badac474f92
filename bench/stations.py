"""The same application, with a clock at each station of a job, for where its time goes.

Nothing of the worker is replaced, only a few calls are noted as they pass.
"""

from __future__ import annotations

import os
from typing import Any

from resque_fork import job
from resque_fork.store.worker_store import WorkerStore
from resque_fork.system import process

from . import jobs
from .clock import FILE, Clock

clock = Clock(os.environ[FILE])


def note_calls() -> None:
    """From now on, those of the operating system's and of the books."""
    system = process.system
    fork, leave, write, wait4, step = (
        system.fork,
        os._exit,
        process.write,
        system.wait4,
        WorkerStore.step,
    )

    def noting_fork() -> int:
        clock.line += 1
        clock.note("fork")
        pid = fork()
        if pid == 0:
            clock.note("born")
            clock.in_child = True
        else:
            clock.note("forked")
            clock.lines[pid] = clock.line
        return pid

    def noting_exit(status: int) -> None:
        clock.note("exit")
        leave(status)

    def noting_write(fd: int, data: Any) -> int:
        if clock.in_child:
            clock.note("told")
        return write(fd, data)

    def noting_wait4(pid: int, options: int) -> Any:
        found = wait4(pid, options)
        if found[0]:
            clock.note("reaped", clock.lines.get(found[0]))
            clock.note("faults", clock.lines.get(found[0]), found[2].ru_minflt)
        return found

    def noting_step(self: WorkerStore, *arguments: Any) -> Any:
        clock.note("step")
        answer = step(self, *arguments)
        clock.note("stepped")
        return answer

    for module, name, noting in (
        (system, "fork", noting_fork),
        (os, "_exit", noting_exit),
        (process, "write", noting_write),
        (system, "wait4", noting_wait4),
    ):
        setattr(module, name, noting)
    setattr(WorkerStore, "step", noting_step)  # noqa: B010 (for mypy it is no assignment)


note_calls()


@job(queue=jobs.QUEUE)
def noop(number: int) -> None:
    """Nothing, but noted."""
    clock.note("job")


job(queue=jobs.QUEUE)(jobs.mark)
