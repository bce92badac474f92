"""RQ: delays jobs, or moves those that are due. The scheduler is RQ's own, with its defaults.

A job's id is the second at which it is due, and a number.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from redis import Redis
from rq import Queue
from rq.scheduler import RQScheduler

redis = Redis.from_url(os.environ["BENCH_REDIS"])


def delay(queue: str, moments: list[int]) -> None:
    to = Queue(queue, connection=redis)
    for number, moment in enumerate(moments):
        when = datetime.fromtimestamp(moment, UTC)
        to.enqueue_at(when, "bench.jobs.mark", number, job_id=f"{moment}-{number}")


def schedule(queue: str) -> None:
    scheduler = RQScheduler([queue], connection=redis)
    scheduler.acquire_locks()
    scheduler.work()


if __name__ == "__main__":
    if sys.argv[2:]:
        delay(sys.argv[1], list(map(int, sys.argv[2:])))
    else:
        schedule(sys.argv[1])
