"""Celery: its application, and the queueing of the jobs."""

from __future__ import annotations

import os
import sys

from celery import Celery

from bench import jobs

app = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_ignore_result=True, task_default_queue=jobs.QUEUE)
tasks = {name: app.task(getattr(jobs, name), name=name) for name in ("noop", "mark")}

if __name__ == "__main__":
    jobs.produce(lambda name, number: tasks[name].delay(number), sys.argv[1:])
