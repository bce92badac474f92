"""Items of the delayed set: the payload with its queue, and the digest that equal jobs share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import ArgumentsError, UnreadablePayload
from resque_fork.wire.delayed import (
    delayed_item,
    digest_of,
    due_of,
    is_cut_by_its_end,
    job_digest,
    payload_of,
)
from resque_fork.wire.job import MOST_DECODED, Payload
from resque_fork.wire.json import MAX_DEPTH
from resque_fork.wire.unreadable import unwrapped


def test_item_is_resque_schedulers() -> None:
    """Class, arguments, queue, in this order and without blanks."""
    item = delayed_item(Payload.of("Mail", [1, "ü"]), "low")
    assert item.decode() == '{"class":"Mail","args":[1,"ü"],"queue":"low"}'


@pytest.mark.parametrize(
    "raw",
    [b'{"class":"A","args":[1.0,  -0.0 ]}', b' {"args":[],\n"class":"A" } \r\n', b'{"class":"A"}'],
)
def test_nothing_is_encoded_anew(raw: bytes) -> None:
    """The payload's bytes stay, but for what is around them."""
    item = delayed_item(Payload.parse(raw), "low")
    assert item.startswith(raw.strip()[:-1].rstrip())
    assert json.loads(item) == {**json.loads(raw), "queue": "low"}


@pytest.mark.parametrize("raw", [b"not JSON", b"[]", b'{"class":"A","args":["\\ud800"]}', b"\xff"])
def test_item_for_what_others_cannot_read(raw: bytes) -> None:
    """It waits in a form that every scheduler reads, from which our workers get its bytes."""
    item = json.loads(delayed_item(Payload.undecoded(raw), "low"))
    assert item["class"] == "ResqueFork::Unreadable"
    assert item.pop("queue") == "low"
    assert unwrapped(json.dumps(item).encode()) == raw


@given(st.text())
def test_any_name_of_a_queue(name: str) -> None:
    """Comes out of the item as it went in."""
    name = name.encode("utf-8", "replace").decode()
    assert json.loads(delayed_item(Payload.of("A", []), name))["queue"] == name


@pytest.mark.parametrize(
    ("args", "as_written"),
    [
        ([1.0, 1e20, -0.0], "[1,100000000000000000000,0]"),
        ([1.5, None, True, False], "[ 1.5, null, true, false ]"),
        ([{"b": 1, "a": [2.0]}], '[{"a":[2],"b":1}]'),
        (["ü\u2028"], '["\\u00fc\\u2028"]'),
        ([12345678901234567890], "[12345678901234567000]"),
    ],
)
def test_digest_survives_other_languages(args: list[Any], as_written: str) -> None:
    """It is the same after JavaScript or Ruby has written the payload anew."""
    raw = b'{ "args" : %b, "class":"A", "more": 1}' % as_written.encode()
    assert (
        digest_of(Payload.parse(raw)) == job_digest("A", args) == digest_of(Payload.of("A", args))
    )


def test_digests_of_other_jobs() -> None:
    """Another class, other arguments, or other types have another digest."""
    jobs: list[tuple[str, list[Any]]] = [
        *(("A", []), ("B", []), ("A", [1]), ("A", ["1"]), ("A", [True]), ("A", [None])),
        *(("A", [[1]]), ("A", [{"a": 1}]), ("A", [1, 2]), ("A", [[1], 2]), ("A", [1.5])),
    ]
    assert len({job_digest(*one) for one in jobs}) == len(jobs)


def test_digest_of_a_large_job() -> None:
    """A worker does not decode it, so its bytes count, but for blanks around them; so do those
    of one that was decoded all the same."""
    raw = b'{"class":"A","args":["%b"]}' % (b"x" * MOST_DECODED)
    assert digest_of(Payload.undecoded(raw)) == digest_of(Payload.parse(b" " + raw + b"\n"))
    assert digest_of(Payload.undecoded(raw)) != job_digest("A", ["x" * MOST_DECODED])


def test_digest_of_numbers_beyond_floats() -> None:
    """A whole number that no float holds counts as it is."""
    assert job_digest("A", [10**400]) != job_digest("A", [10**401])


