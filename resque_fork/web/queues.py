"""Queues, and one queue: what waits in it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..errors import WrongKeyType
from ..metrics.collect import latencies
from ..ops.checks_of_workers import unserved
from ..ops.rows import Row, job_row
from ..store.metrics import StoredMetrics
from ..store.queues import Queues
from ..text import counted
from ..wire.status import id_of, id_of_item
from ..wire.times import run_time
from .ask import PAGE, Action, Ask, Done, NotFound, Page, named, slice_of
from .show import MOST_ITEMS
from .workers import worker_rows

MOST_QUEUES = MOST_ITEMS  # of a page
LARGEST_DECODED = 256 * 1024  # bytes of a payload that is shown as a job
HEAD = 1000  # bytes that are shown of a larger one


def queue_rows(ask: Ask) -> list[Row]:
    """Every queue: its size, by how much that has changed while somebody looked, its latency, and
    whether it is paused. Queues that are paused and do not exist yet are among them.
    """
    resque = ask.site.resque
    paused = {*resque.paused_queues()}
    sizes = {**dict.fromkeys(paused, 0), **resque.queue_sizes()}
    waits = _waits(ask, sizes)
    before = ask.memory.growth.since(sizes, time.monotonic())
    try:
        idle = unserved(ask.site, [name for name, size in sizes.items() if size])
    except WrongKeyType:  # the page of workers says so
        idle = []
    return [
        {
            "queue": name,
            "size": size,
            "change": None if before is None else size - before[1].get(name, 0),
            "change_seconds": None if before is None else int(before[0]),
            "served": name not in idle,
            "paused": name in paused,
            **waits[name],
        }
        for name, size in sizes.items()
    ]


def _waits(ask: Ask, sizes: Mapping[str, int]) -> dict[str, Row]:
    """Of each queue, for how long its next job has waited and since when; None if not known."""
    resque, now = ask.site.resque, ask.site.workers.now()
    found = latencies(StoredMetrics(resque.client, resque.key_names), sizes, now)
    return {
        name: {
            "latency_seconds": None if (latency := found.get(name)) is None else int(latency),
            "waits_since": run_time(now - latency) if latency else None,
        }
        for name in sizes
    }


def show_all(ask: Ask) -> Row:
    """All queues."""
    rows = queue_rows(ask)
    return {
        "now": ask.site.workers.now(),
        "paused": ask.site.resque.paused(),
        "count": len(rows),
        "queues": sorted(rows, key=lambda row: (-row["size"], row["queue"]))[:MOST_QUEUES],
    }


def show(ask: Ask) -> Row:
    """One queue: its next jobs, and who takes them."""
    name, start = ask.named("name"), ask.number("start")
    resque = ask.site.resque
    size, queue_paused = resque.size(name), name in resque.paused_queues()
    if not size and not queue_paused and name not in resque.queues():
        raise NotFound(f"There is no queue {name!r}.")
    workers = [row for row in worker_rows(ask.site) if row["queue"] == name]
    payloads = Queues(resque.client, resque.key_names).peek(name, start, PAGE)
    return {
        "now": ask.site.workers.now(),
        "queue": name,
        "size": size,
        "queue_paused": queue_paused,
        **_waits(ask, {name: size})[name],
        **slice_of(start, more=start + PAGE < size),
        "jobs": [payload_row(start + i, raw) for i, raw in enumerate(payloads)],
        "running": len(workers),
        "workers": workers[:MOST_ITEMS],
        "served": not unserved(ask.site, [name]),
        "paused": resque.paused(),
    }


def payload_row(index: int, raw: bytes) -> Row:
    """A payload or a delayed item as it is shown; of a large one only its beginning.

    ``tracked`` is the id of a tracked job.
    """
    about = {"bytes": len(raw), "tracked": id_of(raw) or id_of_item(raw) or None}
    if len(raw) <= LARGEST_DECODED:
        return {**job_row(index, raw), **about}
    head = raw[:HEAD].decode("utf-8", "backslashreplace")
    return {"index": index, "class": None, "args": None, "payload": f"{head}…", **about}


def clear(ask: Ask) -> Done:
    """Delete the jobs of a queue."""
    name = ask.named("name")
    removed = ask.site.resque.clear_queue(name)
    return Done(f"Removed {counted(removed, 'job')} from {name}.", "/queue", {"name": name})


def delete(ask: Ask) -> Done:
    """Delete a queue with its jobs."""
    name = ask.named("name")
    removed = ask.site.resque.remove_queue(name)
    return Done(f"Removed {name} with {counted(removed, 'job')}.", "/queues")


def pause_one(ask: Ask) -> Done:
    """Keep workers from taking jobs of a queue."""
    name = ask.named("name")
    ask.site.resque.pause(name)
    return Done(f"Paused {name}: no worker takes a job of it.", "/queue", {"name": name})


def resume_one(ask: Ask) -> Done:
    """Let workers take jobs of a queue again."""
    name = ask.named("name")
    ask.site.resque.resume(name)
    return Done(f"Resumed {name}: workers take its jobs again.", "/queue", {"name": name})


def pause(ask: Ask) -> Done:
    """Keep all workers from taking jobs."""
    ask.site.resque.pause()
    return Done("Paused: no worker takes a new job.", "/")


def resume(ask: Ask) -> Done:
    """Let all workers take jobs again."""
    ask.site.resque.resume()
    return Done("Resumed: workers take jobs again.", "/")


def _jobs_of(ask: Ask) -> str:
    name = ask.named("name")
    return f"{counted(ask.site.resque.size(name), 'job')} of {name}"


PAGES = (Page("/queues", "queues.html", show_all), Page("/queue", "queue.html", show))
ACTIONS = (
    Action(
        "/queue/pause",
        "Pause",
        pause_one,
        "Keep workers from taking new jobs of {}?",
        named("name"),
    ),
    Action(
        "/queue/resume",
        "Resume",
        resume_one,
        "Let workers take jobs of {} again?",
        named("name"),
    ),
    Action(
        "/queue/clear",
        "Clear",
        clear,
        "Delete the {} for good? The queue stays.",
        _jobs_of,
    ),
    Action(
        "/queue/delete",
        "Delete",
        delete,
        "Delete the queue and the {} for good?",
        _jobs_of,
    ),
    Action(
        "/pause",
        "Pause all workers",
        pause,
        "Keep all workers on all hosts from taking new jobs?",
    ),
    Action("/resume", "Resume all workers", resume, "Let all workers take jobs again?"),
)
