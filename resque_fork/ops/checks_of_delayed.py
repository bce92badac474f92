"""``doctor`` looks at what waits for its time: who moves it, and whether retries are served."""

from __future__ import annotations

from collections.abc import Iterator

from ..job.retry import Retry
from ..store.delayed_jobs import DelayedJobs
from ..text import counted
from ..wire.delayed import is_second
from .checks import OK, WARN, Finding
from .checks_of_workers import unserved
from .site import Site

LATE_SECONDS = 60  # after which somebody should have moved a job, or made a tick


def look_at_delayed(site: Site) -> Iterator[Finding]:
    """Raises our errors."""
    yield from _scheduler_lock(site)
    yield from _late(site)
    yield from _queues_of_retries(site)


def scheduler_lock(site: Site) -> str:
    """The key of the lock of Ruby's scheduler."""
    return site.resque.key_names.scheduler_lock(site.settings.scheduler_lock_prefix)


def _scheduler_lock(site: Site) -> Iterator[Finding]:
    key = scheduler_lock(site)
    expires = site.resque.client.execute_command("TTL", key)
    if expires == -1:
        yield Finding(
            "delayed jobs",
            WARN,
            f"{key}, the lock of Ruby's scheduler, does not expire: no delayed job is moved while "
            "it stands. Delete it, unless that scheduler runs.",
        )
    elif expires >= 0:
        yield Finding("delayed jobs", OK, "Ruby's scheduler moves them while it runs.")


def _late(site: Site) -> Iterator[Finding]:
    jobs = DelayedJobs(site.resque.client, site.resque.key_names)
    [first] = jobs.times(0, 1) or [""]
    late = site.workers.now() - int(first) if is_second(first) else 0.0
    if late > LATE_SECONDS:
        yield Finding(
            "delayed jobs",
            WARN,
            f"Jobs have been due for {late:.0f} seconds, and nobody moves them: run a worker "
            "without --no-clock, or resque-fork clock.",
        )
    elif first:
        count = jobs.count_jobs()
        verb = "is" if count == 1 else "are"
        yield Finding("delayed jobs", OK, f"{counted(count, 'job')} {verb} delayed.")


def _queues_of_retries(site: Site) -> Iterator[Finding]:
    """Those that jobs name for their retries, and no worker serves."""
    retries = site.workers.declared_retries().items()
    queues = {name: retry.queue for name, text in retries if (retry := Retry.from_json(text))}
    missing = unserved(site, filter(None, {*queues.values()}))
    for name, queue in queues.items():
        if queue in missing:
            yield Finding(
                "retries",
                WARN,
                f"Retries of {name} go to the queue {queue}, which no worker serves.",
            )
