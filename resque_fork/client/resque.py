"""The client: what applications and tools say to a Resque."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import (
    NoClassError,
    SettingsError,
)
from ..job.hooks import job_hooks
from ..job.registry import declaration_of
from ..job.reservation import Reservation
from ..job.retry import Time
from ..job.schedule import CATCH_UP, Schedule
from ..lazy import shared_property
from ..metrics.collect import JobLabels, by_minute, collect
from ..metrics.names import Metric
from ..settings import BOOLEAN, value_of, value_of_variable
from ..store.delayed import Item
from ..store.delayed_jobs import DelayedJobs
from ..store.failures import count_all
from ..store.queues import Queues
from ..store.redis_url import RedisURL
from ..store.retried_jobs import Retries
from ..store.schedules import StoredSchedules
from ..store.stats import Stats
from ..store.statuses import Statuses
from ..store.workers import Workers
from ..wire.job import Payload
from ..wire.keys import Keys, to_text
from ..wire.record import WorkerRecord
from ..wire.status import Status, id_of, without_id
from .enqueue import Enqueuer, all_agree, own_queue, queue_name
from .failed import FailedJobs
from .killing import kill
from .later import When, new_item, refuse_unless_for_others
from .payloads import decoded, is_job
from .receipt import Receipt

if TYPE_CHECKING:
    from ..store.client import Client
    from ..store.url_of_client import RedisClient

INLINE = "RESQUE_INLINE"
BULK = 1000  # payloads a round trip
BULK_BYTES = 4 * 1024 * 1024
LAST_SECOND = 253402300799  # since the epoch, that a datetime can hold


class Resque:
    """A Resque: one Redis, one namespace.

    Without a URL it is the Redis of the environment (``RESQUE_REDIS``,
    ``REDIS_URL``), else ``redis://localhost:6379/0``. Connects when first
    used; may be shared by threads and survives a fork. With `inline`, by
    default if ``RESQUE_INLINE`` is set, jobs are performed where they are enqueued, for tests.

    Instead of a URL it takes a client of redis-py: one of a server, of Sentinel (``master_for``)
    or of a Cluster. It connects by itself, with the client's address, login, timeouts and TLS, and
    neither uses the client nor closes it.

    `timeout` is the longest time in seconds that enqueueing waits for Redis,
    connecting included; by default the URL's ``socket_timeout``, or 3. Other
    methods wait that long for each reply.

    Every method raises RedisUnavailable if Redis does not answer, and
    RedisRefused (AccessRefused, WrongKeyType) if it refuses.
    """

    def __init__(
        self,
        url: str | RedisClient | None = None,
        *,
        namespace: str | None = None,
        inline: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        self.server = RedisURL(value_of("redis", _as_url(url), os.environ))
        self.timeout = self.server.timeout(timeout)
        self.key_names = Keys(value_of("namespace", namespace, os.environ))
        self.server.check_namespace(self.key_names.namespace)
        self.inline = inline_of_environment() if inline is None else inline

    def __repr__(self) -> str:
        return f"<Resque {self.server} namespace {self.key_names.namespace!r}>"

    @shared_property
    def client(self) -> Client:
        """Carries commands to Redis; what goes wrong is raised as this package's errors."""
        from ..store.client import Client

        return Client(self.server, self.timeout)

    @property
    def redis(self) -> Any:
        """The redis-py client. That of a Cluster connects at once, the others when first used."""
        return self.client.redis

    @shared_property
    def _enqueuer(self) -> Enqueuer:
        return Enqueuer(self.client, self._queues, self._delayed, self._statuses, self.timeout)

    @shared_property
    def _queues(self) -> Queues:
        return Queues(self.client, self.key_names)

    @shared_property
    def _delayed(self) -> DelayedJobs:
        return DelayedJobs(self.client, self.key_names)

    @shared_property
    def _retries(self) -> Retries:
        return Retries(self.client, self.key_names)

    @shared_property
    def schedules(self) -> StoredSchedules:
        """The schedules as they stand in Redis."""
        return StoredSchedules(self.client, self.key_names)

    @shared_property
    def _statuses(self) -> Statuses:
        return Statuses(self.client, self.key_names)

    @shared_property
    def _workers(self) -> Workers:
        return Workers(self.client, self.key_names)

    @shared_property
    def stats(self) -> Stats:
        """The counters; ``stats.get("processed")`` and ``stats.get("failed")`` are those of all."""
        return Stats(self.client, self.key_names)

    # --- jobs

    def enqueue(self, job: Any, /, *args: Any, **kwargs: Any) -> Receipt | bool:
        """Queue a declared job on its own queue; see `enqueue_to`.

        Raises NoQueueError if it has none.
        """
        declaration = declaration_of(job)
        queue = own_queue(declaration)
        return self._enqueuer.enqueue(queue, declaration, args, kwargs, inline=self.inline)

    def enqueue_to(self, queue: str, job: Any, /, *args: Any, **kwargs: Any) -> Receipt | bool:
        """Queue a job on a queue of your choice; `job` may be just its name on the wire.

        Keyword arguments are bound to the job's signature and travel as
        positions. Runs the enqueue hooks; False if one of them stopped it, a `Receipt` if the job
        is declared with ``track=True``, and else True.
        Raises ArgumentsError for what JSON cannot carry (nothing is queued then),
        MaybeEnqueued if the connection broke during the push.
        """
        name, declaration = queue_name(queue), declaration_of(job)
        return self._enqueuer.enqueue(name, declaration, args, kwargs, inline=self.inline)

    def enqueue_many(
        self,
        job: Any,
        many_args: Iterable[Sequence[Any]],
        *,
        queue: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Queue one job for each sequence of arguments, in few round trips; returns how many.

        Runs the enqueue hooks of each; none of them is tracked. If something raises on the
        way, what was pushed before stays pushed, and the error's ``enqueued`` says how many.
        `progress` is told the size of each batch.
        """
        declaration = declaration_of(job)
        name = queue_name(queue, declaration)
        return self._enqueuer.enqueue_many(
            name, declaration, many_args, progress, inline=self.inline
        )

    def enqueue_at(self, when: When, job: Any, /, *args: Any, **kwargs: Any) -> Receipt | bool:
        """Queue a declared job on its own queue when a time has come; see `enqueue_at_to`."""
        declaration = declaration_of(job)
        return self.enqueue_at_to(queue_name(None, declaration), when, job, *args, **kwargs)

    def enqueue_at_to(
        self, queue: str, when: When, job: Any, /, *args: Any, **kwargs: Any
    ) -> Receipt | bool:
        """Queue a job on a queue of your choice when a time has come.

        `when` is a datetime with a time zone, or seconds since the epoch; a job whose time has
        passed is queued at once. Runs the schedule hooks; False if one of them stopped it.
        A worker's clock moves the job to its queue: see ``--clock``. Raises ArgumentsError for
        a time that is not valid, and for arguments that no scheduler can read.
        """
        name, declaration, inline = queue_name(queue), declaration_of(job), self.inline
        return self._enqueuer.delay(name, declaration, args, kwargs, when=when, inline=inline)

    def enqueue_in(self, delay: Time, job: Any, /, *args: Any, **kwargs: Any) -> Receipt | bool:
        """Queue a declared job on its own queue after a delay; see `enqueue_in_to`."""
        declaration = declaration_of(job)
        return self.enqueue_in_to(queue_name(None, declaration), delay, job, *args, **kwargs)

    def enqueue_in_to(
        self, queue: str, delay: Time, job: Any, /, *args: Any, **kwargs: Any
    ) -> Receipt | bool:
        """Queue a job on a queue of your choice after a delay, by the clock of Redis.

        `delay` is in seconds, a timedelta, or text such as ``"10m"``. The rest is as for
        `enqueue_at_to`.
        """
        name, declaration, inline = queue_name(queue), declaration_of(job), self.inline
        return self._enqueuer.delay(name, declaration, args, kwargs, delay=delay, inline=inline)

    def delayed(self, job: Any, /, *args: Any, queue: str | None = None) -> list[datetime.datetime]:
        """When a job with exactly these arguments is due, the earliest first; times are UTC.

        A job that another scheduler has delayed beyond the year 9999 is due at its end.
        """
        return [
            datetime.datetime.fromtimestamp(min(int(found.moment), LAST_SECOND), datetime.UTC)
            for found in self._waiting(job, args, queue)
        ]

    def remove_delayed(self, job: Any, /, *args: Any, queue: str | None = None) -> int:
        """Remove delayed jobs with exactly these arguments; returns how many there were.

        Jobs that wait for a retry are delayed jobs too.
        """
        return sum(self._delayed.remove(item) for item in self._waiting(job, args, queue))

    def status(self, job_id: str) -> Status:
        """What is known of a tracked job, by the id of its `Receipt`."""
        return self._statuses.get(job_id)

    def kill(self, job_id: str) -> Status:
        """Take a tracked job out of its queue or the delayed set, or have its worker end it.

        Its worker hears of it within seconds: it raises `JobKilled` in the job, and sends TERM and
        then KILL if it goes on. Returns what is known of the job when all has been asked for.
        """
        return kill(job_id, self._statuses, self._queues, self._delayed)

    def dequeue(
        self,
        job: Any,
        /,
        *args: Any,
        queue: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Remove jobs from their queue: those with these arguments, or without any, all.

        Arguments are compared by value, so jobs that other languages queued are
        found too. Runs the dequeue hooks; returns how many were removed.

        A long queue is gone through in steps, and `progress` is told how many jobs of
        it each step looked at. What is raised on the way says in ``done`` how many
        jobs had been removed, and in ``perhaps`` how many more may have been.
        """
        declaration = declaration_of(job)
        name = queue_name(queue, declaration)
        if not all_agree(job_hooks(declaration.hook_owners, "before_dequeue"), args):
            return 0
        wanted = Payload.of(declaration.wire_name, args).args if args else None

        removed = self._queues.remove_matching(
            name,
            is_job(declaration.wire_name, wanted),
            progress or (lambda size: None),
            lambda payloads: self._statuses.note_taken_out(
                list(filter(None, map(id_of, payloads)))
            ),
        )
        for hook in job_hooks(declaration.hook_owners, "after_dequeue"):
            hook(*args)
        return removed

    def reserve(self, queue: str) -> Reservation | None:
        """Take the first job of a queue, or None if there is none.

        It is on nobody's record: if this process dies, the job is lost. Workers
        do not use it. Raises UnreadablePayload for a payload that is no job.
        """
        raw = self._queues.pop(queue)
        return None if raw is None else Reservation(queue, Payload.parse(raw))

    # --- schedules

    def set_schedule(
        self,
        name: str,
        job: Any,
        /,
        *args: Any,
        cron: str | None = None,
        every: Time | None = None,
        queue: str | None = None,
        description: str = "",
        catch_up: Time = CATCH_UP,
    ) -> None:
        """Queue a job again and again, from now on, until `remove_schedule`; see `Schedule`.

        It is stored where resque-scheduler keeps its dynamic schedules, and replaces one of the
        same name. Raises SettingsError for what is not valid, also if workers declare a schedule
        of this name, and if cronsim is missing for `cron`.
        """
        declaration = declaration_of(job)
        schedule = Schedule(
            name,
            declaration.wire_name,
            queue_name(queue, declaration),
            cron,
            every,
            declaration.bind(args, {}),
            description,
            catch_up,
        )
        schedule.check()
        refuse_unless_for_others(schedule.payload(), "put on a schedule")
        shared = schedule.to_ruby()
        timing = Schedule.from_json(name, shared).timing  # with its zone, as clocks will read it
        if not self.schedules.set(name, timing, shared, schedule.own_json()):
            raise SettingsError(f"Workers declare a schedule {name!r}: give this one another name.")

    def remove_schedule(self, name: str) -> bool:
        """Remove a schedule; False if there is none.

        Raises SettingsError if workers declare it: they would declare it again.
        """
        removed = self.schedules.remove(name)
        if removed is None:
            raise SettingsError(
                f"Workers declare the schedule {name!r}: take it out of the application, or pause "
                "it."
            )
        return removed

    # --- queues

    def push(self, queue: str, item: dict[str, Any]) -> None:
        """Push any payload, an object with ``class`` and ``args``. No hooks are run.

        Raises NoClassError, and ArgumentsError for what is not JSON.
        """
        name = queue_name(queue)
        if not isinstance(item.get("class"), str) or not item["class"]:
            raise NoClassError()
        self._enqueuer.push(name, Payload.of_item(item).raw)

    def pop(self, queue: str) -> Any:
        """Take the first payload of a queue, decoded, or None; it is on nobody's record."""
        raw = self._queues.pop(queue)
        return None if raw is None else decoded(raw)

    def peek(self, queue: str, start: int = 0, count: int = 1) -> Any:
        """Look at payloads: one (or None) for a count of 1, else a list."""
        items = [decoded(raw) for raw in self._queues.peek(queue, start, count)]
        if count == 1:
            return items[0] if items else None
        return items

    def size(self, queue: str) -> int:
        """Number of jobs in a queue."""
        return self._queues.size(queue)

    def queues(self) -> list[str]:
        """Every known queue, sorted."""
        return self._queues.names()

    def queue_sizes(self) -> dict[str, int]:
        """Number of jobs by queue."""
        return self._queues.sizes()

    def sample_queues(self, sample_size: int = 1000) -> dict[str, dict[str, Any]]:
        """For each queue its ``size`` and up to `sample_size` of its jobs as ``samples``."""
        return {
            name: {
                "size": size,
                "samples": [decoded(raw) for raw in self._queues.peek(name, 0, sample_size)],
            }
            for name, size in self.queue_sizes().items()
        }

    def remove_queue(self, queue: str) -> int:
        """Delete a queue with all its jobs; returns how many there were."""
        return self._queues.remove(queue)

    def clear_queue(self, queue: str) -> int:
        """Delete all jobs of a queue, which stays known; returns how many there were."""
        return self._queues.clear(queue)

    # --- workers

    def workers(self) -> list[str]:
        """The ids of all registered workers, ``host:pid:queues``, sorted."""
        return self._workers.ids()

    def working(self) -> dict[str, WorkerRecord | None]:
        """What workers are doing, by id; None for a record that cannot be read.

        `queue`, `run_at` and the payload's bytes of those that have a job.
        """
        records = self._workers.records(self._workers.ids())
        return {worker_id: _record(raw) for worker_id, raw in records.items()}

    # --- failures, and the rest

    def failed(self, name: str = "failed") -> FailedJobs:
        """A list of failed jobs; redis_multi_queue has others, ``<queue>_failed``."""
        return FailedJobs(self.client, self.key_names, name)

    def info(self) -> dict[str, Any]:
        """pending, delayed, retrying, processed, failed, queues, workers, working (numbers) and
        servers (URLs).

        delayed counts jobs that wait for their time, those to be retried among them; failed
        counts the jobs in all lists of failed jobs.
        """
        sizes = self._queues.sizes()
        workers = self._workers.ids()
        return {
            "pending": sum(sizes.values()),
            "delayed": self._delayed.count_jobs(),
            "retrying": self._retries.count(),
            "processed": self.stats.get("processed"),
            "failed": count_all(self.client, self.key_names),
            "queues": len(sizes),
            "workers": len(workers),
            "working": len(self._workers.records(workers)),
            "servers": [str(self.server)],
        }

    def metrics(self) -> list[Metric]:
        """All numbers as Prometheus has them, as values: see docs/metrics.md."""
        return collect(self.client, self.key_names)

    def jobs_by_minute(self, minutes: int = 60) -> dict[int, Mapping[JobLabels, int]]:
        """How jobs ended in each of the last minutes, of which a day is kept; the newest is last.

        By the second since the epoch at which a minute began, then by queue, class and outcome.
        """
        return by_minute(self.client, self.key_names, minutes)

    def keys(self) -> list[str]:
        """Every key of the namespace, without it. Walks the whole database."""
        prefix = self.key_names.prefix
        escaped = prefix.translate({ord(c): f"\\{c}" for c in "*?[]\\^-"})
        return sorted(to_text(key)[len(prefix) :] for key in self.client.scan(f"{escaped}*"))

    def pause(self, queue: str | None = None) -> None:
        """Keep every worker of every host from taking new jobs, or only those of one queue.

        The queue need not exist yet. Only workers of resque-fork know of a paused queue.
        """
        if queue is None:
            self._queues.pause_all()
        else:
            self._queues.pause(queue_name(queue))

    def resume(self, queue: str | None = None) -> None:
        """End a pause of all workers, or that of one queue."""
        if queue is None:
            self._queues.resume_all()
        else:
            self._queues.resume(queue_name(queue))

    def paused(self) -> bool:
        """Whether all workers are paused."""
        return self._queues.all_paused()

    def paused_queues(self) -> list[str]:
        """The names of the paused queues, sorted."""
        return self._queues.paused()

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        if "client" in self.__dict__:
            self.client.close()

    # --- inside

    def _waiting(self, job: Any, args: Sequence[Any], queue: str | None) -> list[Item]:
        """The delayed jobs with exactly these arguments, the earliest first."""
        declaration = declaration_of(job)
        name = queue_name(queue, declaration)
        item = new_item(Payload.of(declaration.wire_name, args), name)
        if declaration.track:  # each has an id of its own
            return [found for found in self._delayed.each() if without_id(found.raw) == item]
        return [Item(moment, item) for moment in self._delayed.moments_of(item)]


def _as_url(given: str | RedisClient | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    from ..store.url_of_client import url_of_client

    return url_of_client(given)


def inline_of_environment() -> bool:
    """Whether ``RESQUE_INLINE`` asks for it. Raises SettingsError."""
    return bool(value_of_variable(INLINE, BOOLEAN, os.environ, default=False))


def _record(raw: bytes) -> WorkerRecord | None:
    """What a worker has on record; None if it cannot be read."""
    try:
        return WorkerRecord.parse(raw)
    except (ValueError, RecursionError):
        return None
