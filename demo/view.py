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


@dataclass(frozen=True)
class Shown:
    """A process as ps shows it; `depth` is 0 for the worker, 1 for its child."""

    pid: int
    depth: int
    megabytes: int
    title: str

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
        if title:  # a process that has just ended has none
            found.append(Shown(process.pid, int(process is not parent), megabytes, title))
    return found


def of_this_terminal(total: int) -> "LiveView | LineView":
    """`total` is the number of jobs."""
    return LiveView(total) if sys.stdout.isatty() else LineView(total)


class LineView:
    """Prints a line whenever the processes are doing something else than before."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = time.monotonic()
        self._last: object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, processes: Sequence[Shown], done: int, failed: int) -> None:
        processes = [process for process in processes if not process.waits]
        doing = [re.sub(r"\d{3,}", "", process.title) for process in processes]
        if doing == self._last:
            return
        self._last = doing
        seconds = time.monotonic() - self._started
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
        lines += ["", f"{bar}{rest}  {told}"]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        click.echo(f"{up}\r\x1b[J" + "\n".join(lines))
        self._drawn = len(lines)
