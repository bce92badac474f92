"""What parent and child say to each other arrives whole, in order, or is told to be broken."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.child import report
from resque_fork.child.report import (
    BrokenReport,
    Done,
    Exiting,
    Failed,
    Handled,
    Inbox,
    Read,
    Report,
)
from resque_fork.failure import Failure
from resque_fork.job.reservation import Reservation
from resque_fork.policies import Action
from resque_fork.wire.job import MOST_DECODED, Payload


class Pipe:
    """A pipe whose reading end does not block."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.inbox = Inbox(self.reader)

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)

    def hang_up(self) -> None:
        os.close(self.writer)
        self.writer = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


USED = {"rss_growth_kb": 0, "user_ms": 1, "system_ms": 2, "wall_ms": 3}
FAILURE = Failure("E", "e", ["a:1:in f"])
REPORTS = [
    Read("Mail", portable=False),
    Done(USED),
    Done(USED, result='{"ü":[1]}'),
    Failed(FAILURE, USED, leaving=True, after_term=True, final=False, action=Action.PUT_BACK),
    Failed(FAILURE, USED, action=Action("later", seconds=1.5, counts=False)),
    Failed(FAILURE, USED, left_to_worker=True),
    Handled(FAILURE, saved=True),
    Exiting(),
]


def parsed(said: dict[str, Any]) -> Report:
    return report.parse(json.dumps(said).encode())


@pytest.mark.parametrize("sent", REPORTS, ids=lambda sent: sent.name)
def test_a_childs_reports(sent: Report) -> None:
    """Each comes out as it went in."""
    assert report.parse(report.packed(sent)) == sent


@pytest.mark.parametrize("sent", REPORTS, ids=lambda sent: sent.name)
def test_reports_that_lack_something(sent: Report) -> None:
    """None is a report without any of its parts or with a part of another kind."""
    said = json.loads(report.packed(sent))
    for name in said:
        for wrong in (
            {k: v for k, v in said.items() if k != name},
            *({**said, name: value} for value in ([1], 5, {"a": 1}, "?")),
        ):
            if not isinstance(wrong.get(name), str) or name in ("report", "action"):
                with pytest.raises(BrokenReport, match=r"^not "):
                    parsed(wrong)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"used": {"user_ms": 1}}, "not what a job has used"),
        ({"used": {**USED, "\ud800": 1}}, "not what a job has used"),
        ({"used": {**USED, "wall_ms": 1.5}}, "not what a job has used"),
        ({"used": {**USED, "wall_ms": True}}, "not what a job has used"),
        ({"backtrace": ["a", 5]}, "not lines of a backtrace"),
        ({"report": ["failed"]}, "not a report of a child's"),
        ({"report": "told"}, "not a report of a child's"),
        ({"final": "yes"}, "not a report of a child's"),
        ({"action": None}, "not a report of a child's"),
        ({"action": "lost"}, "not what a policy may decide in a child"),
        ({"action": "later", "seconds": float("nan")}, "not what a policy may decide in a child"),
        ({"action": "later", "seconds": float("inf")}, "not what a policy may decide in a child"),
        ({"action": "later", "seconds": -0.5}, "not what a policy may decide in a child"),
        ({"seconds": 5}, "not a report of a child's"),
    ],
)
def test_what_is_no_report(change: dict[str, Any], problem: str) -> None:
    """A job may write what it likes into the pipe: names, numbers and lines are looked at."""
    said = json.loads(report.packed(REPORTS[4]))
    with pytest.raises(BrokenReport, match=f"^{problem}$"):
        parsed({**said, **change})


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("{", "a result, but it is not JSON"),
        ('"\ud800"', "a result, but it is not UTF-8"),
        ("[" * 501 + "]" * 501, "a result, but it is nested more than 500 levels deep"),
        ('"%s"' % ("x" * 65535), "a result of 65537 bytes"),
    ],
)
def test_what_is_no_result(result: str, problem: str) -> None:
    """It goes into a status, so it has to be JSON, and not too long."""
    with pytest.raises(BrokenReport, match=f"^{problem}"):
        parsed({"report": "performed", "used": USED, "result": result})


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"performed", b"[]", b"{", b'"performed"', b'{"report":"performed"}', b"null"),
        *(b'{"report":"failed"} {}', b"{" * 200_000, b'{"a":' * 200_000, b'{"\xff":1}'),
    ],
    ids=lambda body: body[:20],
)
def test_what_is_no_report_at_all(body: bytes) -> None:
    """Neither JSON, nor an object, nor one with a name."""
    with pytest.raises(BrokenReport):
        report.parse(body)


