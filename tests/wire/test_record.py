"""A worker's record gives back the bytes of its job."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.wire.json import encode
from resque_fork.wire.record import RecordHead, WorkerRecord
from resque_fork.wire.times import run_time
from wire.examples import MOMENT, text, values


def test_record_is_queue_then_run_at_then_payload() -> None:
    """A record has Resque's keys in Resque's order, around the payload's own bytes."""
    record = WorkerRecord("email", run_time(MOMENT), b'{"class":"SleepJob","args":[3,"x"]}')
    assert record.to_json() == (
        b'{"queue":"email","run_at":"2026-11-23T06:51:50Z",'
        b'"payload":{"class":"SleepJob","args":[3,"x"]}}'
    )


@given(text, st.lists(values), st.sampled_from([b"", b" "]))
def test_record_gives_back_the_bytes(queue: str, args: list[Any], blank: bytes) -> None:
    """A record gives back the payload byte for byte, whatever its arguments look like."""
    raw = b'{"class":' + blank + b'"A","args":' + encode([*args, '"payload":{}}']) + b"}"
    record = WorkerRecord(queue, "2026-11-23T06:51:50Z", raw)
    assert WorkerRecord.parse(record.to_json()) == record


def test_record_by_node() -> None:
    """Node's record has the payload in the middle: its value is kept, if not its bytes."""
    record = WorkerRecord.parse(
        b'{"run_at":"Mon Nov 23 2026 06:56:29 GMT+0000 (Coordinated Universal Time)",'
        b'"worker":"vm:11400","payload":{"class":"slow","args":[1500],"queue":"email"},'
        b'"queue":"email"}'
    )
    assert record.queue == "email"
    assert record.raw == b'{"class":"slow","args":[1500],"queue":"email"}'


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[]", "it is not a worker's record"),
        (b'{"run_at":"x"}', "it is not a worker's record"),
    ],
)
def test_record_that_is_none(raw: bytes, reason: str) -> None:
    """What is no record is refused with a reason."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        WorkerRecord.parse(raw)
    assert str(caught.value) == reason


def record_of(payload: bytes) -> bytes:
    return WorkerRecord("email", "2026-11-23T06:51:50Z", payload).to_json()


@pytest.mark.parametrize(
    "payload", [b'{"class":"A","args":["%b"]}' % (b"x" * 100_000), b"x" * 100_000]
)
def test_large_record_is_taken_apart_unread(payload: bytes) -> None:
    """A worker does not read a large record: it finds the payload behind the head, good or bad."""
    assert WorkerRecord.parse(record_of(payload)).raw == payload


@pytest.mark.parametrize(
    "record", [b"x" * 100_000, b'{"queue":"' * 20_000, b'{"payload":' * 20_000]
)
def test_large_record_in_another_form(record: bytes) -> None:
    """It is none."""
    with pytest.raises(ValueError, match="too large to be read, and not in Resque's own form"):
        WorkerRecord.parse(record)


@pytest.mark.parametrize(
    ("beginning", "head"),
    [
        (
            b'{"queue":"mail","run_at":"now","payload":{"class":"A","args":["\xff',
            ("mail", "now", "A"),
        ),
        (
            b'{"queue":"m\\u00fcll","run_at":"","payload":{"args":[],"class":"B"}}',
            ("müll", "", "B"),
        ),
        (b'{"run_at":"now","queue":"q","payload":{"class":"C"}}', ("q", "now", "C")),
        (b'{"run_at":"now","queue":"q","payload":{"class":"C"', ("", "", "C")),
        (b'{"queue":"\xff","run_at":"now","payload":7}', ("", "now", "")),
        (b"\xff", ("", "", "")),
        (b"", ("", "", "")),
    ],
)
def test_a_head_is_read_of_any_bytes(beginning: bytes, head: tuple[str, str, str]) -> None:
    """The first bytes are enough; what they do not say is empty."""
    found = RecordHead.parse(beginning)
    assert (found.queue, found.run_at, found.class_name) == head
