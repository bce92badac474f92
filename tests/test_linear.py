"""Whatever reads bytes that others wrote takes time in proportion to their number.

Each reader gets hostile input, and then twice as much of it, up to the largest payload. Figures
are of CPU time, compared within one run, and only where they are large enough to mean something.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest

from resque_fork import FailedJob
from resque_fork.child import report
from resque_fork.cli.failed import _described
from resque_fork.client.failed import requeue_of
from resque_fork.errors import SettingsError, UnreadablePayload
from resque_fork.failure.base import payload_object
from resque_fork.job.redaction import redacted, shown
from resque_fork.job.registry import declare
from resque_fork.job.retry import Retry
from resque_fork.job.schedule import Schedule
from resque_fork.ops.rows import job_row, readable
from resque_fork.store.long_list import Entry
from resque_fork.store.schedules import Tick
from resque_fork.store.workers import WorkerId
from resque_fork.system.identity import Identity
from resque_fork.text import printable
from resque_fork.wire.delayed import digest_of, due_of, payload_of
from resque_fork.wire.job import MAX_PAYLOAD, MOST_DECODED, Payload
from resque_fork.wire.keys import to_text
from resque_fork.wire.queue_list import QueueList
from resque_fork.wire.record import RecordHead, WorkerRecord
from resque_fork.wire.times import read_time, zone_of
from resque_fork.wire.unreadable import key_of, unwrapped

pytestmark = pytest.mark.usefixtures("own_jobs")

SMALLEST = 4 * 1024  # bytes
LARGE_ENOUGH = 0.02  # seconds of CPU
TOO_MUCH = 3.0  # times as long for twice as much
TRIES = 5  # for figures that a busy machine has spoiled
ENOUGH = 1.5  # seconds of CPU: what was linear up to here is linear

HOSTILE = {
    "a string without end": b'{"class":"x","args":[' + b"[]," * 100 + b'"',
    "brackets without end": b'{"class":"x","args":[',
    "nothing": b"",
    "a wrapper": b'{"class":"ResqueFork::Unreadable","args":["',
    "a record": b'{"queue":"q","run_at":"x","payload":',
    "an entry": b'{"failed_at":"x","queue":"q","payload":{"class":"x","args":[',
}
REPEATED = {
    "escaped quotes": b'\\"',
    "empty arrays": b"[],",
    "opening brackets": b"[",
    "opening objects": b'{"a":',
    "brackets back and forth": b"][",
    "quotes": b'"',
    "backslashes": b"\\",
    "numbers": b"1,",
    "digits": b"9",
    "half characters": b'"\\ud800",',
    "objects": b'{"k":1},',
    "not numbers": b"NaN,",
    "records": b'{"queue":"q","run_at":"x","payload":',
    "payloads": b'"payload":',
    "queues": b',"queue":"',
    "wrappers": b'"ResqueFork::Unreadable":"',
    "beginnings of wrappers": b'["AAAA',
    "base64": b"AAAA",
    "blanks": b" ",
    "parentheses": b"(",
    "commas": b",",
    "colons": b":",
    "bytes that are no text": b"\xff",
    "other letters": "é".encode(),
    "escapes": b"\x1b",
}
ENDS = (b"", b'"]}', b"1]}}", b',"queue":"q"}')


def inputs(beginning: bytes, piece: bytes, end: bytes, most: int) -> Iterator[bytes]:
    """Hostile input, each time twice as much, as long as somebody asks for more."""
    size = SMALLEST
    while size <= most:
        yield beginning + piece * (size // len(piece)) + end
        size *= 2


def seconds(read: Callable[[bytes], object], data: bytes) -> float:
    """Of CPU, for one reading."""
    before = time.process_time()
    with contextlib.suppress(ValueError, RecursionError, UnreadablePayload, report.BrokenReport):
        read(data)
    return time.process_time() - before


def assert_linear(read: Callable[[bytes], object], steps: Iterator[bytes], what: str) -> None:
    """Twice as much takes no more than some three times as long."""
    last, before = b"", 0.0
    for data in steps:
        took = seconds(read, data)
        tries = 1
        while before > LARGE_ENOUGH and took > TOO_MUCH * before:
            assert tries < TRIES, (
                f"{what}: {before:.3f} s for {len(last)} bytes, {took:.3f} for {len(data)}"
            )
            took = min(took, seconds(read, data))
            before = max(before, seconds(read, last))
            tries += 1
        if last and took > ENOUGH:
            return
        last, before = data, took


def _vouched(raw: bytes) -> None:
    Payload.parse(raw, vouch=True)


def _shown(raw: bytes) -> None:
    declare("x", "q", lambda *secrets: None, (), redact=["secrets"])
    try:
        payload = Payload.parse(raw)
    except UnreadablePayload:
        payload = Payload(raw, "", [], decoded=False)
    shown(payload)
    redacted(raw)


def _failed(raw: bytes) -> None:
    job = FailedJob.parse(Entry(0, raw))
    requeue_of(job, 0.0)
    readable("\n".join(_described(job.to_dict())))


def _id(raw: bytes) -> None:
    text = to_text(raw)
    WorkerId.parse(text)
    QueueList(["*", "!x*"]).over([text, "x"])


def _times(raw: bytes) -> None:
    read_time(to_text(raw))
    zone_of(to_text(raw))


def _identity(raw: bytes) -> None:
    Identity.from_fields(dict.fromkeys(("boot", "pid_namespace", "start"), to_text(raw)))


def _delayed(raw: bytes) -> None:
    payload_of(raw, due_of(raw))
    digest_of(Payload.take(raw))


def _schedule(raw: bytes) -> None:
    with contextlib.suppress(SettingsError):
        Schedule.from_json("n", raw)


READERS: dict[str, tuple[Callable[[bytes], object], int]] = {
    "payload": (Payload.parse, MAX_PAYLOAD),
    "payload for others": (_vouched, 1 << 21),
    "wrapper": (lambda raw: (unwrapped(raw), key_of(raw)), MAX_PAYLOAD),
    "delayed job": (_delayed, MAX_PAYLOAD),
    "declared retry": (Retry.from_json, 1 << 20),
    "schedule": (_schedule, 1 << 18),
    "last tick": (Tick.parse, 1 << 20),
    "record": (WorkerRecord.parse, MAX_PAYLOAD),
    "head of a record": (RecordHead.parse, 1 << 20),
    "payload as it is shown": (_shown, 1 << 20),
    "payload for backends": (payload_object, 1 << 20),
    "failed entry": (_failed, 1 << 20),
    "row of a listing": (lambda raw: job_row(0, raw), 1 << 20),
    "worker's id": (_id, 1 << 19),
    "time": (_times, 1 << 20),
    "process": (_identity, 1 << 20),
    "text for a terminal": (lambda raw: printable(to_text(raw)), 1 << 20),
    "report": (report.parse, report.LONGEST),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("reader", READERS)
def test_reading_is_linear(reader: str) -> None:
    """Twice as many bytes take about twice as long, whatever they are."""
    read, most = READERS[reader]
    for beginning, first in HOSTILE.items():
        for name, piece in REPEATED.items():
            end = ENDS[(len(beginning) + len(name)) % len(ENDS)]
            steps = inputs(first, piece, end, min(most, 1 << 18))
            assert_linear(read, steps, f"{reader}: {beginning}, {name}")


LARGEST = ["escaped quotes", "empty arrays", "opening brackets", "numbers", "records", "wrappers"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("reader", [name for name, (_, most) in READERS.items() if most > 1 << 20])
@pytest.mark.parametrize("name", LARGEST)
def test_reading_is_linear_up_to_the_largest_payload(reader: str, name: str) -> None:
    """Eight megabytes are eight times one."""
    read, most = READERS[reader]
    for beginning in ("a string without end", "brackets without end", "a record"):
        steps = inputs(HOSTILE[beginning], REPEATED[name], b"", most)
        assert_linear(read, steps, f"{reader}: {beginning}, {name}")


def test_a_reader_that_is_not_linear_is_found() -> None:
    """The measure itself: a search that begins anew behind each quote, and in the middle."""
    import re

    string = re.compile(rb'"(?:[^"\\]|\\.)*(?:[^"\\]|\\.)*"')
    steps = inputs(b"", b'\\"', b"", 1 << 20)
    with pytest.raises(AssertionError, match=r"a search: \d+\.\d+ s for \d+ bytes"):
        assert_linear(lambda raw: string.sub(b"", raw[: len(raw) // 16]), steps, "a search")


@pytest.fixture(scope="module")
def judge() -> str:
    prelude = resources.files("resque_fork.store") / "lua/prelude.lua"
    return prelude.read_text("utf-8") + "return is_fit_for_others('q', ARGV[1]) and 1 or 0"


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("beginning", ["a string without end", "brackets without end"])
def test_judging_in_redis_is_linear(
    redis: Any, judge: str, beginning: str, name: str, record_property: Any
) -> None:
    """The script looks at 64 KB at the most; what it costs is told by Redis itself."""

    def microseconds(data: bytes) -> int:
        redis.config_resetstat()
        redis.eval(judge, 0, data)
        return int(redis.info("commandstats")["cmdstat_eval"]["usec"])

    piece, first = REPEATED[name], HOSTILE[beginning]
    half, whole = (
        first + piece * ((size - len(first) - 3) // len(piece)) + b"1]}"
        for size in (MOST_DECODED // 2, MOST_DECODED)
    )
    for _ in range(TRIES):
        small = max(microseconds(half) for _ in range(3))
        large = min(microseconds(whole) for _ in range(3))
        if large < TOO_MUCH * max(small, 1000):
            record_property("microseconds", large)
            return
    raise AssertionError(f"{small} us for half of it, {large} for all")
