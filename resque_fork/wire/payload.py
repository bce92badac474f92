"""The JSON that meets Redis: a job, a worker's record, a failed entry, and their times.

These bytes are the contract with Ruby, Node and every dashboard. JSON is
compact UTF-8 with keys in Resque's order. A payload that came from a queue is
never encoded again: its bytes are spliced into records and entries as they are.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import ArgumentsError, UnreadablePayload
from .unreadable import UNREADABLE

MAX_PAYLOAD = 8 * 1024 * 1024
MOST_DECODED = 64 * 1024  # bytes that a parent decodes: reading JSON takes 24 times its size
MAX_DEPTH = 500  # levels; every Python reads them without running out of stack
DEPTH_FOR_OTHERS = 99  # Ruby's JSON reads 100, and a record or a failed entry adds one

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# a string, or what is left of one that does not end: the search must not begin anew behind it
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
# one level down for each opening bracket, one up for each closing one, nothing for the rest
_LEVELS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
LONGEST_HEAD = 8192  # bytes of a record in front of its payload
# The beginning of a record as Ruby and we write it; its queue has this many bytes at the most.
_RECORD_HEAD = re.compile(
    rb'\s*\{\s*"queue"\s*:\s*("(?:[^"\\]|\\.){0,4096}+")\s*,'
    rb'\s*"run_at"\s*:\s*("[^"\\]{0,100}+")\s*,\s*"payload"\s*:\s*',
    re.DOTALL,
)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it is not JSON ({name} is not a number)")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(value: Any) -> bytes:
    """`value` as Resque writes JSON. Raises ValueError for what JSON cannot say."""
    return _ENCODER.encode(value).encode("utf-8")


def decode(raw: bytes) -> Any:
    """The value of strict JSON. Raises ValueError, with a reason that can be shown."""
    if depth_of(raw) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    except RecursionError:
        raise ValueError("it is nested too deep to be read") from None
    except ValueError as error:
        if str(error).startswith("it is not JSON"):
            raise
        raise ValueError("it has a number of too many digits") from None


def depth_of(raw: bytes) -> int:
    """How many levels deep JSON is nested; told exactly only where it could matter."""
    most = raw.count(b"[") + raw.count(b"{")
    if most <= DEPTH_FOR_OTHERS:
        return most
    brackets = _STRING.sub(b"", raw).translate(_LEVELS, _NO_BRACKETS)
    return max(itertools.accumulate(memoryview(brackets).cast("b")), default=0)


# --- a job


@dataclass(frozen=True, slots=True)
class Payload:
    """One job as it stands in a queue: its bytes, and what they say.

    One that is not `decoded` is too large for a worker to read: its child does that. Until
    the child has told them, its class is empty and `vouched`, whether it is portable, None.
    """

    raw: bytes
    class_name: str
    args: list[Any]
    decoded: bool = True
    vouched: bool | None = None

    @classmethod
    def of(cls, class_name: str, args: Sequence[Any]) -> Payload:
        """A new job's payload. Raises ArgumentsError, naming the argument that is not JSON."""
        check_arguments(class_name, args)
        try:
            raw = encode({"class": class_name, "args": list(args)})
        except ValueError:
            raise ArgumentsError(_why_not_encoded(class_name, args)) from None
        return cls(raw, class_name, list(args))

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Payload:
        """The payload of an object that has a ``class``; keys beside it and ``args`` are kept."""
        class_name, args = item["class"], item.get("args") or []
        if not isinstance(args, (list, tuple)):
            raise ArgumentsError(
                f"{class_name}: args must be a list of arguments, not a {_type_name(args)}."
            )
        check_arguments(class_name, args)
        if found := _not_json({**item, "args": None}, "", 1):
            where, problem = found
            raise ArgumentsError(f"{class_name}: the payload{where} {problem}.")
        whole = {**item, "args": list(args)}
        try:
            raw = encode(whole)
        except ValueError:
            raise ArgumentsError(_why_not_encoded(class_name, args)) from None
        return cls(raw, class_name, whole["args"])

    @classmethod
    def read(cls, raw: bytes, limit: int = MAX_PAYLOAD, *, vouch: bool = False) -> Payload:
        """What a payload from a queue says. Raises UnreadablePayload, saying why.

        Missing or null ``args`` mean none; keys beside ``class`` and ``args`` are kept in `raw`.
        With `vouch` it is found out at once whether it is portable, which takes its time.
        """
        _check_size(raw, limit)
        try:
            item = decode(raw)
        except ValueError as error:
            raise UnreadablePayload(f"The payload cannot be read: {error}.") from None
        if not isinstance(item, dict):
            raise UnreadablePayload("The payload cannot be read: it is not a JSON object.")
        class_name, args = item.get("class"), item.get("args")
        if class_name is not None and not isinstance(class_name, str):
            raise UnreadablePayload('The payload cannot be read: its "class" is not a string.')
        if not class_name:
            raise UnreadablePayload('The payload cannot be read: it has no "class".')
        if args is not None and not isinstance(args, list):
            raise UnreadablePayload('The payload cannot be read: its "args" are not an array.')
        vouched = _is_portable(raw, item) if vouch else None
        return cls(raw, class_name, args or [], vouched=vouched)

    @classmethod
    def take(cls, raw: bytes, limit: int = MAX_PAYLOAD) -> Payload:
        """As a worker takes it from a queue: `read` if it is small, else left to the child.

        Raises UnreadablePayload.
        """
        if len(raw) <= MOST_DECODED:
            return cls.read(raw, limit)
        _check_size(raw, limit)
        return cls.unread(raw)

    @classmethod
    def unread(cls, raw: bytes) -> Payload:
        """One of which only the bytes are known: it is not read here, or cannot be read."""
        return cls(raw, "", [], decoded=False)

    @property
    def portable(self) -> bool:
        """Whether other languages can read it and write it again.

        A lone surrogate is text, and 1e999 a number, to Python alone.
        """
        if self.vouched is not None or not self.decoded:
            return bool(self.vouched)
        try:
            return _is_portable(self.raw, decode(self.raw))
        except ValueError:
            return False


