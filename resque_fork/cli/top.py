"""``top``: queues and workers, drawn again and again in a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click

from ..child.stacks import children_with_jobs
from ..errors import RedisUnavailable
from ..ops.rows import Row
from ..store.snapshot import Snapshot, Snapshots
from ..store.workers import WorkerId
from ..system import proc
from ..text import duration, printable
from .app import App, pass_app
from .command import command
from .output import Column, cut, echo, table

EVERY = 2.0  # seconds
OTHER_SCREEN, BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
QUEUES = [
    Column("QUEUE", lambda row: row["queue"]),
    Column("JOBS", lambda row: f"{row['size']:,}", right=True),
    Column("CHANGE", lambda row: _rate(row["change"]), right=True),
    Column("", lambda row: "paused" if row["paused"] else ""),
]
WORKERS = [
    Column("WORKER", lambda row: row["worker"]),
    Column("QUEUE", lambda row: row["queue"]),
    Column("CLASS", lambda row: row["class"]),
    Column("FOR", lambda row: row["for"], right=True),
    Column("CPU", lambda row: "" if row["cpu"] is None else f"{row['cpu']:.0%}", right=True),
    Column("MEMORY", lambda row: f"{row['kib'] >> 10} MB" if row["kib"] else "", right=True),
]


class Used(NamedTuple):
    """What the process of a job has used so far, and when that was; `share` is of one CPU."""

    pid: int
    at: float
    seconds: float
    share: float | None
    kib: int


@command()
@pass_app
def top(app: App) -> None:
    """Show queues and workers, refreshed every two seconds; q ends it.

    CHANGE is how much a queue grows in a second. CPU and MEMORY are those of jobs
    on this host. Without a terminal it prints one table.
    """
    view = View(app)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        echo("\n".join(view.lines(height=None)))
        return
    with _own_screen():
        while True:
            size = shutil.get_terminal_size()
            try:
                lines = view.lines(size.lines)
            except RedisUnavailable as problem:  # it may come back
                lines = [printable(str(problem))]
            _draw(lines, size)
            if _is_told_to_quit(EVERY):
                return


class View:
    """What is shown, which compares with what was shown before."""

    def __init__(self, app: App) -> None:
        self._where = f"{app.resque.server} (namespace {app.resque.key_names.namespace})"
        self._snapshots = Snapshots(app.resque.client, app.resque.key_names)
        self._last: Snapshot | None = None
        self._used: dict[str, Used] = {}
        self._host = socket.gethostname()

    def lines(self, height: int | None) -> list[str]:
        """At most `height` lines, if there is a limit. Raises RedisUnavailable."""
        now = self._snapshots.take()
        last, self._last = self._last or now, now
        seconds = now.at - last.at
        head = [self._where, *_numbers(now, last, seconds), ""]
        queues, workers = _queue_rows(now, last, seconds), self._worker_rows(now)
        if height is None:
            room_for_queues = room_for_workers = len(queues) + len(workers)
        else:
            room = max(2, height - len(head) - 3)  # two heads and a gap
            room_for_queues = max(room // 3, room - len(workers))
            room_for_workers = max(1, room - min(room_for_queues, len(queues)))
        return [
            *head,
            *_shortened(queues, QUEUES, room_for_queues, "There are no queues."),
            "",
            *_shortened(workers, WORKERS, room_for_workers, "No worker is registered."),
        ]

    def _worker_rows(self, now: Snapshot) -> list[Row]:
        """Those that have worked the longest first, idle ones last."""
        self._used = {i: used for i in now.workers if now.workers[i] and (used := self._use(i))}
        rows = []
        for worker_id, job in now.workers.items():
            since = job.since if job else None
            seconds = 0.0 if since is None else max(0.0, now.at - since)
            used = self._used.get(worker_id)
            rows.append(
                {
                    "worker": worker_id,
                    "queue": (job.queue or "?") if job else "",
                    "class": (job.class_name or "?") if job else "idle",
                    "for": duration(seconds) if job else "",
                    "cpu": used and used.share,
                    "kib": used and used.kib,
                    "order": (job is None, -seconds, worker_id),
                }
            )
        return sorted(rows, key=lambda row: row["order"])

    def _use(self, worker_id: str) -> Used | None:
        """Of the worker's job; None if it cannot be told here."""
        worker = WorkerId.parse(worker_id)
        if worker.host != self._host or worker.pid is None:
            return None
        children = children_with_jobs(worker.pid)
        seconds = proc.cpu_seconds(children[0]) if children else None
        if seconds is None:
            return None
        at, before = time.monotonic(), self._used.get(worker_id)
        share = None
        if before and before.pid == children[0]:
            share = (seconds - before.seconds) / (at - before.at)
        return Used(children[0], at, seconds, share, proc.rss_kib(children[0]))


def _numbers(now: Snapshot, last: Snapshot, seconds: float) -> Iterator[str]:
    working = sum(job is not None for job in now.workers.values())
    pending = sum(now.queues.values())
    yield (
        f"{len(now.workers):,} workers, {working:,} working · {pending:,} jobs pending · "
        f"{now.retrying:,} to be retried · {now.failures:,} in failed lists"
    )
    done, failed = now.processed - last.processed, now.failed - last.failed
    yield (
        f"{now.processed:,} processed{_a_second(done, seconds)}, "
        f"{now.failed:,} of them failed{_a_second(failed, seconds)}"
    )
    if now.paused:
        yield "All workers are paused; resque-fork resume ends it."


def _queue_rows(now: Snapshot, last: Snapshot, seconds: float) -> list[Row]:
    """The longest first."""
    rows = [
        {
            "queue": name,
            "size": size,
            "change": (size - last.queues.get(name, 0)) / seconds if seconds else None,
            "paused": name in now.paused_queues,
        }
        for name, size in now.queues.items()
    ]
    return sorted(rows, key=lambda row: (-row["size"], row["queue"]))


def _a_second(number: int, seconds: float) -> str:
    return f" ({number / seconds:.1f} a second)" if seconds else ""


def _rate(change: float | None) -> str:
    return f"{change:+.1f}/s" if change else ""


def _shortened(
    rows: Sequence[Row], columns: Sequence[Column], most: int, empty: str
) -> Iterator[str]:
    if not rows:
        yield empty
        return
    shown = len(rows) if len(rows) <= most else max(1, most - 1)
    yield from table(rows[:shown], columns)
    if shown < len(rows):
        yield f"and {len(rows) - shown:,} more"


@contextlib.contextmanager
def _own_screen() -> Iterator[None]:
    """Keys come as they are pressed; what was on the screen before is there again at the end."""
    import termios
    import tty

    before: Any = termios.tcgetattr(0)
    tty.setcbreak(0)
    click.echo(OTHER_SCREEN, nl=False)
    try:
        yield
    finally:
        click.echo(BACK, nl=False)
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _draw(lines: Sequence[str], size: Any) -> None:
    """Over what was drawn before, so that nothing flickers."""
    fitting = [_fitted(line, size.columns) for line in lines[: size.lines]]
    text = f"{REST_OF_LINE}\n".join(fitting)
    click.echo(f"{HOME}{text}{REST_OF_LINE}{REST_OF_SCREEN}", nl=False)


def _fitted(line: str, width: int) -> str:
    plain = click.unstyle(line)
    return line if len(plain) <= width else cut(plain, width)


def _is_told_to_quit(seconds: float) -> bool:
    """Whether q is pressed within so many seconds, or the terminal is gone."""
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and os.read(0, 1) in (b"q", b"Q", b"")
