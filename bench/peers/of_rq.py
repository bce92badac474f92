"""RQ: queues the jobs. The worker is RQ's own, with its defaults."""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue

from bench import jobs

queue = Queue(jobs.QUEUE, connection=Redis.from_url(os.environ["BENCH_REDIS"]))

if __name__ == "__main__":
    jobs.produce(lambda name, number: queue.enqueue(f"bench.jobs.{name}", number), sys.argv[1:])
