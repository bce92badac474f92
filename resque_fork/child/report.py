"""What parent and child say to each other, over a pipe each way.

A message is so many bytes behind their number (four bytes, big-endian). A child's
reports about a job are objects of JSON:

    read                  the class of a payload that was too large for its parent to read
    performed             the job is done: it has returned, or a hook of its own has skipped it
    failed                the job raised; if there is more to do about it, it is followed by
    handled               on_failure hooks and failure backends have run
    exiting               all is flushed, and exit hooks have run: nothing is left but to exit

The parent says which job comes next: a head of numbers, then its queue, time and payload. Or it
closes its end: there is none.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..failure import Failure
from ..job.reservation import Reservation
from ..policies.action import Action
from ..system import process
from ..wire.job import Payload
from ..wire.json import decode
from ..wire.status import LONGEST_RESULT

LONGEST = 1024 * 1024  # of a report; a job's output does not travel here
LONGEST_JOB = 1 << 31  # of a job; bounded by the largest payload
_LENGTH = struct.Struct(">I")
_HEAD = struct.Struct(">IIId")  # lengths of queue and time; failures, and when it first failed

Usage = Mapping[str, int]
USED = ("rss_growth_kb", "user_ms", "system_ms", "wall_ms")


@dataclass(frozen=True, slots=True)
class Read:
    """What the child has read in a payload: its class, and whether other languages can read it."""

    class_name: str
    portable: bool

    name = "read"

    def to_dict(self) -> dict[str, Any]:
        return {"class": self.class_name, "portable": self.portable}


@dataclass(frozen=True, slots=True)
class Done:
    """The job has returned, or a hook of its own skipped it.

    `result` is what it returned, as JSON, if that is kept; else empty.
    """

    used: Usage
    result: str = ""

    name = "performed"

    def to_dict(self) -> dict[str, Any]:
        return {"used": self.used, "result": self.result}


@dataclass(frozen=True, slots=True)
class Failed:
    """The job has raised.

    `leaving` if the child takes no other job, `after_term` if what was raised came of a
    TermException, `final` if nothing is to be done about it in the child. `action` is what
    a policy has decided. `left_to_worker` if the worker is to handle it, which knows whether
    the job was stopped.
    """

    failure: Failure
    used: Usage
    leaving: bool = False
    after_term: bool = False
    final: bool = True
    action: Action | None = None
    left_to_worker: bool = False

    name = "failed"

    def to_dict(self) -> dict[str, Any]:
        return {
            **_told(self.failure),
            "used": self.used,
            "leaving": self.leaving,
            "after_term": self.after_term,
            "final": self.final,
            "left_to_worker": self.left_to_worker,
            "action": self.action.verb if self.action else "",
            "seconds": float(self.action.seconds) if self.action else 0.0,
            "counts": self.action is None or self.action.counts,
        }


@dataclass(frozen=True, slots=True)
class Handled:
    """Hooks and backends have run; `saved` if all backends took the failure."""

    failure: Failure
    saved: bool

    name = "handled"

    def to_dict(self) -> dict[str, Any]:
        return {**_told(self.failure), "saved": self.saved}


@dataclass(frozen=True, slots=True)
class Exiting:
    """The last thing that a child says, at the very end of its life."""

    name = "exiting"

    def to_dict(self) -> dict[str, Any]:
        return {}


Report = Read | Done | Failed | Handled | Exiting

_FAILURE = {"exception": str, "error": str, "backtrace": list}
_SHAPES: Mapping[Any, Mapping[str, type]] = {
    "read": {"class": str, "portable": bool},
    "performed": {"used": dict, "result": str},
    "failed": {
        **_FAILURE, "used": dict, "leaving": bool, "after_term": bool, "final": bool,
        "left_to_worker": bool, "action": str, "seconds": float, "counts": bool,
    },
    "handled": {**_FAILURE, "saved": bool},
    "exiting": {},
}  # fmt: skip

# What a child may report next, by what it has reported last of the present job; or by what was
# asked of it: nothing yet, a job, a job to be read there, the handling of a failure.
WAITING, GIVEN, UNREAD, HANDLING = "waiting", "given", "unread", "failed"
FOLLOWS: Mapping[str, Sequence[str]] = {
    WAITING: (),
    UNREAD: ("read", "failed"),
    GIVEN: ("performed", "failed"),
    "read": ("performed", "failed"),
    "failed": ("handled",),
    "performed": ("exiting",),
    "handled": ("exiting",),
    "exiting": (),
}


class BrokenReport(Exception):
    """Something that is not a message came out of the pipe."""


def framed(body: bytes) -> bytes:
    """A message as it travels."""
    return _LENGTH.pack(len(body)) + body


def send(fd: int, body: bytes) -> None:
    """Write one message, however long that takes."""
    data = memoryview(framed(body))
    while data:
        data = data[process.write(fd, data) :]


# --- reports


def follow(said: str, report: Report) -> str:
    """What has been said with this report. Raises BrokenReport if it does not follow."""
    if report.name not in FOLLOWS[said]:
        raise BrokenReport(f"{report.name!r} after {said!r}")
    return "handled" if isinstance(report, Failed) and report.final else report.name


def packed(report: Report) -> bytes:
    """A report for a message."""
    text = json.dumps(
        {"report": report.name, **report.to_dict()}, ensure_ascii=False, separators=(",", ":")
    )
    return text.encode("utf-8", "surrogatepass")  # errors are any text


def parse(body: bytes) -> Report:
    """One of a child's reports. Raises BrokenReport: a job may write anything into the pipe.

    What it says goes into a failed entry, so names and types have to be right.
    """
    try:
        said = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BrokenReport(str(error)) from None
    name = said.get("report") if isinstance(said, dict) else None
    shape = _SHAPES.get(name) if isinstance(name, str) else None
    if shape is None or any(not isinstance(said.get(key), kind) for key, kind in shape.items()):
        raise BrokenReport("not a report of a child's")
    if "used" in shape and (
        said["used"].keys() != set(USED) or not set(map(type, said["used"].values())) <= {int}
    ):
        raise BrokenReport("not what a job has used")
    if not set(map(type, said.get("backtrace", ()))) <= {str}:
        raise BrokenReport("not lines of a backtrace")
    if name == "exiting":
        return Exiting()
    if name == "read":
        return Read(said["class"], said["portable"])
    if "error" not in shape:
        return Done(said["used"], said["result"] and _result(said["result"]))
    failure = Failure(said["exception"], said["error"], said["backtrace"])
    if name == "handled":
        return Handled(failure, said["saved"])
    return Failed(
        failure,
        said["used"],
        said["leaving"],
        said["after_term"],
        said["final"],
        _action(said),
        said["left_to_worker"],
    )


def _result(text: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > LONGEST_RESULT:
        raise BrokenReport(f"a result of {len(raw)} bytes")
    try:
        decode(raw)
    except ValueError as problem:
        raise BrokenReport(f"a result, but {problem}") from None
    return text


def _action(said: Mapping[str, Any]) -> Action | None:
    if not said["action"]:
        return None
    try:
        return Action.reported(said["action"], said["seconds"], said["counts"])
    except ValueError as problem:
        raise BrokenReport(str(problem)) from None


def _told(failure: Failure) -> dict[str, Any]:
    return {
        "exception": failure.exception,
        "error": failure.error,
        "backtrace": list(failure.backtrace),
    }


EXITING = packed(Exiting())


# --- jobs


def packed_job(job: Reservation) -> bytes:
    """For a message: names of queues may be any bytes, and so may payloads."""
    name, moment = job.queue.encode("utf-8", "surrogateescape"), job.run_at.encode()
    head = _HEAD.pack(len(name), len(moment), job.failures, job.first_failed)
    return b"".join((head, name, moment, job.payload.raw))


def read_job(body: bytes) -> Reservation:
    """The job that the parent sent."""
    name, moment, failures, first_failed = _HEAD.unpack_from(body)
    start = _HEAD.size + name
    queue = body[_HEAD.size : start].decode("utf-8", "surrogateescape")
    run_at, raw = body[start : start + moment].decode(), body[start + moment :]
    payload = Payload.take(raw, limit=len(raw))
    return Reservation(queue, payload, run_at, failures, first_failed)


@dataclass
class Inbox:
    """Puts messages together from whatever comes out of a pipe.

    `rest` is the beginning of a message whose end has not come yet.
    """

    fd: int
    longest: int = LONGEST
    closed: bool = False
    rest: bytearray = field(default_factory=bytearray)

    def read(self) -> list[bytes]:
        """The messages that are complete now; waits for data if the descriptor blocks.

        Sets `closed` at the end of the pipe. Raises BrokenReport.
        """
        try:
            data = process.read(self.fd, 65536)
        except BlockingIOError:
            return []
        if not data:
            self.closed = True
        self.rest += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if len(self.rest) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self.rest)
        if length > self.longest:
            raise BrokenReport(f"a message of {length} bytes")
        end = _LENGTH.size + length
        if len(self.rest) < end:
            return None
        body = bytes(self.rest[_LENGTH.size : end])
        del self.rest[:end]
        return body
