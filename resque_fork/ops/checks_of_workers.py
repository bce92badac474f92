"""``doctor`` looks at the workers: dead ones, other implementations', and what stops Ruby's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from ..errors import NoQueueError
from ..store.workers import WorkerId
from ..system.identity import Identity
from ..text import counted
from ..wire.queue_list import QueueList
from .checks import FAIL, OK, WARN, Finding, Judgement
from .rows import Row
from .site import Site
from .worker_report import GONE, WorkerReport

NAMED = 3  # workers that are named before it becomes a number


def look_at_workers(site: Site) -> Iterator[Finding]:
    """Raises our errors."""
    rows = WorkerReport(site).rows()
    processes = {row["id"]: site.workers.process(row["id"]) for row in rows}
    yield Finding("stale workers", *_stale(rows, site.settings.prune_interval))
    yield from _harmful(site, rows)
    foreign = [row["id"] for row in rows if not processes[row["id"]]]
    if foreign:
        yield Finding("foreign workers", *_foreign(rows, foreign))
        yield from _pruned_without_retry(site, foreign, [*set(processes) - set(foreign)])
    yield from _unserved(site)
    namesakes = [
        row["id"]
        for row in rows
        if (identity := Identity.from_fields(processes[row["id"]]))
        and not identity.is_here()
        and WorkerReport(site).is_here(WorkerId.parse(row["id"]), None)
    ]
    if namesakes:
        yield Finding(
            "foreign workers",
            WARN,
            f"{_names(namesakes)} of another machine or container with the host name of this one: "
            "give each a host name of its own, or Ruby workers remove each other's records.",
        )


def _pruned_without_retry(site: Site, foreign: list[str], ours: list[str]) -> Iterator[Finding]:
    """A Ruby worker fails the jobs of the dead, of its host or, if it serves ``*``, of any."""
    hosts = {WorkerId.parse(text).host for text in ours}
    found = [WorkerId.parse(text) for text in foreign]
    near = [one.text for one in found if one.host in hosts or "*" in one.queues]
    if near and site.workers.declared_retries():
        yield Finding(
            "retries",
            WARN,
            f"{_names(near)} of another implementation, and may fail the job of a dead worker of "
            "ours, which is not retried then. Give them other host names and queues than *.",
        )


def _unserved(site: Site) -> Iterator[Finding]:
    waiting = {name: size for name, size in site.resque.queue_sizes().items() if size}
    names = unserved(site, waiting)
    if names:
        sizes = ", ".join(f"{name} ({waiting[name]})" for name in names[:NAMED])
        more = ", ..." if len(names) > NAMED else ""
        yield Finding(
            "queues",
            WARN,
            f"Jobs wait in {sizes}{more}, which no worker serves: start one with "
            f"--queues={','.join(names[:NAMED])}.",
        )


def unserved(site: Site, queues: Iterable[str]) -> list[str]:
    """Those of these queues that no worker serves."""
    names, lists = [*queues], []
    for text in site.workers.ids() if names else ():
        with contextlib.suppress(NoQueueError):  # an id may say anything
            lists.append(QueueList(WorkerId.parse(text).queues))
    return [name for name in names if not any(name in one.over([name]) for one in lists)]


def _stale(rows: Sequence[Row], prune_interval: float) -> Judgement:
    stale = [
        row["id"]
        for row in rows
        if row["process"] == GONE or (row["heartbeat_age"] or 0) > prune_interval
    ]
    if stale:
        return WARN, (
            f"{_names(stale)} dead: resque-fork prune rescues what a dead worker leaves, "
            "resque-fork remove also what it cannot be sure of."
        )
    return OK, f"{counted(len(rows), 'worker')}, none of them dead."


def _harmful(site: Site, rows: Sequence[Row]) -> Iterator[Finding]:
    """What keeps Ruby workers from starting, and dashboards from showing anything."""
    beats = site.workers.heartbeats()
    broken = [worker_id for worker_id, beat in beats.items() if beat is None]
    broken += [row["id"] for row in rows if not row["queues"]]
    if broken:
        yield Finding(
            "harmful records",
            FAIL,
            f"{_names(dict.fromkeys(broken))} registered in a form that Ruby workers and "
            "dashboards break on: resque-fork remove WORKER removes such a record.",
        )


def _foreign(rows: Sequence[Row], foreign: Sequence[str]) -> Judgement:
    theirs = {queue for row in rows if row["id"] in foreign for queue in row["queues"]}
    ours = {queue for row in rows if row["id"] not in foreign for queue in row["queues"]}
    shared = sorted(theirs & ours)
    who = f"{_names(foreign)} of another implementation"
    if shared:
        return WARN, (
            f"{who}; queues shared with ours: {', '.join(shared)}. Give each language queues of "
            "its own, or jobs meet workers that do not know them."
        )
    return OK, f"{who}."


def _names(ids: Sequence[str] | dict[str, None]) -> str:
    names = list(ids)
    if len(names) > NAMED:
        return f"{len(names)} workers, such as {names[0]}, are"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
