"""What became of each job, from the jobs' own ledger and from what Redis holds at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resque_fork import Resque
from resque_fork.wire.job import Payload

NAMES = ("stand", "stand_again")


@dataclass(frozen=True)
class Account:
    """Numbers of jobs; `lost` names those that are nowhere.

    `twice` are those that were started twice and are not tried again, `too_often` those that
    were started more often than they may be tried.
    """

    jobs: int
    finished: int
    failed: int
    both: int
    queued: int
    twice: int
    too_often: int
    lost: list[int]


def account(resque: Resque, ledger: Path, jobs: int, attempts: dict[int, int]) -> Account:
    """Look for every job: finished by its own word, in the failed list, or still queued.

    `attempts` are how often those may be tried that are tried again.
    """
    started, finished = Counter[int](), set[int]()
    for line in ledger.read_text().splitlines():
        what, number = line.split()
        if what == "started":
            started[int(number)] += 1
        else:
            finished.add(int(number))
    failed = {job.args[0] for job in resque.failed().each() if job.class_name in NAMES}
    samples = resque.sample_queues(jobs).get("chaos", {"samples": []})["samples"]
    queued = {job["args"][0] for job in samples}
    queued |= {payload.args[0] for payload in _on_record(resque)}
    lost = sorted(set(range(jobs)) - finished - failed - queued)
    twice = sum(1 for number, count in started.items() if count > 1 and number not in attempts)
    too_often = sum(1 for number, most in attempts.items() if started[number] > most)
    both = len(finished & failed)
    return Account(jobs, len(finished), len(failed), both, len(queued), twice, too_often, lost)


def _on_record(resque: Resque) -> list[Payload]:
    return [Payload.parse(record.raw) for record in resque.working().values() if record]
