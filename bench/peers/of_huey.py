"""Huey: its tasks, and the queueing of the jobs."""

from __future__ import annotations

import os
import sys

from huey import RedisHuey

from bench import jobs

huey = RedisHuey(jobs.QUEUE, url=os.environ["BENCH_REDIS"], results=False)
tasks = {name: huey.task(name=name)(getattr(jobs, name)) for name in ("noop", "mark")}

if __name__ == "__main__":
    jobs.produce(lambda name, number: tasks[name](number), sys.argv[1:])
