"""The application that our workers are started with."""

from __future__ import annotations

from resque_fork import job

from . import jobs

noop = job(queue=jobs.QUEUE)(jobs.noop)
mark = job(queue=jobs.QUEUE)(jobs.mark)
hold = job(queue=jobs.QUEUE)(jobs.hold)
modules = job(queue=jobs.QUEUE)(jobs.modules)
