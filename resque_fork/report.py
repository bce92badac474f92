"""What parent and child say to each other, over a pipe each way.

A message is a JSON object behind its length (four bytes, big-endian). The
child's words about a job:

    performed, skipped          it is done
    failed                      with exception, error, backtrace; leaving if the
                                child takes no other job; final if there is
                                nothing to settle, else followed by
    settled                     hooks and backends have run; `saved` if all took it

The parent says which job comes next, or closes its end: there is none.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

LONGEST = 1024 * 1024  # of a word; a job's output does not travel here
LONGEST_JOB = 1 << 31  # of a job; bounded by the largest payload
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_LENGTH = struct.Struct(">I")


class BrokenReport(Exception):
    """Something that is not a message came out of the pipe."""


_USED = {"rss_growth_kb", "user_ms", "system_ms", "wall_ms"}
_TOLD = {"exception": str, "error": str, "backtrace": list}
_WORDS: Mapping[Any, Mapping[str, type]] = {
    "performed": {"used": dict},
    "skipped": {"used": dict},
    "failed": {"final": bool, "leaving": bool, "used": dict, **_TOLD},
    "settled": {"saved": bool, **_TOLD},
}


def packed(message: Mapping[str, Any]) -> bytes:
    text = _ENCODER.encode(message)
    body = text.encode("utf-8", "surrogatepass")  # names of queues may be any bytes
    return _LENGTH.pack(len(body)) + body


def send(fd: int, message: Mapping[str, Any]) -> None:
    """Write one message, however long that takes."""
    data = memoryview(packed(message))
    while data:
        data = data[os.write(fd, data) :]


def checked(message: dict[str, Any]) -> dict[str, Any]:
    """The message, which is one of a child's words. Raises BrokenReport: a job may write anything.

    What is told goes into a failed entry, so names and types have to be right.
    """
    word = message.get("word")
    shape = _WORDS.get(word) if isinstance(word, str) else None
    if shape is None:
        raise BrokenReport("not a word of a child's")
    for name, kind in shape.items():
        if not isinstance(message.get(name), kind):
            raise BrokenReport("not a word of a child's")
    if "used" in shape:
        used = message["used"]
        if used.keys() != _USED:
            raise BrokenReport("not what a job has used")
        if not set(map(type, used.values())) <= {int}:
            raise BrokenReport("not numbers of what a job has used")
    if "backtrace" in shape and not set(map(type, message["backtrace"])) <= {str}:
        raise BrokenReport("not lines of a backtrace")
    return message


class Inbox:
    """Puts messages together from whatever comes out of a pipe."""

    def __init__(self, fd: int, longest: int = LONGEST) -> None:
        self.fd = fd
        self.closed = False
        self._longest = longest
        self._data = bytearray()

    def read(self) -> list[dict[str, Any]]:
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

    def _next(self) -> dict[str, Any] | None:
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
        try:
            message = json.loads(body.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise BrokenReport(str(error)) from None
        if not isinstance(message, dict):
            raise BrokenReport("not an object")
        return message
