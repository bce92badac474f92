"""What is known of tracked jobs, as the command line and the dashboard show it."""

from __future__ import annotations

import datetime

from ..wire.status import Status
from ..wire.times import run_time
from .rows import Row


def nothing_known(job_id: str) -> str:
    """A sentence for who asks for such a job."""
    return (
        f"Nothing is known of a job {job_id}: it is not tracked, or it has ended and its status "
        "has expired."
    )


def status_row(found: Status) -> Row:
    """As ``status --json`` prints it."""
    return {
        "id": found.id,
        "state": found.state,
        "class": found.name,
        "queue": found.queue,
        "message": found.message,
        "num": found.num,
        "total": found.total,
        "percent": found.percent,
        "result": found.result,
        "created_at": shown_moment(found.created),
        "due_at": shown_moment(found.due),
    }


def shown_moment(moment: datetime.datetime | None) -> str | None:
    """As all our times."""
    return None if moment is None else run_time(moment.timestamp())
