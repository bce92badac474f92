"""What parent and child say to each other, over a pipe each way.

A message is so many bytes behind their number (four bytes, big-endian). The
child's words about a job, read as dictionaries:

    read                        an object of JSON, with the class of a payload that was too large
                                for its parent, and whether it is portable
    performed, skipped          it is done: the word and the four numbers of what it `used`
    failed                      an object of JSON, with exception, error, backtrace; leaving
                                if the child takes no other job; after_term if it came
                                of a TermException; final if there is
                                nothing to settle, else followed by
    settled                     likewise; hooks and backends have run; `saved` if all took it

The parent says which job comes next, its queue, time and payload behind the lengths of the
former two; or it closes its end: there is none.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 1024 * 1024  # of a word; a job's output does not travel here
LONGEST_JOB = 1 << 31  # of a job; bounded by the largest payload
_LENGTH = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")

DONE = ("performed", "skipped")
USED = ("rss_growth_kb", "user_ms", "system_ms", "wall_ms")
_TOLD = {"exception": str, "error": str, "backtrace": list}
_OBJECTS: Mapping[Any, Mapping[str, type]] = {
    "read": {"class": str, "portable": bool},
    "failed": {"final": bool, "leaving": bool, "used": dict, **_TOLD},
    "settled": {"saved": bool, **_TOLD},
}

# What a child may say next, by what it has said last of the present job; or by what was
# asked of it: nothing yet, a job, a job to be read there, the settling of a failure.
WAITING, GIVEN, UNREAD, SETTLING = "waiting", "given", "unread", "failed"
FOLLOWS: Mapping[str, Sequence[str]] = {
    WAITING: (),
    UNREAD: ("read", "failed"),
    GIVEN: (*DONE, "failed"),
    "read": (*DONE, "failed"),
    "failed": ("settled",),
    "performed": (),
    "skipped": (),
    "settled": (),
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
        data = data[os.write(fd, data) :]


# --- words


def follow(said: str, word: Mapping[str, Any]) -> str:
    """What has been said with this word. Raises BrokenReport if it does not follow."""
    if word["word"] not in FOLLOWS[said]:
        raise BrokenReport(f"{word['word']!r} after {said!r}")
    return "settled" if word.get("final") else str(word["word"])


def packed_word(word: Mapping[str, Any]) -> bytes:
    """For a message: ``performed 0 1 2 3``, or JSON."""
    if word["word"] in DONE:
        return " ".join((word["word"], *map(str, word["used"].values()))).encode()
    text = json.dumps(word, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")  # errors are any text


def read_word(body: bytes) -> dict[str, Any]:
    """One of a child's words. Raises BrokenReport: a job may write anything into the pipe.

    What is told goes into a failed entry, so names and types have to be right.
    """
    if body.startswith(b"{"):
        return _checked(body)
    try:
        word, *used = body.decode("ascii").split(" ")
        numbers = dict(zip(USED, map(int, used), strict=True))
    except ValueError as error:
        raise BrokenReport(str(error)) from None
    if word not in DONE:
        raise BrokenReport("not a word of a child's")
    return {"word": word, "used": numbers}


def _checked(body: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BrokenReport(str(error)) from None
    word = message.get("word")
    shape = _OBJECTS.get(word) if isinstance(word, str) else None
    if shape is None:
        raise BrokenReport("not a word of a child's")
    for name, kind in shape.items():
        if not isinstance(message.get(name), kind):
            raise BrokenReport("not a word of a child's")
    if "used" in shape:
        used = message["used"]
        if used.keys() != set(USED):
            raise BrokenReport("not what a job has used")
        if not set(map(type, used.values())) <= {int}:
            raise BrokenReport("not numbers of what a job has used")
    if not set(map(type, message.get("backtrace", ()))) <= {str}:
        raise BrokenReport("not lines of a backtrace")
    return message


# --- jobs


def packed_job(queue: str, run_at: str, raw: bytes) -> bytes:
    """For a message: names of queues may be any bytes, and so may payloads."""
    name, moment = queue.encode("utf-8", "surrogateescape"), run_at.encode()
    return b"".join((_LENGTHS.pack(len(name), len(moment)), name, moment, raw))


def read_job(body: bytes) -> tuple[str, str, bytes]:
    """Queue, time of reservation and payload of the job that the parent sent."""
    name, moment = _LENGTHS.unpack_from(body)
    start = _LENGTHS.size + name
    return (
        body[_LENGTHS.size : start].decode("utf-8", "surrogateescape"),
        body[start : start + moment].decode(),
        body[start + moment :],
    )


class Inbox:
    """Puts messages together from whatever comes out of a pipe."""

    def __init__(self, fd: int, longest: int = LONGEST) -> None:
        self.fd = fd
        self.closed = False
        self._longest = longest
        self._data = bytearray()

    @property
    def partial(self) -> bool:
        """Whether there is the beginning of a message without its end."""
        return bool(self._data)

    def read(self) -> list[bytes]:
        """The messages that are complete now; waits for data if the descriptor blocks.

        Sets `closed` at the end of the pipe. Raises BrokenReport.
        """
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        if not data:
            self.closed = True
        self._data += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if len(self._data) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._data)
        if length > self._longest:
            raise BrokenReport(f"a message of {length} bytes")
        end = _LENGTH.size + length
        if len(self._data) < end:
            return None
        body = bytes(self._data[_LENGTH.size : end])
        del self._data[:end]
        return body
