"""The processes of a worker while it works: kept up to date in a terminal, else line by line."""

import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import click
import psutil

from resque_fork.wire.procline import is_spare

WIDTH_OF_BAR = 30

# What is to be seen while a job runs.
CAPTIONS = {
    "charge": "raises an exception, as most jobs that fail do",
    "chart": "draws a picture",
    "Report": "computes, and writes a page",
    "send_mail": "24 mails, each written by a child of its own",
    "forecast": "fails twice, and is tried again",
    "remind": "was queued for this time",
    "leak": "takes 100 MB and keeps them, until they go with its child",
    "spin": "uses up the CPU time that it may have, and the kernel kills it",
    "crash": "reads address 0, of which its child dies, and the worker goes on",
    "hang": "never ends, until the worker is sent USR1, which stops this job alone",
}


@dataclass(frozen=True)
class Shown:
    """A process as ps shows it; `depth` is 0 for the worker, 1 for its child."""

    pid: int
    depth: int
    megabytes: int
    title: str

    @property
    def caption(self) -> str:
        """What the job that it performs does, in words; empty if it performs none."""
        job = re.search(r"Processing .*\[(\w+)\]$", self.title)
        return f"{job[1]}: {CAPTIONS[job[1]]}" if job and job[1] in CAPTIONS else ""

    @property
    def waits(self) -> bool:
        """Whether it is a child that was forked ahead and has no job yet."""
        return is_spare(self.title)

    def __str__(self) -> str:
        tree = "└ " if self.depth else ""
        return f"{tree + str(self.pid):<10}{self.megabytes:>3} MB  {self.title}"


def family(pid: int) -> list[Shown]:
    """A process and its children, those that are there by the time we look."""
    found = []
    try:
        parent = psutil.Process(pid)
        members = [parent, *parent.children()]
    except psutil.NoSuchProcess:
        return []
    for process in members:
        try:
            title = " ".join(process.cmdline()).strip()
            megabytes = process.memory_info().rss // 2**20
        except psutil.Error:
            continue
        if title.startswith("resque"):  # not that of a process that has just begun, or ended
            found.append(Shown(process.pid, int(process is not parent), megabytes, title))
    return found


def of_this_terminal(total: int) -> "LiveView | LineView":
    """`total` is the number of jobs."""
    return LiveView(total) if sys.stdout.isatty() else LineView(total)


def _caption(processes: Sequence[Shown]) -> str:
    return next((process.caption for process in processes if process.caption), "")


class LineView:
    """Prints the processes whenever they are at another kind of job than before."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, processes: Sequence[Shown], done: int, failed: int) -> None:
        processes = [process for process in processes if not process.waits]
        caption = _caption(processes)
        if caption in ("", self._last):
            return
        self._last = caption
        seconds = time.monotonic() - self._started
        click.echo(caption)
        for process in processes:
            click.echo(f"{seconds:5.1f} s  {done:>2}/{self._total}  {process}")


class LiveView:
    """Draws a few lines again and again, in the same place."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._drawn = 0

    def __enter__(self) -> Self:
        click.echo("\x1b[?25l", nl=False)  # no cursor
        return self

    def __exit__(self, *exception: object) -> None:
        click.echo("\x1b[?25h", nl=False)

    def show(self, processes: Sequence[Shown], done: int, failed: int) -> None:
        columns = shutil.get_terminal_size().columns - 1
        lines = [click.style(f"{'PID':<10}{'RSS':>6}  TITLE, as ps shows it"[:columns], dim=True)]
        for process in processes:
            colour = "cyan" if process.depth else "green"
            lines.append(click.style(str(process)[:columns], fg=colour, dim=process.waits))
        lines += [""] * (4 - len(lines))
        full = WIDTH_OF_BAR * done // self._total
        bar = click.style("█" * full, fg="green")
        rest = click.style("░" * (WIDTH_OF_BAR - full), dim=True)
        told = f"{done} of {self._total} jobs, " + click.style(f"{failed} failed", fg="red")
        lines += [click.style(_caption(processes), bold=True), f"{bar}{rest}  {told}"]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        click.echo(f"{up}\r\x1b[J" + "\n".join(lines))
        self._drawn = len(lines)
