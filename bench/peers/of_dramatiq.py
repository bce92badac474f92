"""Dramatiq: its actors, and the queueing of the jobs."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench import jobs

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))
actors = {
    name: dramatiq.actor(queue_name=jobs.QUEUE)(getattr(jobs, name)) for name in ("noop", "mark")
}

if __name__ == "__main__":
    jobs.produce(lambda name, number: actors[name].send(number), sys.argv[1:])
