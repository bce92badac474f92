"""``health``: whether this host has a worker that is alive, for the probes of platforms."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from ..errors import ResqueError
from ..store.workers import WorkerId
from ..system import proc
from ..system.identity import Identity
from ..system.pidfile import Pidfile
from ..text import duration
from ..wire.times import read_time
from . import options
from .app import App, pass_app
from .command import command
from .output import say

MISSED = 2  # heartbeats in a row after which a worker is not alive


@command(params=options.of_settings("pidfile", "heartbeat_interval"))
@pass_app
def health(app: App) -> None:
    """Check whether Redis answers and a worker of this host is alive.

    A worker is alive if its process is there and its last heartbeat is younger than two
    heartbeat intervals. With --pidfile it is the worker that wrote this file, or a worker of
    the supervisor that wrote it. The exit status is 0 or 1.
    """
    host = socket.gethostname()
    ids = [each for each in map(WorkerId.parse, app.workers.own_ids()) if each.host == host]
    where = f"host {host}"
    if app.settings.pidfile:
        pid = _pid_in(app.settings.pidfile)
        ids = [one for one in ids if one.pid and pid in (one.pid, proc.parent_of(one.pid))]
        where = f"process {pid} ({app.settings.pidfile})"
    if not ids:
        raise ResqueError(f"No worker of {where} is registered in {app.resque.server}.")
    now, problem = app.workers.now(), ""
    for worker in ids:
        problem = _problem_of(worker, app.workers.process(worker.text), now, app)
        if not problem:
            say(f"{worker.text} is alive.")
            return
    raise ResqueError(f"No worker of {where} is alive: {problem}")


def _pid_in(path: str) -> int:
    pid = Pidfile(path).pid()
    if pid is None:
        there = "names no process" if Path(path).exists() else "is not there"
        raise ResqueError(f"The pidfile {path} {there}: has the worker been started?")
    return pid


def _problem_of(worker: WorkerId, process: Mapping[str, str], now: float, app: App) -> str:
    """Why this worker is not alive; empty if it is."""
    identity = Identity.from_fields(process)
    if worker.pid and identity and identity.is_here() and identity.has_exited(worker.pid):
        return f"the process of {worker.text} is gone."
    beat = read_time(process.get("beat", ""))
    if beat is None:
        return f"{worker.text} has sent no heartbeat."
    if now - beat > MISSED * app.settings.heartbeat_interval:
        return f"the last heartbeat of {worker.text} was {duration(now - beat)} ago."
    return ""
