"""Payloads that others cannot read or write survive their dashboards, and come back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.wire.json import encode
from resque_fork.wire.unreadable import key_of, reference, unwrapped, wrapped, wrapped_job


def written_by_ruby(payload: bytes) -> bytes:
    """A dashboard reads an entry and queues class and arguments again."""
    item = json.loads(payload)
    return encode({"class": item["class"], "args": item["args"]})


def written_by_node(payload: bytes) -> bytes:
    item = json.loads(payload)
    return encode({"class": item["class"], "queue": "mail", "args": item["args"]})


def written_by_php(payload: bytes) -> bytes:
    item = json.loads(payload)
    text = json.dumps({"class": item["class"], "args": item["args"], "id": "5f1c"}, indent=1)
    return text.replace("/", "\\/").encode()


WRITERS = pytest.mark.parametrize(
    "write", [bytes, written_by_ruby, written_by_node, written_by_php]
)


@WRITERS
@given(raw=st.binary())
def test_bytes_come_back(write: Any, raw: bytes) -> None:
    """Whatever the bytes were, and whoever queued the job again."""
    assert unwrapped(write(wrapped(raw))) == raw


@WRITERS
@given(name=st.text(), args=st.lists(st.text() | st.floats()), raw=st.binary())
def test_job_comes_back(write: Any, name: str, args: list[Any], raw: bytes) -> None:
    """A job that Python alone can read, with its class and arguments for people to see."""
    payload = wrapped_job(name, args, raw)
    assert unwrapped(write(payload)) == raw


def test_what_people_see() -> None:
    """The class is the job's own; the arguments are text, and not too much of it."""
    item = json.loads(wrapped_job("Mail", ["\ud83d", "x" * 5000], b"raw"))
    assert item["class"] == "Mail"
    assert item["args"][0].startswith('["\\ud83d","xxx')
    assert len(item["args"][0]) == 1003
    assert json.loads(wrapped_job("Mail", None, b"raw"))["args"][0] == "(3 bytes)"
    assert json.loads(wrapped_job("M" * 2000, [], b"raw"))["class"] == "ResqueFork::Unreadable"


def test_once_and_never_twice() -> None:
    """What was wrapped twice is unwrapped once."""
    assert unwrapped(wrapped(wrapped(b"oops"))) == wrapped(b"oops")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"A","args":["b29wcw=="]}',
        b'{"class":"ResqueFork::Unreadable","args":["b29wcw==",1]}',
        b'{"class":"ResqueFork::Unreadable","args":[]}',
        b'{"class":"ResqueFork::Unreadable","args":["b29wcw="]}',
        b'{"class":"ResqueFork::Unreadable","args":["not base64!"]}',
        b'{"class":"A","args":[{"ResqueFork::Unreadable":"b29wcw=="}]}',
        b'{"class":"A","args":[1,2,{"ResqueFork::Unreadable":"b29wcw=="}]}',
        b'{"class":"ResqueFork::Unreadable","args":["b29wcw=="],"x":"' + b"x" * 20_000 + b'"}',
        b'["ResqueFork::Unreadable"]',
        b"ResqueFork::Unreadable",
        b"[" * 100_000 + b"ResqueFork::Unreadable",
    ],
)
def test_other_payloads_stay(raw: bytes) -> None:
    """What only looks like it is left alone."""
    assert unwrapped(raw) == raw


@WRITERS
def test_reference(write: Any) -> None:
    """A payload can name the key that has its bytes."""
    assert key_of(write(reference("resque:fork:kept:a:1"))) == "resque:fork:kept:a:1"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"A","args":[{"key":"k"}]}',
        b'{"class":"ResqueFork::Unreadable","args":[{"key":7}]}',
        b'{"class":"ResqueFork::Unreadable","args":[{"key":"k","x":1}]}',
        b'{"class":"ResqueFork::Unreadable","args":[{"key":"k"},1]}',
        b'{"class":"ResqueFork::Unreadable"}',
        b"ResqueFork::Unreadable",
    ],
)
def test_no_reference(raw: bytes) -> None:
    """Nothing else names a key."""
    assert key_of(raw) is None
