"""All workers as they are shown: what is on record of them, and whether their process lives."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from ..client.resque import Resque
from ..errors import NoQueueError
from ..store.work import look
from ..store.workers import WorkerId, Workers, worker_details
from ..system.identity import Identity, is_alive
from ..wire.queue_list import QueueList
from ..wire.record import RecordHead
from ..wire.times import run_time
from .rows import Row
from .site import Site

ALIVE, GONE, ELSEWHERE = "alive", "gone", "elsewhere"


class WorkerReport:
    """Looks at the workers of one Resque from this host."""

    def __init__(self, site: Site, host: str | None = None) -> None:
        self._resque: Resque = site.resque
        self._workers: Workers = site.workers
        self._host = host or socket.gethostname()

    def rows(self) -> list[Row]:
        """A row for each worker, as ``list --json`` prints it."""
        return self._rows(self._workers.all_ids())

    def row(self, worker_id: str) -> Row:
        """The row of one worker, registered or not."""
        [row] = self._rows([worker_id])
        return row

    def process(self, worker_id: str) -> str:
        """Whether its process is ``alive`` or ``gone``, if that can be told here."""
        return self._whereabouts(WorkerId.parse(worker_id), self._workers.process(worker_id))

    def is_here(self, worker: WorkerId, identity: Identity | None) -> bool:
        """Whether its pid is one of ours: containers may share a host name, but not their pids."""
        return worker.host == self._host and (identity is None or identity.is_here())

    def _rows(self, ids: Sequence[str]) -> list[Row]:
        works = look(self._resque.client, self._resque.key_names, ids)
        beats = self._workers.heartbeats()
        details = worker_details(self._resque.client, self._resque.key_names, ids)
        now = self._workers.now()
        pauses = _Pauses(self._resque)
        return [
            self._row(i, works[i].job, beats.get(i), *found, now, pauses)
            for i, found in zip(ids, details, strict=True)
        ]

    def _row(
        self,
        worker_id: str,
        job: RecordHead | None,
        beat: float | None,
        process: dict[str, str],
        started: float | None,
        now: float,
        pauses: _Pauses,
    ) -> Row:
        worker = WorkerId.parse(worker_id)
        since = job.since if job else None
        idle = "paused" if pauses.of(worker, process) else "idle"
        return {
            "id": worker_id,
            "host": worker.host,
            "pid": worker.pid,
            "queues": list(worker.queues),
            "state": "working" if job else idle,
            "queue": (job and job.queue) or None,
            "class": (job and job.class_name) or None,
            "run_at": _moment(since),
            "running_seconds": None if since is None else max(0, int(now - since)),
            "started_at": _moment(started),
            "heartbeat_at": _moment(beat),
            "heartbeat_age": None if beat is None else max(0, int(now - beat)),
            "process": self._whereabouts(worker, process),
        }

    def _whereabouts(self, worker: WorkerId, process: dict[str, str]) -> str:
        identity = Identity.from_fields(process)
        if worker.pid is None or not self.is_here(worker, identity):
            return ELSEWHERE
        if identity is None:  # another implementation's: all there is to go by is the pid
            return ALIVE if is_alive(worker.pid) else GONE
        return GONE if identity.has_exited(worker.pid) else ALIVE


class _Pauses:
    """What is paused now."""

    def __init__(self, resque: Resque) -> None:
        self._all = resque.paused()
        self._queues = set(resque.paused_queues())
        self._known = resque.queues() if self._queues else []
        self._found: dict[tuple[str, ...], bool] = {}  # by the queues of a worker; many are alike

    def of(self, worker: WorkerId, process: dict[str, str]) -> bool:
        """Whether a worker takes no job. Only ours know of paused queues."""
        if self._all or "paused" in process:
            return True
        if not (process and self._queues):
            return False
        if worker.queues not in self._found:
            self._found[worker.queues] = self._pauses_all(worker.queues)
        return self._found[worker.queues]

    def _pauses_all(self, queues: Sequence[str]) -> bool:
        try:
            served = set(QueueList(queues).over(self._known))
        except NoQueueError:  # an id may say anything
            return False
        return bool(served) and served <= self._queues


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else run_time(seconds)
