"""Whether a worker may be alive, as far as it can be told from here, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass

from ..ops.worker_report import ALIVE, GONE, WorkerReport
from ..store.workers import WorkerId
from ..system.identity import Identity
from ..text import duration
from .app import App


@dataclass(frozen=True)
class Life:
    """Of a worker that may be alive: the sign, what ends it, and what it does once removed."""

    sign: str
    instead: str
    after: str


def life_of(app: App, worker: str) -> Life | None:
    """None if it is certainly dead, or was silent for longer than the prune interval."""
    parts = WorkerId.parse(worker)
    ours = Identity.from_fields(app.workers.process(worker)) is not None
    after = "goes on working, unlisted: it does not register again."
    if ours:
        after = "registers again with its next heartbeat."
    process = WorkerReport(app.site).process(worker)
    if process == GONE:
        return None
    if process == ALIVE:
        instead = (
            f"End it with resque-fork kill {worker}."
            if ours
            else f"End it first: it is process {parts.pid}, and not a worker of resque-fork."
        )
        return Life("is alive on this host", instead, f"It is alive and {after}")
    sign = _heartbeat_of(app, worker, ours)
    if sign is None:
        return None
    command = f" there: resque-fork kill {worker}" if ours else " where it runs"
    return Life(sign, f"End it first{command}.", f"If it is alive, it {after}")


def _heartbeat_of(app: App, worker: str, ours: bool) -> str | None:
    """What its heartbeat shows where its process cannot be seen; None if it is dead."""
    beats = app.workers.heartbeats()
    beat = beats.get(worker)
    if beat is None and ours and worker not in beats:  # a Ruby worker removed it
        beat = app.workers.own_heartbeat(worker)
    now = app.workers.now()
    if beat is None:
        told = "sends heartbeats that cannot be read" if worker in beats else "sends no heartbeats"
        return f"{told}, so it is not known here whether it is alive"
    if int(now - beat) > app.settings.prune_interval:
        return None
    return f"sent a heartbeat {duration(now - beat)} ago"
