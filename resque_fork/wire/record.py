"""A worker's record: the job that it performs, in ``worker:<id>``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .job import MOST_DECODED
from .json import decode, encode
from .times import read_time

LONGEST_HEAD = 8192  # bytes of a record in front of its payload
# The beginning of a record as Ruby and we write it; its queue has this many bytes at the most.
_RECORD_HEAD = re.compile(
    rb'\s*\{\s*"queue"\s*:\s*("(?:[^"\\]|\\.){0,4096}+")\s*,'
    rb'\s*"run_at"\s*:\s*("[^"\\]{0,100}+")\s*,\s*"payload"\s*:\s*',
    re.DOTALL,
)


# the class of a payload, wherever another language puts it
_CLASS = re.compile(rb'"class"\s*:\s*("(?:[^"\\]|\\.){0,1000}+")', re.DOTALL)


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What a record says in its first bytes; what cannot be read there is empty."""

    queue: str
    run_at: str
    class_name: str

    @property
    def since(self) -> float | None:
        """When the job was reserved, in seconds since the epoch; None if it cannot be read."""
        return read_time(self.run_at)

    @classmethod
    def parse(cls, beginning: bytes) -> RecordHead:
        """Of any bytes, of which `LONGEST_HEAD` are enough; nothing here raises."""
        beginning = beginning[:LONGEST_HEAD]
        head, class_name = _RECORD_HEAD.match(beginning), _CLASS.search(beginning)
        name = _text(class_name and class_name[1])
        if head is not None:
            return cls(_text(head[1]), _text(head[2]), name)
        try:  # Node has another order
            record = WorkerRecord.parse(beginning)
        except (ValueError, RecursionError):
            return cls("", "", name)
        return cls(record.queue, record.run_at, name)


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """``worker:<id>``: queue, time of reservation (``2026-11-23T06:51:50Z``), payload's bytes."""

    queue: str
    run_at: str
    raw: bytes

    def to_json(self) -> bytes:
        head = encode({"queue": self.queue, "run_at": self.run_at})
        return head[:-1] + b',"payload":' + self.raw + b"}"

    @classmethod
    def parse(cls, record: bytes) -> WorkerRecord:
        """A record by whatever language. Raises ValueError if it is none.

        Of a large one only the head is read, in the form that Ruby and we write it.
        """
        head = _RECORD_HEAD.match(record)
        if len(record) > MOST_DECODED + LONGEST_HEAD:
            if head is None:
                raise ValueError("it is too large to be read, and not in Resque's own form")
            return cls(json.loads(head[1]), json.loads(head[2]), _behind(head, record))
        item = decode(record)
        if not isinstance(item, dict) or not isinstance(item.get("queue"), str):
            raise ValueError("it is not a worker's record")
        payload = item.get("payload")
        raw = None if head is None else _behind(head, record)
        if raw is None or not _says(raw, payload):  # Node has its payload elsewhere
            raw = encode(payload)
        return cls(item["queue"], str(item.get("run_at", "")), raw)


def _text(quoted: bytes | None) -> str:
    try:
        return str(json.loads(quoted or b'""'))
    except ValueError:
        return ""


def _behind(head: re.Match[bytes], record: bytes) -> bytes:
    """The payload's own bytes, which end where the record ends."""
    return record[head.end() : record.rindex(b"}")].strip()


def _says(raw: bytes, value: Any) -> bool:
    try:
        return bool(decode(raw) == value)
    except ValueError:
        return False
