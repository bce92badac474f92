"""``doctor`` looks at this host: its name, what ``ps`` shows, and what a fork would not survive."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ResqueError
from ..job.hooks import worker_hooks
from ..job.registry import registry
from ..ops.checks import FAIL, OK, WARN, Finding, Judgement
from ..system import pinned_pages
from ..system.closers import closers
from ..text import counted
from ..wire.procline import LONGEST_QUEUE_LIST
from ..worker.sockets import ConnectionCheck, open_sockets, shared_by_children
from . import application
from .app import App

# How Ruby workers look for others on their host; those that they do not find count as dead.
RUBY_LOOKS_FOR = re.compile(r"resque:work|resque:\sStarting|resque-[0-9]")
RUBY_LEAVES_OUT = "resque-web"
UNKNOWN = "None; --require an application to look at that."

# Shows a title with the longest list of queues until its input ends.
PROBE = """
import sys
from resque_fork.wire.procline import Procline, make_room
make_room()
Procline(sys.argv[1]).waiting_for([sys.argv[2]], [])
print("ready", flush=True)
sys.stdin.read()
"""


def look_at_host(app: App) -> Iterator[Finding]:
    yield Finding("host name", *_host_name(socket.gethostname()))
    yield from _title(app.settings.procline_prefix)
    yield Finding("pinned pages", *_pinned_pages(pinned_pages.why_not(), pinned_pages.limit()))
    yield from _application(app)


def _host_name(name: str) -> Judgement:
    if ":" in name:
        return FAIL, (
            f"{name} has a colon, at which Resque splits the ids of workers: rename the host."
        )
    if name in ("localhost", "localhost.localdomain"):
        return WARN, (
            f"{name} is every host's name: Ruby workers of another host that is called so, too, "
            "would remove the records of workers here. Give the host its own."
        )
    return OK, f"{name} can stand in the ids of workers."


def _pinned_pages(why_not: str | None, limit: int | None) -> Judgement:
    if why_not is not None:
        return OK, f"Memory pages cannot be pinned ({why_not}): forks are slower, and nothing else."
    can = "Memory pages can be pinned, so that forks are faster (--pin-pages)."
    if limit is None:
        return OK, can
    return OK, (
        f"{can} A worker pins some 4 MB, and all processes of this user may lock "
        f"{limit >> 20} MB together (ulimit -l)."
    )


def _title(prefix: str) -> Iterator[Finding]:
    queue = "q" * LONGEST_QUEUE_LIST
    command = [sys.executable, "-c", PROBE, prefix, queue]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as probe:
        assert probe.stdin
        assert probe.stdout
        probe.stdout.readline()
        by_ps, by_proc = _shown_by_ps(probe.pid), _shown_by_proc(probe.pid)
        probe.stdin.close()
    yield Finding("title", *_recognised(by_ps, by_proc))
    whole = (by_proc or by_ps or "").rstrip()
    if whole.endswith(queue):
        yield Finding("room for titles", OK, "A title with a long list of queues is shown whole.")
    else:
        cut = f"Titles are cut after {len(whole)} bytes: start workers in a larger environment."
        yield Finding("room for titles", WARN, cut)


def _recognised(by_ps: str | None, by_proc: str) -> Judgement:
    shown, way = (by_proc, "/proc") if by_ps is None else (by_ps, "ps")
    start = shown[:40]
    if not RUBY_LOOKS_FOR.search(shown) or RUBY_LEAVES_OUT in shown:
        return FAIL, (
            f"{way} shows a worker as {start!r}, which Ruby workers on this host do not recognise: "
            "they would remove its records. Look at --procline-prefix."
        )
    if by_ps is None:
        return WARN, "Titles are right, but there is no ps here, with which Ruby workers look."
    return OK, f"ps shows a worker as {start!r}..., as Ruby workers need it."


def _shown_by_ps(pid: int) -> str | None:
    """What Ruby workers get to see of a process; None if there is no ps."""
    command = ["ps", "-A", "-o", "pid,command"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return None
    found = [line.split(None, 1) for line in lines]
    return next((parts[1] for parts in found if len(parts) == 2 and parts[0] == str(pid)), "")


def _shown_by_proc(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def _application(app: App) -> Iterator[Finding]:
    """The threads and connections that it has once it is loaded; no child gets a sound copy."""
    application.prepare(app.settings)
    modules = app.settings.require
    connections = ConnectionCheck(known=() if app.preloaded else open_sockets())
    try:
        application.load(app.settings)
    except ResqueError as error:
        yield Finding("threads at fork", FAIL, str(error))
        return
    yield Finding("threads at fork", *_threads(modules))
    yield Finding("connections at fork", *_connections(modules, connections))


def _threads(modules: Sequence[str]) -> Judgement:
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    native = _native_threads() - 1 - len(others)
    if others or native > 0:
        names = [thread.name for thread in others]
        names += [counted(native, "native thread")] if native > 0 else []
        return WARN, (
            f"The application has threads ({', '.join(names)}): a child gets none of them, and a "
            "lock that one holds stays locked. Start them in after_fork or in the job."
        )
    if not modules:
        return OK, UNKNOWN
    jobs = counted(len(registry.names()), "job")
    return OK, f"{', '.join(modules)} declares {jobs}, starts no thread."


def _connections(modules: Sequence[str], connections: ConnectionCheck) -> Judgement:
    closers.run()
    if peers := connections.peers():
        closed = worker_hooks.any("before_first_fork")
        but = " (Its before_first_fork hooks may do so: they have not run here.)" if closed else ""
        return WARN, shared_by_children(peers) + but
    if not modules:
        return OK, UNKNOWN
    return OK, f"{', '.join(modules)} has no connection open."


def _native_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()