def _is_portable(raw: bytes, item: Any) -> bool:
    try:
        encode(item)
    except ValueError:
        return False
    return depth_of(raw) <= DEPTH_FOR_OTHERS and UNREADABLE.encode() not in raw


def _check_size(raw: bytes, limit: int) -> None:
    if len(raw) > limit:
        raise UnreadablePayload(
            f"The payload has {len(raw)} bytes, which is over the limit of {limit}."
        )


def check_arguments(class_name: str, args: Iterable[Any]) -> None:
    """Raises ArgumentsError for the first argument that JSON would lose or change."""
    for position, argument in enumerate(args, 1):
        where, problem = _not_json(argument, "", 3) or ("", "")  # in an array in an object
        if problem:
            inside = f" at {where}" if where else ""
            raise ArgumentsError(
                f"{class_name}: argument {position}{inside} {problem}; "
                f"pass strings, numbers, booleans, None, lists or dictionaries with string keys."
            )


def _why_not_encoded(class_name: str, args: Sequence[Any]) -> str:
    for position, argument in enumerate(args, 1):
        try:
            encode(argument)
        except UnicodeEncodeError:
            return (
                f"{class_name}: argument {position} holds a lone surrogate, "
                "which UTF-8 cannot carry."
            )
        except ValueError as error:  # an integer of thousands of digits
            return f"{class_name}: argument {position} cannot be written as JSON: {error}."
    return f"{class_name!r} holds a lone surrogate, which UTF-8 cannot carry."


