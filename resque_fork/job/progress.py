"""How far a tracked job is: the job says it, and its worker reads it.

It goes through a few kB of memory that a worker shares with its children. So a job may say it a
million times and the worker looks once a second; nothing waits for the other, and what was said
last is known even of a job that is killed.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import NamedTuple

from ..wire.json import decode, encode, sayable
from ..wire.status import LONGEST_MESSAGE, is_number
from .reservation import Reservation

SIZE = 8192  # bytes
_HEAD = struct.Struct(">II")  # length of the text, and its checksum


class Progress(NamedTuple):
    """`num` of `total` are done; `message` says of what, or anything else."""

    num: float
    total: float
    message: str = ""


class ProgressPage:
    """Memory in which a process leaves text for the one that has forked it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)  # shared with all children that are forked later

    def write(self, job_id: str, progress: Progress) -> None:
        """Leave the progress of a job, in place of what was there."""
        text = encode([job_id, *progress])
        data = _HEAD.pack(len(text), zlib.crc32(text)) + text
        self._memory[: len(data)] = data

    def clear(self) -> None:
        self._memory[: _HEAD.size] = bytes(_HEAD.size)

    def read(self, job_id: str) -> Progress | None:
        """What a job has said last; None if nothing, or if it is just being written."""
        length, checksum = _HEAD.unpack_from(self._memory)
        text = self._memory[_HEAD.size : _HEAD.size + length]
        if not length or zlib.crc32(text) != checksum:
            return None
        try:
            whose, num, total, message = decode(text)
        except (ValueError, TypeError):  # a job may write anything there
            return None
        is_ours = whose == job_id and is_number(num) and is_number(total) and total > 0
        return Progress(num, total, str(message)[:LONGEST_MESSAGE]) if is_ours else None


class Running:
    """The job that runs in this process, and where its progress goes."""

    page: ProgressPage | None = None
    job: Reservation | None = None


running = Running()


def progress(num: float, total: float, message: str = "") -> None:
    """Say how far the running job is: `num` of `total` are done. Its status shows it.

    It takes microseconds, so call it as often as there is something new. In a job that is not
    tracked, and where no job runs, it does nothing. Raises ValueError for numbers that make no
    sense.
    """
    for name, value in (("num", num), ("total", total)):
        if not is_number(value) or value < 0:
            raise ValueError(f"progress: {name} must be a number from 0 on, not {value!r}.")
    if total == 0:
        raise ValueError("progress: total must be more than 0.")
    job_id = running.job.id if running.job else ""
    if job_id and running.page is not None:
        text = sayable(str(message)[:LONGEST_MESSAGE])
        running.page.write(job_id, Progress(num, total, text))
