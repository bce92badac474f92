"""Workers, and one worker: what ``ps`` shows of it, and its job."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil

from ..child.stacks import stacks_of_job
from ..errors import ResqueError, UnreadablePayload
from ..ops.processes import GONE_ALREADY, NOT_OURS, is_elsewhere, process_of
from ..ops.rows import Row
from ..ops.site import Site
from ..ops.worker_report import ELSEWHERE, GONE, WorkerReport
from ..store.requests import Requests
from ..wire.delayed import digest_of
from ..wire.job import Payload
from ..wire.record import WorkerRecord
from ..wire.status import id_of
from ..wire.times import run_time
from .ask import Action, Ask, Done, NotFound, Page, Shown, named
from .memory import MOST_ASKED
from .show import MOST_ITEMS, bounded

PATIENCE = 20  # seconds that a worker of another host may take to answer


def worker_rows(site: Site) -> list[Row]:
    """Every worker, those that run a job the longest first, dead ones before all."""
    rows = [_judged(row, site) for row in WorkerReport(site).rows()]
    return sorted(
        rows,
        key=lambda row: (row["state"] != "dead", -(row["running_seconds"] or -1), row["id"]),
    )


def _judged(row: Row, site: Site) -> Row:
    """A worker is also ``dead``, as `prune` takes it."""
    silent = (row["heartbeat_age"] or 0) > site.settings.prune_interval
    return {**row, "state": "dead" if row["process"] == GONE or silent else row["state"]}


def show_all(ask: Ask) -> Row:
    """All workers."""
    rows = worker_rows(ask.site)
    states = ("working", "idle", "paused", "dead")
    return {
        "now": ask.site.workers.now(),
        "paused": ask.site.resque.paused(),
        "counts": {state: sum(row["state"] == state for row in rows) for state in states},
        "count": len(rows),
        "workers": rows[:MOST_ITEMS],
    }


def show(ask: Ask) -> Row:
    """One worker, its job, and its processes if they run here."""
    worker, site = ask.named("id"), ask.site
    if not site.workers.exists(worker):
        raise NotFound(f"No worker is registered as {worker}: it has ended, or was removed.")
    row = _judged(WorkerReport(site).row(worker), site)
    return {
        "now": site.workers.now(),
        "worker": row,
        "job": _running_job(site, worker),
        **_processes(site, row),
    }


def _running_job(site: Site, worker: str) -> Row | None:
    """The arguments of the job that it performs, and which attempt this is."""
    raw = site.workers.records([worker]).get(worker)
    if raw is None:
        return None
    row: Row = {"class": None, "args": None, "attempt": None, "tracked": None, "problem": None}
    try:
        payload = Payload.take(WorkerRecord.parse(raw).raw)
    except (ValueError, RecursionError, UnreadablePayload) as error:
        return {**row, "problem": str(error)}
    row["tracked"] = id_of(payload.raw) or None
    if not payload.decoded:
        problem = f"The payload has {len(payload.raw)} bytes: too many to show."
        return {**row, "problem": problem}
    state = site.workers.retry_state(digest_of(payload))
    attempt = state.failures + 1 if state else 1
    return {**row, "class": payload.class_name, "args": payload.args, "attempt": attempt}


def _processes(site: Site, row: Row) -> Row:
    """The worker's process and those below it; or why they cannot be seen.

    ``told`` says how it is told something: here, by_request, or not at all (None).
    """
    found: Row = {"processes": [], "processes_problem": None, "told": None}
    try:
        by_request = is_elsewhere(site, row["id"])
        top = None if row["process"] == ELSEWHERE else process_of(site, row["id"])
    except ResqueError as error:
        return {**found, "processes_problem": str(error)}
    if top is None:
        problem = f"It runs on {row['host']}: they can be seen only there."
        told = "by_request" if by_request else None
        return {**found, "processes_problem": problem, "told": told}
    processes = [top]
    with contextlib.suppress(psutil.Error):
        processes += top.children(recursive=True)
    rows = [one for process in processes if (one := _process_row(process, top.pid))]
    return {**found, "processes": rows, "told": "here" if rows else None}


def _process_row(process: psutil.Process, worker: int) -> Row | None:
    try:
        with process.oneshot():
            times: Any = process.cpu_times()
            started = process.create_time()
            return {
                "pid": process.pid,
                "is_worker": process.pid == worker,
                "title": " ".join(process.cmdline()).strip() or process.name(),
                "status": process.status(),
                "started_at": run_time(started),
                "seconds": max(0.0, time.time() - started),
                "cpu_seconds": round(times.user + times.system, 2),
                "memory": process.memory_info().rss,
            }
    except psutil.Error:  # it has ended meanwhile, or belongs to another user
        return None


def _told(
    number: signal.Signals, action: str, effect: str, *, leaves: bool = False
) -> Callable[[Ask], Done]:
    """Tells a worker of this host by a signal, and one of another by a request."""

    def tell(ask: Ask) -> Done:
        worker = ask.named("id")
        if is_elsewhere(ask.site, worker):
            _request(ask, action)
            said = f"{worker} has answered: {effect}."
        else:
            _signal(ask, number)
            said = f"Sent {number.name} to {worker}: {effect}."
        return Done(said, "/workers") if leaves else Done(said, "/worker", {"id": worker})

    return tell


def _signal(ask: Ask, number: signal.Signals) -> None:
    worker = ask.named("id")
    try:
        process_of(ask.site, worker).send_signal(number)
    except psutil.NoSuchProcess:
        raise ResqueError(GONE_ALREADY.format(worker)) from None
    except psutil.AccessDenied:
        raise ResqueError(NOT_OURS.format(worker)) from None


def _request(ask: Ask, action: str) -> Any:
    """What a worker of another host answers."""
    resque, asking = ask.site.resque, ask.memory.asking
    if not asking.acquire(blocking=False):
        raise ResqueError(f"{MOST_ASKED} workers are being asked already: try again in a moment.")
    try:
        requests = Requests(resque.client, resque.key_names)
        return requests.ask(ask.named("id"), action, PATIENCE)
    finally:
        asking.release()


def stacks(ask: Ask) -> Shown:
    """Where the running job is; the job is not disturbed."""
    worker = ask.named("id")
    if is_elsewhere(ask.site, worker):
        found = _stacks_in(_request(ask, "stacks"))
    else:
        found = stacks_of_job(process_of(ask.site, worker).pid)
    said = f"Looked at the stacks of {worker}."
    return Shown(said, "stacks.html", {"worker": worker, "stacks": bounded(found)})


def _stacks_in(answer: Any) -> list[Row]:
    """The answer comes from Redis, and may be anything."""
    return [
        {"child": one.get("child"), "stack": _lines(one.get("stack"))}
        for one in (answer if isinstance(answer, list) else ())
        if isinstance(one, dict)
    ]


def _lines(found: Any) -> list[str]:
    return [str(line) for line in found] if isinstance(found, list) else []


PAGES = (Page("/workers", "workers.html", show_all), Page("/worker", "worker.html", show))
ACTIONS = (
    Action(
        "/worker/stop",
        "Stop",
        _told(signal.SIGQUIT, "shutdown", "it finishes its job, and ends", leaves=True),
        "Have {} finish its job, and end?",
        named("id"),
    ),
    Action(
        "/worker/pause",
        "Pause",
        _told(signal.SIGUSR2, "pause_processing", "it finishes its job, and takes no other"),
        "Have {} finish its job, and take no other?",
        named("id"),
    ),
    Action(
        "/worker/resume",
        "Resume",
        _told(signal.SIGCONT, "unpause_processing", "it takes jobs again"),
        "Have {} take jobs again?",
        named("id"),
    ),
    Action(
        "/worker/kill-job",
        "Kill job",
        _told(
            signal.SIGUSR1,
            "kill_child",
            "its job is stopped and fails, and it goes on with the next",
        ),
        "Stop the job of {}? The job fails, the worker goes on.",
        named("id"),
    ),
    Action("/worker/stacks", "Where is it?", stacks),
)
