"""What became of each job, from the jobs' own ledger and from what Redis holds at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from resque_fork import Resque
from resque_fork.wire.job import Payload


@dataclass(frozen=True)
class Account:
    """Numbers of jobs; `lost` names those that are nowhere."""

    jobs: int
    finished: int
    failed: int
    both: int
    queued: int
    twice: int
    lost: list[int]


def account(resque: Resque, ledger: Path, jobs: int) -> Account:
    """Look for every job: finished by its own word, in the failed list, or still queued."""
    started, finished = Counter[int](), set[int]()
    for line in ledger.read_text().splitlines():
        what, number = line.split()
        if what == "started":
            started[int(number)] += 1
        else:
            finished.add(int(number))
    failed = {job.args[0] for job in resque.failed().each() if job.class_name == "stand"}
    samples = resque.sample_queues(jobs).get("chaos", {"samples": []})["samples"]
    queued = {job["args"][0] for job in samples}
    queued |= {payload.args[0] for payload in _on_record(resque)}
    lost = sorted(set(range(jobs)) - finished - failed - queued)
    twice = sum(1 for count in started.values() if count > 1)
    return Account(
        jobs, len(finished), len(failed), len(finished & failed), len(queued), twice, lost
    )


def _on_record(resque: Resque) -> list[Payload]:
    return [Payload.parse(record.raw) for record in resque.working().values() if record]
