"""The ticks of schedules, read from the log in which the server writes every change down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from resque_fork import Resque

from .jobs import TICKS

SET_AT_RUN_TIME = "set at run time"


@dataclass(frozen=True)
class Ticks:
    """How many ticks there were, how often one was made again, and how many jobs were queued."""

    made: int
    again: int
    queued: int


def set_schedule(resque: Resque) -> None:
    """One beside those that the workers declare."""
    resque.set_schedule(SET_AT_RUN_TIME, "tick", every=1, queue=TICKS)


def ticks(directory: Path) -> Ticks:
    """Of a server whose log stands in this directory."""
    log = b"".join(path.read_bytes() for path in sorted(directory.rglob("*.aof")))
    made = re.findall(rb"resque:fork:ticks\r\n\$\d+\r\n(.+)\r\n\$\d+\r\n(\d+) every", log)
    queued = re.findall(rb"(?i)rpush\r\n\$\d+\r\nresque:queue:%b\r\n" % TICKS.encode(), log)
    return Ticks(len(set(made)), len(made) - len(set(made)), len(queued))