@pytest.mark.parametrize("text", ["\ud800 lone", "ünï\0", "raw\udcff"])
def test_an_error_of_any_text(text: str) -> None:
    """JSON and UTF-8 as such could not carry all that Python calls text."""
    sent = Handled(replace(FAILURE, error=text), saved=False)
    assert report.parse(report.packed(sent)) == sent


@given(
    st.binary(max_size=40).map(lambda name: name.decode("utf-8", "surrogateescape")),
    st.sampled_from(["", "2026-11-23T06:51:50Z"]),
    st.one_of(
        st.binary(max_size=200).map(lambda end: Payload.take(b"\xff" * MOST_DECODED + end + b"\0")),
        st.lists(st.text(alphabet="aä\0\n", max_size=5)).map(lambda args: Payload.of("A", args)),
    ),
)
def test_a_job(queue: str, run_at: str, payload: Payload) -> None:
    """Its queue may be any bytes, and so may a payload that the parent has not read."""
    job = Reservation(queue, payload, run_at)
    assert report.read_job(report.packed_job(job)) == job


@given(st.lists(st.binary(max_size=80), max_size=5), st.lists(st.integers(1, 40), min_size=1))
def test_however_the_bytes_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    """Messages come out as they went in, however a pipe cuts them up."""
    pipe = Pipe()
    try:
        data = b"".join(map(report.framed, messages))
        came: list[bytes] = []
        position = turn = 0
        while position < len(data):
            size = cuts[turn % len(cuts)]
            os.write(pipe.writer, data[position : position + size])
            position, turn = position + size, turn + 1
            came += pipe.inbox.read()
        assert came == messages
    finally:
        pipe.close()


def test_nothing_yet(pipe: Pipe) -> None:
    """A pipe without data is not closed, and reading it does not block."""
    assert pipe.inbox.read() == []
    assert not pipe.inbox.closed


def test_the_end(pipe: Pipe) -> None:
    """What was said before the end is heard, and the end is noted."""
    report.send(pipe.writer, b"performed")
    pipe.hang_up()
    assert pipe.inbox.read() == [b"performed"]
    assert pipe.inbox.read() == []
    assert pipe.inbox.closed


def test_the_end_in_the_middle_of_a_message(pipe: Pipe) -> None:
    """Half a message is none: whoever died over it has reported nothing."""
    os.write(pipe.writer, report.framed(b"performed")[:-1])
    pipe.hang_up()
    assert pipe.inbox.read() == []
    assert pipe.inbox.read() == []
    assert pipe.inbox.closed


def test_a_large_message_is_sent_whole() -> None:
    """Larger than any pipe: the sender waits for the reader."""
    reader, writer = os.pipe()
    message = b"x" * 3_000_000
    sender = threading.Thread(target=report.send, args=(writer, message))
    sender.start()
    try:
        inbox = Inbox(reader, report.LONGEST_JOB)
        came: list[bytes] = []
        while not came:
            came = inbox.read()
        assert came == [message]
    finally:
        sender.join()
        os.close(reader)
        os.close(writer)


BROKEN = {
    "too long": struct.pack(">I", report.LONGEST + 1),
    "text": b"Fatal Python error: ...",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_message(data: bytes) -> None:
    """A job may write anything into any descriptor: it is told, and cannot hurt the reader."""
    reader, writer = os.pipe()
    sender = threading.Thread(target=os.write, args=(writer, data))
    sender.start()
    inbox = Inbox(reader)

    def read_all() -> None:
        for _ in range(50):
            inbox.read()

    try:
        with pytest.raises(BrokenReport):
            read_all()
    finally:
        os.set_blocking(reader, False)
        try:
            while os.read(reader, 1 << 20):
                pass
        except BlockingIOError:
            pass
        sender.join()
        os.close(reader)
        os.close(writer)


def test_a_job_may_be_longer_than_a_report() -> None:
    """Each direction has its own limit."""
    reader, writer = os.pipe()
    os.write(writer, struct.pack(">I", report.LONGEST + 1))
    inbox = Inbox(reader, report.LONGEST_JOB)
    assert inbox.read() == []
    os.close(reader)
    os.close(writer)


def test_the_form_on_the_wire() -> None:
    """Four bytes of length, big-endian, and a text that a person can read, too."""
    body = report.packed(Read("Mail", portable=True))
    assert body == b'{"report":"read","class":"Mail","portable":true}'
    assert report.framed(body) == b"\0\0\0" + bytes([len(body)]) + body
