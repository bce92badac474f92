"""What is written of tracked jobs, and what is read of anybody's."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.wire.delayed import delayed_item
from resque_fork.wire.job import Payload
from resque_fork.wire.status import (
    LAST_TIME,
    OVERDUE,
    Status,
    id_of,
    id_of_item,
    new_id,
    status_text,
    without_id,
)

ID = "0192aabbccdd00112233445566778899"
PLAIN = b'{"class":"Mail","args":[1]}'
TRACKED = b'{"class":"Mail","args":[1],"id":"%b"}' % ID.encode()
NOW = 1_800_000_000.0


def test_payload_of_a_tracked_job() -> None:
    """Its id follows the arguments; others have none."""
    assert Payload.of("Mail", [1]).raw == PLAIN
    assert Payload.of("Mail", [1], ID).raw == TRACKED


def test_id() -> None:
    """An id is new each time, and tells when it was made."""
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    before = int(time.time())
    text = status_text(new_id(), "queued", "Mail", "low")
    assert before <= json.loads(text)["time"] <= time.time()


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN,
        b"",
        b'{"class":"Mail","args":[{"id":"%b"}]}' % ID.encode(),
        b'{"class":"Mail","args":[],"more":{"a":1,"id":"%b"}}' % ID.encode(),
        b'{"class":"Mail","args":[],"id":"%b"}' % ID.upper().encode(),
        b'{"class":"Mail","args":[],"id":"%b"}' % ID[1:].encode(),
        b'{"class":"Mail","args":[],"id":7}',
    ],
)
def test_jobs_that_are_not_tracked(raw: bytes) -> None:
    """An id elsewhere, or of another form, is none."""
    assert id_of(raw) == ""


def test_items() -> None:
    """A job that waits has its id before its queue, and may be compared without it."""
    item = delayed_item(Payload.of("Mail", ["ü"], ID), "lów")
    assert id_of_item(item) == ID
    assert without_id(item) == delayed_item(Payload.of("Mail", ["ü"]), "lów")


def test_items_that_are_not_tracked() -> None:
    """They are compared as they are."""
    item = delayed_item(Payload.of("Mail", [{"a": 1, "id": ""}]), "low")
    assert (id_of_item(item), without_id(item)) == ("", item)


def test_text() -> None:
    """The JSON is resque-status', and holds no bytes that others cannot read."""
    text = status_text(ID, "failed", "Mail", "low\udcff", message="x\ud800" + "y" * 2000)
    found = json.loads(text)
    assert text.startswith(b'{"uuid":"%b","status":"failed",' % ID.encode())
    assert (found["name"], found["queue"], found["time"]) == ("Mail", "low\\udcff", 1729441287)
    assert len(found["message"]) < 1100


def test_read() -> None:
    """What was written is read again."""
    text = status_text(ID, "delayed", "Mail", "low", message="why", due=int(NOW))
    status = Status.parse(ID, text, NOW)
    assert (status.state, status.name, status.queue, status.message) == (
        "delayed",
        "Mail",
        "low",
        "why",
    )
    assert status.due == datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    assert status
    assert not status.ended


@pytest.mark.parametrize(("late", "state"), [(OVERDUE, "delayed"), (OVERDUE + 1, "unknown")])
def test_overdue(late: float, state: str) -> None:
    """A delayed job that is late by an hour was moved by a scheduler which has dropped its id."""
    text = status_text(ID, "delayed", "Mail", "low", due=int(NOW))
    assert Status.parse(ID, text, NOW + late).state == state


def test_of_ruby() -> None:
    """A status that Ruby's resque-status has written is read."""
    raw = json.dumps(
        {
            "time": 1729610304,
            "status": "working",
            "uuid": ID,
            "options": {"num": 9},
            "name": 'SleepJob({"num"=>9})',
            "num": 3,
            "total": "9",
            "message": None,
        }
    ).encode()
    status = Status.parse(ID, raw, NOW)
    assert (status.state, status.name, status.message) == ("working", 'SleepJob({"num"=>9})', "")
    assert status.raw["options"] == {"num": 9}


GARBAGE = [
    *(None, b"", b"\xff", b"[]", b"7", b"{}", b'{"status":"done"}', b'{"status":["failed"]}'),
    b'{"status":{}}',
]


@pytest.mark.parametrize("raw", GARBAGE)
def test_garbage(raw: bytes | None) -> None:
    """What is no status is unknown, and false."""
    status = Status.parse(ID, raw, NOW)
    assert status == Status(ID)
    assert not status
    assert status.state == "unknown"


@given(
    st.dictionaries(
        st.sampled_from(["status", "name", "message", "time", "due", "queue"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=3,
        ),
    ),
    st.sampled_from(["working", "delayed"]),
)
def test_any_values(found: dict[str, Any], state: str) -> None:
    """Values of other kinds than ours harm nobody."""
    raw = json.dumps({**found, "status": state}).encode()
    status = Status.parse(ID, raw, NOW)
    assert status.due is None or 0 <= status.due.timestamp() < LAST_TIME


@pytest.mark.parametrize(
    ("num", "total", "percent"),
    [(3, 10, 30), (0, 1, 0), (9.999, 10, 99), (12, 10, 100), (-1, 10, 0), (1e300, 1, None)],
)
def test_progress(num: float, total: float, percent: int | None) -> None:
    """How far a job is can be had as a percentage, rounded down."""
    status = Status.parse(ID, status_text(ID, "working", "Mail", "low", num=num, total=total), NOW)
    assert status.percent == percent
    assert status.num == (num if percent is not None else None)


@pytest.mark.parametrize(
    ("num", "total"), [(1, 0), (1, -1), ("1", 2), (1, None), (True, 2), (10**400, 10**400)]
)
def test_no_progress(num: Any, total: Any) -> None:
    """Numbers that others have written are left out if they make no sense."""
    status = Status.parse(ID, status_text(ID, "working", "Mail", "low", num=num, total=total), NOW)
    assert (status.num, status.total, status.percent) == (None, None, None)


@pytest.mark.parametrize(("state", "result"), [("completed", [1]), ("working", None)])
def test_result(state: str, result: Any) -> None:
    """What a job has returned is there once it is completed."""
    text = status_text(ID, state, "Mail", "low", result=[1])
    assert Status.parse(ID, text, NOW).result == result
