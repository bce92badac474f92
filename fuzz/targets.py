"""What is fuzzed: a function for each reader, which raises if it breaks its promise.

Each takes bytes. They are run by `python -m fuzz`, guided by what code they
reach, and by the tests over the inputs that were worth keeping.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import os
from collections.abc import Callable
from importlib import resources
from typing import Any

from redis import Redis

from resque_fork import FailedJob, Filter
from resque_fork.child import report
from resque_fork.child.outcome import ChildEnd, outcome_of
from resque_fork.cli.failed import _described
from resque_fork.client.failed import requeue_of
from resque_fork.embedded import Server
from resque_fork.errors import SettingsError, UnreadablePayload
from resque_fork.failure import Failure
from resque_fork.failure.base import payload_object
from resque_fork.job.redaction import is_redacted, redacted
from resque_fork.job.registry import declare
from resque_fork.job.reservation import Reservation
from resque_fork.job.schedule import Schedule
from resque_fork.ops.rows import readable
from resque_fork.store.long_list import Entry
from resque_fork.store.schedules import Tick
from resque_fork.store.workers import WorkerId
from resque_fork.system.identity import Identity
from resque_fork.wire.delayed import delayed_item, digest_of, due_of, payload_of
from resque_fork.wire.job import MOST_DECODED, Payload
from resque_fork.wire.json import decode, encode
from resque_fork.wire.keys import to_bytes, to_text
from resque_fork.wire.procline import printable
from resque_fork.wire.queue_list import QueueList
from resque_fork.wire.record import WorkerRecord
from resque_fork.wire.times import read_time, zone_of
from resque_fork.wire.unreadable import key_of, unwrapped

NOW = 1795416710.0


def payload(raw: bytes) -> None:
    """A queue's element is a job or it is not; either way its bytes are kept and can be told of."""
    _declare_fuzzed()
    payload_object(raw)
    inner = unwrapped(raw)
    key_of(raw)
    try:
        job = Payload.take(inner)
    except UnreadablePayload:
        job = Payload.undecoded(inner)
    shown = Reservation("q", job).shown
    entry = Failure("E", "e").entry(
        failed_at=NOW, payload=shown, worker="h:1:q", queue=to_text(raw[:9])
    )
    told = decode(entry)
    assert list(told)[:2] == ["failed_at", "payload"]
    name, args = told["payload"]["class"], told["payload"].get("args")
    again = unwrapped(encode({"class": name, "args": args}))
    assert again == inner or is_redacted(args) or shown == inner
    _delayed(job)
    if not job.decoded:
        return
    assert isinstance(job.args, list)
    assert job.class_name
    hidden = redacted(inner)
    assert redacted(hidden) == hidden
    assert Payload.parse(hidden).class_name == job.class_name
    reservation = Reservation("q", job)
    printable(str(reservation))
    if job.decoded or len(inner) > MOST_DECODED:  # others never reach a child
        assert report.read_job(report.packed_job(reservation)) == reservation


def _delayed(job: Payload) -> None:
    """A job that waits comes back as it was."""
    item = delayed_item(job, 'q,"\u00fc')
    due = due_of(item)
    assert due.queue == 'q,"\u00fc'
    back = payload_of(item, due)
    if job.portable:
        assert decode(back) == decode(job.raw)
        assert digest_of(Payload.parse(back)) == digest_of(job)
    else:
        assert unwrapped(back) == job.raw


def record(raw: bytes) -> None:
    """A worker's record is read, and its job comes out as it went in, or it is none."""
    try:
        found = WorkerRecord.parse(raw)
    except ValueError:
        return
    assert len(raw) > MOST_DECODED or decode(found.raw) == decode(raw).get("payload")
    WorkerRecord(found.queue, found.run_at, found.raw)


def failed(raw: bytes) -> None:
    """Whatever stands in the failed list can be listed, filtered and shown."""
    job = FailedJob.parse(Entry(0, raw))
    shown = job.to_dict()
    json.dumps(shown)
    readable("\n".join(_described(shown)))
    age = job.age(NOW)
    assert age is None or math.isfinite(age)
    Filter("*", "q*", "[!a]*", 1.0, 2.0).matches(job, NOW)
    again = requeue_of(job, NOW)
    assert job.can_be_requeued == (again is not None)
    if again is not None:
        marked = decode(again.marked)
        assert marked["retried_at"] == "2026/11/23 06:51:50 UTC"
        if job.raw is not None:
            assert again.payload == base64.b64decode(job.raw)
        else:
            assert decode(again.payload)["class"] == job.class_name
            assert not is_redacted(decode(again.payload)["args"])
        marked.pop("retried_at")
        before = decode(raw)
        before.pop("retried_at", None)
        assert marked == before


