"""What is known of a tracked job: ``{"uuid":"01a…","status":"working","name":"Report"}``.

The JSON is resque-status'; `queue`, `due` and `result` are ours. A job is tracked if the last key
of its payload is an id of 32 hexadecimal digits: so an item that waits, and a payload that is too
large to be decoded, tell it as well.
"""

from __future__ import annotations

import datetime
import math
import os
import re
import time
from dataclasses import dataclass
from typing import Any

from .delayed import due_at_end, payload_of
from .json import decode, encode, sayable

QUEUED, WORKING, DELAYED = "queued", "working", "delayed"
COMPLETED, FAILED, KILLED = "completed", "failed", "killed"
UNKNOWN = "unknown"  # never written: nothing is known, or nothing that can be relied on
ENDED = (COMPLETED, FAILED, KILLED)
STATES = (QUEUED, WORKING, DELAYED, *ENDED)

OVERDUE = 3600.0  # seconds after which a delayed job was moved by a scheduler that drops ids
LONGEST_MESSAGE = 1000  # characters
LONGEST_RESULT = 64 * 1024  # bytes of JSON
LAST_TIME = 2**37  # seconds since the epoch; later ones are no times

_ID = re.compile(r"[0-9a-f]{32}")
_AT_END = re.compile(rb',"id":"([0-9a-f]{32})"\}')
_SIZE = len(b',"id":""}') + 32


def new_id() -> str:
    """An id that begins with the time, in milliseconds."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def id_of(payload: bytes) -> str:
    """The id of a tracked job; empty for others."""
    if not payload.endswith(b'"}'):  # as nearly all
        return ""
    found = _AT_END.fullmatch(payload, max(0, len(payload) - _SIZE))
    return found[1].decode() if found else ""


def id_of_item(item: bytes) -> str:
    """`id_of` for a job that waits for its time."""
    due = due_at_end(item)
    return "" if due is None else id_of(payload_of(item, due))


def without_id(item: bytes) -> bytes:
    """An item as it would be if its job were not tracked."""
    job_id = id_of_item(item)
    return item.replace(b',"id":"%b"' % job_id.encode(), b"") if job_id else item


def status_text(
    job_id: str, state: str, name: str, queue: str, *, message: str = "", **more: Any
) -> bytes:
    """A status as it is written. Scripts rely on its first two keys, and add to its end."""
    text = sayable(message[:LONGEST_MESSAGE])
    return encode(
        {
            "uuid": job_id,
            "status": state,
            "time": int(job_id[:12], 16) // 1000,
            "name": sayable(name),
            "queue": sayable(queue),
            **({"message": text} if text else {}),
            **more,
        }
    )


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one tracked job.

    `state` is ``queued``, ``working``, ``delayed`` until `due`, ``completed``, ``failed``,
    ``killed``, or ``unknown``. `name` is the class of the job and `message` what was said last.
    `num` of `total` are done, if the job has reported its progress. `result` is what it
    returned, if that is kept. Times are UTC. `raw` is all that was written, by whatever
    language.
    """

    id: str
    state: str = UNKNOWN
    name: str = ""
    queue: str = ""
    message: str = ""
    created: datetime.datetime | None = None
    due: datetime.datetime | None = None
    num: float | None = None
    total: float | None = None
    result: Any = None
    raw: Any = None

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return self.state != UNKNOWN

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of the job."""
        return self.state in ENDED

    @property
    def percent(self) -> int | None:
        """How much of the job is done, from 0 to 100; None if it has reported no progress."""
        if self.num is None or self.total is None:
            return None
        return math.floor(100 * min(max(0.0, self.num / self.total), 1.0))

    @classmethod
    def parse(cls, job_id: str, raw: bytes | None, now: float) -> Status:
        """What stands in Redis, as far as it can be read; unknown if it is no status."""
        try:
            found = decode(raw or b"")
        except ValueError:
            return cls(job_id)
        if not isinstance(found, dict) or found.get("status") not in STATES:
            return cls(job_id)
        state, due = found["status"], _moment(found.get("due"))
        if state == DELAYED and due is not None and now - due.timestamp() > OVERDUE:
            state = UNKNOWN
        num, total = _number(found.get("num")), _number(found.get("total"))
        if num is None or total is None or total <= 0:
            num = total = None
        return cls(
            job_id,
            state,
            _text(found.get("name")),
            _text(found.get("queue")),
            _text(found.get("message")),
            _moment(found.get("time")),
            due if state == DELAYED else None,
            num,
            total,
            found.get("result") if state == COMPLETED else None,
            found,
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def is_number(value: Any) -> bool:
    """Whether this is a number that can be shown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 2**63


def _moment(value: Any) -> datetime.datetime | None:
    if not is_number(value) or not 0 <= value < LAST_TIME:
        return None
    return datetime.datetime.fromtimestamp(value, datetime.UTC)
