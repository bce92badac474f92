"""Kills a tracked job, wherever it is."""

from __future__ import annotations

from ..store.delayed_jobs import DelayedJobs
from ..store.queues import Queues
from ..store.statuses import Statuses
from ..wire.status import DELAYED, QUEUED, Status, id_of, id_of_item


def kill(job_id: str, statuses: Statuses, queues: Queues, delayed: DelayedJobs) -> Status:
    """Take a job out of its queue or the delayed set, or have its worker end it.

    It is marked first: should a worker take it meanwhile, that worker finds the mark. Returns
    what is known of the job then.
    """
    status = statuses.get(job_id)
    if not status or status.ended:
        return status
    statuses.ask_to_kill(job_id)
    if _take_out(status, queues, delayed):
        statuses.note_taken_out([job_id])
    return statuses.get(job_id)


def _take_out(status: Status, queues: Queues, delayed: DelayedJobs) -> bool:
    """Whether it was still there. A job that has just been moved to its queue stays marked."""
    if status.state == QUEUED:
        return queues.remove_one(status.queue, lambda payload: id_of(payload) == status.id)
    if status.state == DELAYED and status.due is not None:
        for item in delayed.each_at(str(int(status.due.timestamp()))):
            if id_of_item(item.raw) == status.id:
                return delayed.remove(item) > 0
    return False
