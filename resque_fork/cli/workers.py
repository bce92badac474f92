"""``list``, ``kill``, ``remove`` and ``prune``: the workers that Redis knows of."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import click
import psutil

from ..errors import ResqueError
from ..failure import Backends, FailedEntries
from ..logs import silenced
from ..ops.processes import (
    GONE_ALREADY,
    NOT_OURS,
    check_registered,
    is_elsewhere,
    process_of,
)
from ..ops.rows import Row
from ..ops.worker_report import WorkerReport
from ..store.requests import Requests
from ..system.identity import is_alive
from ..text import duration
from ..worker.pruning import WHAT_BECAME, Pruner
from . import options
from .app import App, complete_worker, pass_app
from .command import Listing, command
from .output import Column, listing, note, say
from .signs_of_life import life_of

KILL_SECONDS = 10.0  # seconds that a killed process may take to be gone

RESCUE = options.of_settings("on_lost", "max_attempts", "max_payload", "failure_backend")
PRUNE = options.of_settings("heartbeat_interval", "prune_interval")

worker_argument = click.argument("worker", shell_complete=complete_worker)


@command("list", cls=Listing)
@pass_app
def list_workers(app: App) -> None:
    """Show every worker and its job.

    With --json: an array of {"id", "host", "pid", "queues", "state" (working,
    idle or paused), "queue", "class", "run_at", "running_seconds", "started_at",
    "heartbeat_at", "heartbeat_age", "process" (alive, gone or elsewhere)}.
    """
    styles = {"gone": {"fg": "red"}, "alive": {"fg": "green"}}
    columns = [
        Column("WORKER", lambda row: row["id"]),
        Column("STATE", lambda row: row["state"], style=_bold_if_working),
        Column("QUEUE", lambda row: row["queue"] or ""),
        Column("CLASS", lambda row: row["class"] or ""),
        Column("FOR", _running),
        Column("STARTED", lambda row: row["started_at"] or ""),
        Column("HEARTBEAT", _heartbeat),
        Column(
            "PROCESS", lambda row: row["process"], style=lambda row: styles.get(row["process"], {})
        ),
    ]
    listing(app, WorkerReport(app.site).rows(), columns, "No worker is registered.")


@command(params=[*RESCUE])
@worker_argument
@pass_app
def kill(app: App, worker: str) -> None:
    """Kill a worker of this host together with its job, or stop one of another host.

    The job is rescued first: --on-lost decides whether it fails or is queued
    again. The process is killed only if it certainly is that worker. A worker on
    another host is asked to stop at once, as by TERM; a busy one takes seconds to
    hear of it.
    """
    if is_elsewhere(app.site, worker):
        asked(app, worker, "shutdown_now")
        say(f"{worker} runs on another host. It stops now, and its job too.")
        return
    process = process_of(app.site, worker)
    try:
        process.suspend()  # it cannot take another job between the rescue and its end
    except psutil.NoSuchProcess:
        raise ResqueError(GONE_ALREADY.format(worker)) from None
    except psutil.AccessDenied:
        raise ResqueError(NOT_OURS.format(worker)) from None
    try:
        outcome = _take_off(app, worker)
    except BaseException:
        process.resume()
        raise
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    _wait_for_end(worker, process.pid)
    say(f"Killed {worker}; {WHAT_BECAME[outcome]}.")


@command(params=[*RESCUE, *PRUNE])
@worker_argument
@click.option("--force", is_flag=True, help="Remove it even if it is or may be alive.")
@pass_app
def remove(app: App, worker: str, force: bool) -> None:
    """Remove a dead worker from Redis and rescue its job.

    --on-lost decides whether the job fails or is queued again. A worker that may
    be alive is removed only with --force, which ends neither it nor its job.
    """
    check_registered(app.site, worker)
    life = life_of(app, worker)
    if life and not force:
        raise ResqueError(
            f"{worker} {life.sign}. Its job, if it has one, would be treated as lost, but would "
            f"go on. {life.instead} --force removes it anyway."
        )
    outcome = _take_off(app, worker)
    say(f"Removed {worker}; {WHAT_BECAME[outcome]}.")
    if life:
        note(
            life.after + ("" if outcome == "rescued" else " The job that it was doing goes on too.")
        )


@command(cls=Listing, params=[*RESCUE, *PRUNE])
@pass_app
def prune(app: App) -> int:
    """Remove all dead workers from Redis and rescue their jobs.

    A worker is dead if it ran on this host and its process is gone, or if it has
    sent no heartbeat for --prune-interval. With --json: an array of {"worker",
    "job" (failed, requeued, or rescued if it had none)}. The exit status is 1 if
    a worker could not be rescued.
    """
    pruner = _pruner(app)
    with silenced():
        pruned = pruner.prune()
    rows = [{"worker": worker, "job": outcome} for worker, outcome in pruned]
    columns = [
        Column("WORKER", lambda row: row["worker"]),
        Column("", lambda row: WHAT_BECAME[row["job"]]),
    ]
    if rows or not pruner.stuck:
        listing(app, rows, columns, "No worker is dead.")
    for worker, problem in pruner.stuck.items():
        note(f"Cannot rescue what worker {worker} left: {problem}")
    return 1 if pruner.stuck else 0


def _running(row: Row) -> str:
    return "" if row["running_seconds"] is None else duration(row["running_seconds"])


def _bold_if_working(row: Row) -> dict[str, bool]:
    return {"bold": True} if row["state"] == "working" else {}


def _heartbeat(row: Row) -> str:
    return "" if row["heartbeat_age"] is None else f"{duration(row['heartbeat_age'])} ago"


def _pruner(app: App) -> Pruner:
    entries = FailedEntries(Backends.named(app.settings.failure_backend), app.resque.key_names)
    return Pruner(app.workers, app.settings, entries)


def asked(app: App, worker: str, action: str) -> Any:
    """What a worker on another host answers."""
    note(f"Asking {worker} on its host; a busy worker takes some seconds to answer.")
    return Requests(app.resque.client, app.resque.key_names).ask(worker, action)


def _wait_for_end(worker: str, pid: int) -> None:
    """Wait until the process has ended. A zombie has, however late it is reaped."""
    deadline = time.monotonic() + KILL_SECONDS
    while is_alive(pid):
        if time.monotonic() > deadline:
            raise ResqueError(
                f"{worker} was killed, but is still there after {KILL_SECONDS:g} seconds."
            )
        time.sleep(0.01)


def _take_off(app: App, worker: str) -> str:
    """What became of its job: a key of WHAT_BECAME."""
    for _ in range(3):  # it may have been in the middle of a step
        outcome = _pruner(app).remove(worker)
        if outcome != "changed":
            return outcome
        if not app.workers.exists(worker):
            raise ResqueError(f"{worker} has just left by itself.")
    raise ResqueError(f"{worker} took another job each time that it was to be removed: try again.")