def worker_id(raw: bytes) -> None:
    """Ids, queue names and times are read without a word of complaint."""
    text = to_text(raw)
    assert to_bytes(text) == raw
    found = WorkerId.parse(text)
    assert found.text == text
    assert found.pid is None or text.startswith(f"{found.host}:")
    moment = read_time(text)
    assert moment is None or zone_of(text) is None
    assert moment is None or math.isfinite(moment)
    printable(text)
    QueueList(["*", "!a*", text or "*"]).over([text, "a", "b"])


def identity(raw: bytes) -> None:
    """What a worker left to be known by is somebody, or nobody."""
    names = ["boot", "pid_namespace", "start", "token"]
    fields = {to_text(name): to_text(value) for name, value in _pairs(raw)}
    fields |= dict(zip(names, to_text(raw).split("\n"), strict=False))
    found = Identity.from_fields(fields)
    if found is not None:
        found.is_here()
        assert {**fields, **found.to_fields()} == fields


def inbox(raw: bytes) -> None:
    """A child's reports are sound or broken, however they come; then there is an outcome."""
    reports: list[report.Report] = []
    reader, writer = os.pipe()
    try:
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        box = report.Inbox(reader)
        size = raw[0] + 1 if raw else 1
        for start in range(0, min(len(raw), 32768), size):
            os.write(writer, raw[start : start + size])
            reports += [report.parse(message) for message in box.read()]
    except report.BrokenReport:
        pass
    finally:
        os.close(reader)
        os.close(writer)
    for each in reports:
        if isinstance(each, report.Read):
            continue
        told = {"handled" if isinstance(each, report.Handled) else "report": each}
        for status in (0, 9, 256):
            end = ChildEnd(pid=1, wait_status=status, stopped=status == 9, **told)
            outcome = outcome_of(end)
            if outcome.failure is not None:
                entry = outcome.failure.entry(failed_at=NOW, payload=b"{}", worker="w", queue="q")
                decode(entry)


def gate(raw: bytes) -> None:
    """What the script lets other languages read is what Python finds fit for them."""
    queue = raw[: raw.find(b"{")] if b"{" in raw[:10] else b"q"
    job = raw[len(queue) :] if raw.startswith(queue) else raw
    if not _server().eval(_gate_script(), 0, queue, job):
        return
    queue.decode("utf-8")
    assert isinstance(decode(job)["class"], str)
    assert Payload(job, "", []).portable


def schedule(raw: bytes) -> None:
    """What anybody has written as a schedule is one, and stays the same, or is refused."""
    Tick.parse(raw)
    try:
        found = Schedule.from_json("n", raw)
    except SettingsError:
        return
    again = Schedule.from_json("n", found.to_json())
    assert (again.timing, again.payload()) == (found.timing, found.payload())
    try:
        ticks = found.ticks(0)
    except SettingsError:
        return
    tick = ticks.next_after(int(NOW))
    assert tick is None or tick > NOW
    last = ticks.last_until(int(NOW))
    assert last is None or last <= NOW


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (payload, record, failed, worker_id, identity, inbox, gate, schedule)
}


def _pairs(raw: bytes) -> list[tuple[bytes, bytes]]:
    parts = [line.partition(b"=") for line in raw.split(b"\n")]
    return [(name, value) for name, _, value in parts]


def _declare_fuzzed() -> None:
    declare("A", "q", lambda a, b=None, *more: None, (), redact=["b", "more", "k"])


@functools.cache
def _gate_script() -> str:
    prelude = resources.files("resque_fork.store") / "lua/prelude.lua"
    return prelude.read_text("utf-8") + "return is_fit_for_others(ARGV[1], ARGV[2]) and 1 or 0"


@functools.cache
def _server() -> Any:
    server = Server()
    server.start()
    return Redis.from_url(server.url)
