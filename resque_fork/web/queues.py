"""Queues, and one queue: what waits in it."""

from __future__ import annotations

import time

from ..ops.checks_of_workers import unserved
from ..ops.rows import Row, job_row
from ..store.queues import Queues
from ..text import counted
from .ask import PAGE, Action, Ask, Done, NotFound, Page
from .workers import worker_rows

MOST_QUEUES = 1000  # of a page
LARGEST_DECODED = 256 * 1024  # bytes of a payload that is shown as a job
HEAD = 1000  # bytes that are shown of a larger one


def queue_rows(ask: Ask) -> list[Row]:
    """Every queue, its size, and by how much it has changed while somebody looked."""
    sizes = ask.site.resque.queue_sizes()
    before = ask.memory.growth.since(sizes, time.monotonic())
    idle = {*unserved(ask.site, [name for name, size in sizes.items() if size])}
    return [
        {
            "queue": name,
            "size": size,
            "change": None if before is None else size - before[1].get(name, 0),
            "change_seconds": None if before is None else int(before[0]),
            "served": name not in idle,
        }
        for name, size in sizes.items()
    ]


def show_all(ask: Ask) -> Row:
    """All queues."""
    rows = queue_rows(ask)
    return {
        "paused": ask.site.resque.paused(),
        "count": len(rows),
        "queues": sorted(rows, key=lambda row: (-row["size"], row["queue"]))[:MOST_QUEUES],
    }


def show(ask: Ask) -> Row:
    """One queue: its next jobs, and who takes them."""
    name, start = ask.named("name"), ask.number("start")
    resque = ask.site.resque
    size = resque.size(name)
    if not size and name not in resque.queues():
        raise NotFound(f"There is no queue {name!r}.")
    payloads = Queues(resque.client, resque.key_names).peek(name, start, PAGE)
    return {
        "queue": name,
        "size": size,
        "start": start,
        "next": start + PAGE if start + PAGE < size else None,
        "previous": max(0, start - PAGE) if start else None,
        "jobs": [payload_row(start + i, raw) for i, raw in enumerate(payloads)],
        "workers": [row for row in worker_rows(ask.site) if row["queue"] == name],
        "served": not unserved(ask.site, [name]),
        "paused": resque.paused(),
    }


def payload_row(index: int, raw: bytes) -> Row:
    """A payload as it is shown; of a large one only its beginning."""
    if len(raw) <= LARGEST_DECODED:
        return {**job_row(index, raw), "bytes": len(raw)}
    head = raw[:HEAD].decode("utf-8", "backslashreplace")
    return {"index": index, "class": None, "args": None, "payload": f"{head}…", "bytes": len(raw)}


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


def pause(ask: Ask) -> Done:
    """Keep all workers from taking jobs."""
    ask.site.resque.pause()
    return Done("Paused: no worker takes a new job.", "/")


def resume(ask: Ask) -> Done:
    """End that."""
    ask.site.resque.resume()
    return Done("Resumed: workers take jobs again.", "/")


def _jobs_of(ask: Ask) -> str:
    name = ask.named("name")
    return f"{counted(ask.site.resque.size(name), 'job')} of {name}"


PAGES = (Page("/queues", "queues.html", show_all), Page("/queue", "queue.html", show))
ACTIONS = (
    Action(
        "/queue/clear",
        "Clear",
        clear,
        lambda ask: f"Delete the {_jobs_of(ask)} for good? The queue stays.",
    ),
    Action(
        "/queue/delete",
        "Delete",
        delete,
        lambda ask: f"Delete the queue and the {_jobs_of(ask)} for good?",
    ),
    Action(
        "/pause",
        "Pause all workers",
        pause,
        lambda ask: "Keep all workers on all hosts from taking new jobs?",
    ),
    Action(
        "/resume",
        "Resume all workers",
        resume,
        lambda ask: "Let all workers take jobs again?",
    ),
)
