"""The names of all keys in Redis.

Resque's own keys are shared with workers and dashboards in other languages;
``fork:*`` is ours alone. Names travel as text: bytes that are not UTF-8 are
kept by surrogate escapes, so that every queue that exists can be named.
"""

from __future__ import annotations

DEFAULT_NAMESPACE = "resque"


class Keys:
    """Key names in one namespace: ``Keys("resque").queue("mail")`` is ``resque:queue:mail``."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.namespace = namespace
        self.prefix = f"{namespace}:"
        # Resque's
        self.queues = f"{namespace}:queues"
        self.workers = f"{namespace}:workers"
        self.heartbeats = f"{namespace}:workers:heartbeat"
        self.failed = f"{namespace}:failed"
        self.failed_queues = f"{namespace}:failed_queues"
        self.pruning_lock = f"{namespace}:pruning_dead_workers_in_progress"
        self.pause = f"{namespace}:pause-all-workers"
        # resque-scheduler's: the times at which delayed jobs are due, and when schedules ticked
        self.delayed_times = f"{namespace}:delayed_queue_schedule"
        self.delayed_prefix = f"{namespace}:delayed:"
        self.timestamps_prefix = f"{namespace}:timestamps:"
        self.last_enqueued = f"{namespace}:delayed:last_enqueued_at"
        self.schedules = f"{namespace}:persistent_schedules"
        self.schedules_changed = f"{namespace}:schedules_changed"
        # resque-status'
        self.statuses = f"{namespace}:_statuses"
        self.kill = f"{namespace}:_kill"
        self.status_prefix = f"{namespace}:status:"
        # ours
        self.own_statuses = f"{namespace}:fork:statuses"
        self.own_workers = f"{namespace}:fork:workers"
        self.attempts = f"{namespace}:fork:attempts"
        self.paused_queues = f"{namespace}:fork:queues:paused"
        self.access = f"{namespace}:fork:access"
        self.own_pruning_lock = f"{namespace}:fork:pruning"
        self.kept_prefix = f"{namespace}:fork:kept:"
        self.jobs = f"{namespace}:fork:jobs"
        self.retries = f"{namespace}:fork:retries"
        self.retry_prefix = f"{namespace}:fork:retry:"
        self.clock = f"{namespace}:fork:clock"
        self.own_schedules = f"{namespace}:fork:schedules"
        self.renewals = f"{namespace}:fork:schedules:renewed"
        self.paused_schedules = f"{namespace}:fork:schedules:paused"
        self.ticks = f"{namespace}:fork:ticks"
        self.metrics = f"{namespace}:fork:metrics"
        self.metrics_queues = f"{namespace}:fork:metrics:queues"
        self.metrics_classes = f"{namespace}:fork:metrics:classes"
        self.marks_prefix = f"{namespace}:fork:marks:"
        self.ask_prefix = f"{namespace}:fork:ask:"
        # what the server announces changes of: `queues` and every `queue:<name>`, the pauses, and
        # requests to workers
        self.listener_prefixes = (
            f"{namespace}:queue",
            self.pause,
            self.paused_queues,
            self.ask_prefix,
        )

    def queue(self, name: str) -> str:
        """List of payloads, taken from the left."""
        return f"{self.namespace}:queue:{name}"

    def worker(self, worker_id: str) -> str:
        """String: the job that the worker has on record; missing while it has none."""
        return f"{self.namespace}:worker:{worker_id}"

    def started(self, worker_id: str) -> str:
        return f"{self.namespace}:worker:{worker_id}:started"

    def stat(self, name: str, worker_id: str | None = None) -> str:
        """String: a count, of the whole fleet or of one worker."""
        whose = f":{worker_id}" if worker_id else ""
        return f"{self.namespace}:stat:{name}{whose}"

    def failed_list(self, name: str) -> str:
        """List of failed entries; ``failed``, or ``<queue>_failed`` of redis_multi_queue."""
        return f"{self.namespace}:{name}"

    def delayed(self, moment: int) -> str:
        """List of the items that are due at this second since the epoch."""
        return f"{self.delayed_prefix}{moment}"

    def timestamps(self, item: bytes) -> str:
        """Set: the lists, ``delayed:<moment>``, in which this very item waits. A hint only."""
        return self.timestamps_prefix + to_text(item)

    def scheduler_lock(self, prefix: str = "") -> str:
        """String: Ruby's scheduler that moves delayed jobs; its key has the namespace twice."""
        before = f"{prefix}:" if prefix else ""
        return f"{self.namespace}:{self.namespace}:{before}resque_scheduler_master_lock"

    def status(self, job_id: str) -> str:
        """String: what is known of a tracked job; expires."""
        return self.status_prefix + job_id

    def retry(self, digest: str) -> str:
        """Hash: how often the jobs with this digest have failed, and when they are due again."""
        return self.retry_prefix + digest

    def metrics_of(self, minute: int) -> str:
        """Hash: how jobs ended in the minute that began at this second since the epoch."""
        return f"{self.metrics}:{minute}"

    def marks(self, queue: str) -> str:
        """Hash: which jobs of a queue are marked, so that it is known how long they wait."""
        return self.marks_prefix + queue

    def fork(self, worker_id: str) -> str:
        """Hash: what identifies a worker's process, its last heartbeat and its last step."""
        return f"{self.namespace}:fork:{worker_id}"

    def unread(self, worker_id: str) -> str:
        """Hash: a job on record that is not fit for ``worker:<id>``, byte for byte."""
        return f"{self.namespace}:fork:unread:{worker_id}"

    def ask(self, worker_id: str) -> str:
        """List of requests to a worker; expires."""
        return self.ask_prefix + worker_id

    def answer(self, token: str) -> str:
        """List of one: the answer to the request with this token; expires."""
        return f"{self.namespace}:fork:answer:{token}"

    def rescued(self, token: str) -> str:
        """String: the step whose job was taken off the record of the process with this token."""
        return f"{self.namespace}:fork:rescued:{token}"

    def kept(self, name: str) -> str:
        """Hash with the ``payload`` of a failed job that is too large for its entry."""
        return self.kept_prefix + name


def to_text(name: bytes | str) -> str:
    """A name as Redis returns it, as text."""
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def to_bytes(name: str) -> bytes:
    """The bytes behind such a text."""
    return name.encode("utf-8", "surrogateescape")