def _not_json(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (path, f"is {value}, which JSON cannot say")
    if depth > MAX_DEPTH:
        return "", f"refers to itself, or is nested more than {MAX_DEPTH - 2} levels deep"
    if isinstance(value, (list, tuple)):
        inside: Iterable[tuple[Any, Any]] = enumerate(value)
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return path, f"has the key {key!r}, a {_type_name(key)} and not a string"
        inside = value.items()
    else:
        return path, f"is a {_type_name(value)}, which is not JSON"
    for key, item in inside:
        found = _not_json(item, f"{path}[{key!r}]", depth + 1)
        if found:
            return found
    return None


def _type_name(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return module + kind.__qualname__


# --- what a worker has on record


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
    def read(cls, record: bytes) -> WorkerRecord:
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


def _behind(head: re.Match[bytes], record: bytes) -> bytes:
    """The payload's own bytes, which end where the record ends."""
    return record[head.end() : record.rindex(b"}")].strip()


def _says(raw: bytes, value: Any) -> bool:
    try:
        return bool(decode(raw) == value)
    except ValueError:
        return False


# --- a failed entry


def failed_entry(
    *,
    failed_at: float,
    payload: bytes,
    exception: str,
    error: str,
    backtrace: Sequence[str],
    worker: str,
    queue: str,
    forensics: Mapping[str, Any] | None = None,
) -> bytes:
    """An entry of the failed list, in Resque's words and order; ours come last.

    `payload` is a JSON object that every language can read and write; its bytes are kept.
    """
    after: dict[str, Any] = {
        "exception": sayable(exception),
        "error": sayable(error),
        "backtrace": [sayable(line) for line in backtrace],
        "worker": sayable(worker),
        "queue": sayable(queue),
    }
    if forensics:
        after["forensics"] = {
            key: [sayable(line) for line in value] if isinstance(value, list) else value
            for key, value in forensics.items()
        }
    head = encode({"failed_at": failed_time(failed_at)})[:-1]
    return head + b',"payload":' + payload + b"," + encode(after)[1:]


def entry_with(entry: bytes, payload: bytes) -> bytes:
    """One of our entries with another payload."""
    start = entry.index(b'"payload":') + len(b'"payload":')
    return entry[:start] + payload + entry[entry.rindex(b',"exception":') :]


def sayable(text: str) -> str:
    """Text that UTF-8 can carry: what it cannot is shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# --- times (seconds since the epoch in and out; all we write is UTC)


@functools.lru_cache(8)  # of this second, most of the time
def run_time(seconds: float) -> str:
    """``2026-11-23T06:51:50Z``, of a worker's record."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def failed_time(seconds: float) -> str:
    """``2026/11/23 06:51:55 UTC``, of a failed entry."""
    return time.strftime("%Y/%m/%d %H:%M:%S UTC", time.gmtime(seconds))


def started_time(seconds: float) -> str:
    """``2026-11-23 06:51:48 +0000``, of a worker's start."""
    return time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(seconds))


LONGEST_TIME = 200  # characters; patterns would take for ever over a megabyte of blanks

_EPOCH = datetime(1970, 1, 1)
_ZONED = re.compile(  # a time of day, what it says of its zone, and perhaps the year after it
    r"(?P<clock>[^:]*\d:\d\d(?::\d\d(?:\.\d+)?)?) ?"
    r"(?P<name>[A-Za-z][A-Za-z ]*)?(?P<offset>[+-]\d\d(?::?\d\d)?)?(?P<year> \d{4})?"
)
_FOREIGN_CLOCKS = ("%a %b %d %Y %H:%M:%S", "%a %b %d %H:%M:%S %Y")
_UTC_NAMES = ("UTC", "GMT", "UT", "Z")
_OF_SEVERAL_ZONES = ("BST", "CDT", "CST", "IST", "PST")  # of America and Asia, of three countries


def read_time(text: str) -> float | None:
    """Seconds since the epoch of a time that any Resque wrote, or None if it cannot be told.

    Nor can it be told of a time without a zone, or with the name of a zone that is
    neither UTC nor certainly this host's: see `zone_of`.
    """
    if len(text) > LONGEST_TIME:
        return None
    text = text.strip()
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    try:  # first, because most are, and because Python's other way costs memory
        moment = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return _read_foreign_time(text)
    return moment.timestamp() if moment.tzinfo else None


def zone_of(text: str) -> str | None:
    """The zone that keeps `read_time` from telling a time: its name, or ``none`` if it has none.

    None if the time can be told, or is no time at all.
    """
    if read_time(text) is not None or len(text) > LONGEST_TIME:
        return None
    zoned = _zoned(text.strip())
    return None if zoned is None else zoned[1] + zoned[2] or "none"


def _read_foreign_time(text: str) -> float | None:
    zoned = _zoned(text)
    if zoned is None:
        return None
    clock, name, offset = zoned
    if name.upper() in _UTC_NAMES or (offset and not name):
        return (clock - _EPOCH).total_seconds() - _seconds_east(offset)
    if not name or offset or name in _OF_SEVERAL_ZONES:
        return None
    return _local_time(clock, name)


def _zoned(text: str) -> tuple[datetime, str, str] | None:
    """What a clock showed, the name of its zone and its offset, each of which may be empty."""
    found = _ZONED.fullmatch(re.sub(r"\s*\(.*\)$", "", text))  # Node's zone in words
    if found is None:
        return None
    clock = found["clock"] + (found["year"] or "")
    zone = (found["name"] or "").strip(), found["offset"] or ""
    try:
        return datetime.fromisoformat(clock.replace("/", "-")), *zone
    except ValueError:
        pass
    for layout in _FOREIGN_CLOCKS:
        try:
            return datetime.strptime(clock, layout), *zone
        except ValueError:
            continue
    return None


def _seconds_east(offset: str) -> int:
    """Of ``+0545``, ``-05:00`` or ``+02``; 0 of nothing."""
    digits = offset[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if offset.startswith("-") else seconds


def _local_time(clock: datetime, zone: str) -> float | None:
    """When the clocks of this host showed this under this zone's name; None if they never did."""
    for fold in (0, 1):
        try:
            moment = clock.replace(fold=fold).timestamp()
            if time.localtime(moment).tm_zone == zone:
                return moment
        except (OverflowError, OSError, ValueError):
            return None
    return None