@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_digest_of_what_is_nested_deep(begin: bytes, end: bytes) -> None:
    """Arguments nested as deep as may be have one, and no worker runs out of stack."""
    levels = MAX_DEPTH - 2
    raw = b'{"class":"A","args":[%b1.0%b]}' % (begin * levels, end * levels)
    as_written = raw.replace(b"1.0", b"1")
    assert digest_of(Payload.parse(raw)) == digest_of(Payload.parse(as_written))


# --- where an item goes


@given(st.text(min_size=1), st.lists(st.text() | st.integers() | st.booleans()))
def test_an_item_comes_back(name: str, args: list[Any]) -> None:
    """The queue, and every byte of the payload."""
    name = name.encode("utf-8", "replace").decode()
    args = json.loads(json.dumps(args).encode("utf-8", "replace"))
    try:
        payload = Payload.of("A", args)
    except ArgumentsError:
        return
    item = delayed_item(payload, name)
    due = due_of(item)
    assert due.queue == name
    if payload.portable:
        assert payload_of(item, due) == payload.raw


@pytest.mark.parametrize(
    ("item", "queue", "payload"),
    [
        (b'{"class":"A","args":[],"queue":"q"}', "q", b'{"class":"A","args":[]}'),
        (b'{"class":"A","queue":"q","args":[1.0]}', "q", b'{"class":"A","queue":"q","args":[1.0]}'),
        (b'{"class":"A","queue":"q"} ', "q", b'{"class":"A","queue":"q"} '),
        (
            b'{"queue":"q","class":"A","args":[{"a":1,"queue":"other"}]}',
            "q",
            b'{"queue":"q","class":"A","args":[{"a":1,"queue":"other"}]}',
        ),
        (b'{"class":"A","args":[],"queue":"\\u00fc\\""}', 'ü"', b'{"class":"A","args":[]}'),
        (b'{"class":"A","queue":"a","queue":"b"}', "b", b'{"class":"A","queue":"a"}'),
        (b'{"args":[",\\"queue\\":\\"x"],"queue":"q"}', "q", b'{"args":[",\\"queue\\":\\"x"]}'),
    ],
)
def test_where_an_item_goes(item: bytes, queue: str, payload: bytes) -> None:
    """To the queue it names. The queue is cut off where it is the last key, as in
    resque-scheduler's; node-resque has it in the middle, and its items go as they are."""
    due = due_of(item)
    assert (due.queue, payload_of(item, due)) == (queue, payload)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (b"", "The delayed job cannot be read: it is not JSON"),
        (b"[]", "The delayed job cannot be read: it is not a JSON object."),
        (b"null", "The delayed job cannot be read: it is not a JSON object."),
        (b'{"class":"A","args":[]}', "The delayed job names no queue."),
        (b'{"class":"A","queue":""}', "The delayed job names no queue."),
        (b'{"class":"A","queue":5}', "The delayed job names no queue."),
        (b'{"class":"A","queue":null}', "The delayed job names no queue."),
        (b'{"class":"A","args":[\xff],"queue":"q"}', "The delayed job cannot be read: "),
        (b"[" * 100_000, "The delayed job cannot be read: "),
        (b'[{"a":1,"queue":"q"}', "The delayed job cannot be read: "),
    ],
)
def test_items_that_go_nowhere(item: bytes, problem: str) -> None:
    """Each says why."""
    with pytest.raises(UnreadablePayload, match=f"^{problem}"):
        due_of(item)


def test_large_item_is_taken_by_its_end() -> None:
    """Nothing of it is decoded but the name of its queue."""
    broken = b'{"class":"A","args":[' + b"x" * MOST_DECODED
    item = broken + b',"queue":"q"}'
    assert is_cut_by_its_end(item)
    assert payload_of(item, due_of(item)) == broken + b"}"
    assert not is_cut_by_its_end(b'{"queue":"q","class":"A"}')
    assert not is_cut_by_its_end(b'{"a":1,"queue":"' + b"x" * 100_000 + b'"}')
