"""What a worker is made of, and how its parts are put together."""

from __future__ import annotations

import logging
import os
import socket

from ..child.fork import ForkedPerformer
from ..child.performer import Performer
from ..client.resque import Resque
from ..clock.clock import NOT_WAITED_FOR, Clock
from ..clock.mover import Mover
from ..clock.ticker import Ticker
from ..errors import ResqueError
from ..failure import Backends, FailedEntries
from ..logs import LogFiles
from ..metrics.tally import Tally
from ..settings import Settings, load
from ..store.delayed import DelayedSet
from ..store.metrics import QueueMarks
from ..store.queue_listener import QueueListener
from ..store.schedules import StoredSchedules
from ..store.worker_connection import BestEffort, WorkerConnection
from ..store.worker_store import WorkerStore
from ..store.workers import Workers
from ..system.identity import Identity
from ..system.service import Service
from ..wire.queue_list import QueueList
from .declarations import Declarations
from .finish import Finisher
from .hooks import HookRunner
from .idle import Idler
from .in_place import InPlacePerformer
from .maintenance import Maintenance
from .pruning import Pruner
from .reserve import Reserver
from .restorer import Restorer
from .sockets import ConnectionCheck
from .tracking import Tracker

log = logging.getLogger("resque_fork")


class WorkerParts(Service):
    """The base of `Worker`, which says what the parts do. See there for the arguments."""

    def __init__(
        self,
        *queues: str,
        resque: Resque | None = None,
        settings: Settings | None = None,
        log_files: LogFiles | None = None,
        connections: ConnectionCheck | None = None,
    ) -> None:
        settings = settings or load({}, os.environ)[0]
        self.resque = resque or Resque()
        self.queue_list = QueueList(queues or settings.queues)
        self.backends = Backends.named(settings.failure_backend)
        self.connections = connections or ConnectionCheck()
        self.hostname = socket.gethostname()
        super().__init__(settings, log_files)
        self._assemble()

    @property
    def id(self) -> str:
        """``host:pid:queues``, by which every Resque knows it."""
        return f"{self.hostname}:{self.pid}:{self.queue_list}"

    def _assemble(self) -> None:
        """Make all parts. They hold no descriptor and no connection yet."""
        keys, settings, loop = self.resque.key_names, self.settings, self._loop
        restorer = Restorer(loop, self._signals)
        self._hooks = HookRunner(restorer)
        self._performer = self._make_performer(restorer)
        self._connection = WorkerConnection(
            self.resque.server,
            loop,
            keys.queues,
            self._stop.deadline,
            self._performer.run_in_subprocess,
        )
        self._listener = QueueListener(self._connection, keys, keys.ask(self.id))
        self._idler = Idler(loop, self._listener, self._stop)
        best_effort = BestEffort(self._connection)
        identity = Identity.here().to_fields()
        self._store = WorkerStore(
            self._connection, keys, self.id, identity, settings.max_attempts, best_effort
        )
        entries = FailedEntries(self.backends, keys)
        self._pruner = Pruner(Workers(best_effort, keys), settings, entries, loop.sleep)
        queues = self.queue_list.included
        self._maintenance = Maintenance(
            loop, self._store, self._pruner, settings, queues, self._listener.note_push
        )
        loop.tasks.append(self._maintenance)
        patient = BestEffort(self._connection, NOT_WAITED_FOR)
        schedules = StoredSchedules(patient, keys, settings.scheduler_lock_prefix)
        self._clock = self._make_clock(patient, schedules, entries)
        seconds = settings.heartbeat_interval
        self._declarations = Declarations(loop, self._store, schedules, seconds)
        self._tally = Tally(loop, self._store.add_up)
        loop.tasks.append(self._tally)
        self._tracker = Tracker(loop, self._store, self._performer)
        loop.tasks.append(self._tracker)
        self._reserver = Reserver(
            self._store, self.queue_list, settings, self._tally, self._tracker
        )
        self._finisher = Finisher(
            settings, entries, self.id, self._performer, self._stop, self._tally
        )

    def _make_clock(
        self, redis: BestEffort, schedules: StoredSchedules, entries: FailedEntries
    ) -> Clock | None:
        """None in a worker that is not there for long, or whose jobs hold up its loop."""
        settings = self.settings
        if not settings.clock or not settings.fork_per_job or settings.interval == 0:
            return None
        prefix = settings.scheduler_lock_prefix
        delayed = DelayedSet(redis, self.resque.key_names, self.id, prefix)
        clock = Clock(
            self._loop,
            Mover(self._loop, delayed, entries, self._performer.run_in_subprocess),
            Ticker(schedules),
            self._listener.note_push,
            QueueMarks(redis, self.resque.key_names).mark,
        )
        self._loop.tasks.append(clock)
        return clock

    def _make_performer(self, restorer: Restorer) -> Performer:
        settings = self.settings
        if settings.fork_per_job:
            return ForkedPerformer(self._loop, settings, self.backends, self.id, self._stop)
        return InPlacePerformer(
            settings, self.backends, self.id, self._beat_from_a_thread, restorer
        )

    def _beat_from_a_thread(self) -> None:
        try:
            self._store.on(self.resque.client).heartbeat()
        except ResqueError as error:
            log.warning("A heartbeat could not be sent: %s", error)
