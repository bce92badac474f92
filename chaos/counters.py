"""Whether what workers have counted is what the ledger and the log of the server say."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resque_fork import Resque

from .ledger import Account

MINUTES = 1440  # of which the outcomes are kept


@dataclass(frozen=True)
class Counted:
    """How attempts have ended, and what does not agree with that, each in a sentence."""

    outcomes: dict[str, int]
    wrong: list[str]


def counted(resque: Resque, directory: Path, account: Account) -> Counted:
    """Of a run that is over, on a server whose log stands in this directory."""
    found = {metric.name: metric.values for metric in resque.metrics()}
    outcomes = Counter[str]()
    for (_, _, outcome), number in found["resque_jobs_total"].items():
        outcomes[outcome] += number
    log = b"".join(path.read_bytes() for path in sorted(directory.rglob("*.aof")))
    taken = len(re.findall(rb"(?i)lpop\r\n\$\d+\r\nresque:queue:chaos\r\n", log))
    by_minute = sum(sum(jobs.values()) for jobs in resque.jobs_by_minute(MINUTES).values())
    pairs = {
        "jobs done and failed, and jobs": (outcomes["done"] + outcomes["failed"], account.jobs),
        "jobs failed, and failed entries": (outcomes["failed"], resque.failed().count()),
        "ends of attempts, and jobs taken": (outcomes.total(), taken),
        "ends by minute, and all ends": (by_minute, outcomes.total()),
    }
    wrong = [f"{what}: {one} and {other}" for what, (one, other) in pairs.items() if one != other]
    return Counted(dict(sorted(outcomes.items())), wrong)
