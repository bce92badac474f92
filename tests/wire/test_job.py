"""A job in a queue: what it says, and what is no job."""

import datetime
import enum
import inspect
import sys
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import ArgumentsError, UnreadablePayload
from resque_fork.wire.job import Payload
from resque_fork.wire.json import DEPTH_FOR_OTHERS, MAX_DEPTH
from wire.examples import nested, text, values


def test_payload_is_class_then_args() -> None:
    """A job's payload has `class`, then `args`, and nothing else."""
    payload = Payload.of("Mail::Send", [1, "ünï"])
    assert payload.raw == '{"class":"Mail::Send","args":[1,"ünï"]}'.encode()
    assert Payload.of("A", ()).raw == b'{"class":"A","args":[]}'


@given(text.filter(bool), st.lists(values))
def test_payload_reads_back(name: str, args: list[Any]) -> None:
    """What was enqueued is what is performed, and keeps its bytes on the way."""
    payload = Payload.of(name, args)
    assert Payload.parse(payload.raw) == payload
    assert payload.portable


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (datetime.date(2026, 1, 1), "argument 2 is a datetime.date, which is not JSON"),
        (b"x", "argument 2 is bytes, which is not JSON"),
        ({1, 2}, "argument 2 is a set, which is not JSON"),
        (uuid.UUID(int=1), "argument 2 is a uuid.UUID, which is not JSON"),
        (Decimal(1), "argument 2 is a decimal.Decimal, which is not JSON"),
        (float("nan"), "argument 2 is nan, which JSON cannot express"),
        ({"a": [1, float("inf")]}, "argument 2 at ['a'][1] is inf, which JSON cannot express"),
        ({"a": {3: 4}}, "argument 2 at ['a'] has the key 3, an int and not a string"),
        ([[object()]], "argument 2 at [0][0] is an object, which is not JSON"),
        (Colour.RED, f"argument 2 is a {__name__}.Colour, which is not JSON"),
    ],
)
def test_argument_that_is_not_json(argument: Any, message: str) -> None:
    """An argument that JSON would lose is named by job, position, place and type."""
    with pytest.raises(ArgumentsError) as caught:
        Payload.of("mail", ["fine", argument])
    assert str(caught.value) == (
        f"mail: {message}; "
        "pass strings, numbers, booleans, None, lists or dictionaries with string keys."
    )


class Order:
    """As models of Django's are."""

    _meta = None


class Row:
    """As models of SQLAlchemy's are."""

    __mapper__ = None


class Lazy:
    """As ``request.user``, which stands for what it loads."""

    __class__ = Order  # type: ignore[assignment]


@pytest.mark.parametrize(("model", "name"), [(Order(), "Order"), (Row(), "Row"), (Lazy(), "Order")])
def test_argument_that_is_a_model(model: object, name: str) -> None:
    """For the instance of a model its primary key is asked for, wherever it stands."""
    with pytest.raises(ArgumentsError) as caught:
        Payload.of("mail", [[model]])
    assert str(caught.value) == (
        f"mail: argument 1 at [0] is a {__name__}.{name}, which stands for a row of a database; "
        "pass its primary key, and load it in the job."
    )


def test_argument_that_refers_to_itself() -> None:
    """A list in itself, or one nested too deep for a reader, is refused when it is enqueued."""
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(MAX_DEPTH - 2):
        deep = [deep]
    for argument in (loop, deep):
        with pytest.raises(ArgumentsError) as caught:
            Payload.of("mail", [argument])
        assert str(caught.value).startswith(
            f"mail: argument 1 refers to itself, or is nested more than {MAX_DEPTH - 2} levels deep"
        )
    assert Payload.parse(Payload.of("mail", deep).raw).args == deep


def test_argument_that_cannot_be_written() -> None:
    """A lone surrogate and a number of too many digits are refused by position."""
    with pytest.raises(ArgumentsError) as caught:
        Payload.of("mail", [1, {"k": "\ud800"}])
    assert str(caught.value) == (
        "mail: argument 2 holds a lone surrogate, which UTF-8 cannot carry."
    )
    with pytest.raises(ArgumentsError, match=r"^mail: argument 1 cannot be written as JSON: Exc"):
        Payload.of("mail", [10**5000])
    with pytest.raises(ArgumentsError) as caught:
        Payload.of("\ud800", [])
    assert str(caught.value) == "'\\ud800' holds a lone surrogate, which UTF-8 cannot carry."


def test_tuples_travel_as_lists() -> None:
    """A tuple is a list on the wire."""
    assert Payload.of("a", [(1, (2,))]).raw == b'{"class":"a","args":[[1,[2]]]}'


def test_payload_of_an_item_keeps_its_keys() -> None:
    """An object with keys of its own is pushed as it is; its arguments are always an array."""
    item = {"class": "A", "args": None, "id": "abc", "queue_time": 1.5}
    assert Payload.of_item(item).raw == b'{"class":"A","args":[],"id":"abc","queue_time":1.5}'
    with pytest.raises(ArgumentsError) as caught:
        Payload.of_item({"class": "A", "args": "abc"})
    assert str(caught.value) == "A: args must be a list of arguments, not a str."
    with pytest.raises(ArgumentsError) as caught:
        Payload.of_item({"class": "A", "at": datetime.date(2026, 1, 1)})
    assert str(caught.value) == "A: the payload['at'] is a datetime.date, which is not JSON."


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"A"}',
        b'{"class":"A","args":null}',
        b' {"args" : [] , "class" : "A", "id":"x", "queue":"q"} ',
    ],
)
def test_missing_args_mean_none(raw: bytes) -> None:
    """Missing or null arguments mean none, and keys that we do not know are kept."""
    payload = Payload.parse(raw)
    assert (payload.class_name, payload.args, payload.raw) == ("A", [], raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"oops", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[1]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (b"{}", 'it has no "class"'),
        (b'{"class":""}', 'it has no "class"'),
        (b'{"class":7,"args":[]}', 'its "class" is not a string'),
        (b'{"class":"A","args":{"a":1}}', 'its "args" are not an array'),
        (b'{"class":"A","args":"abc"}', 'its "args" are not an array'),
        (b'{"class":"\xff"}', "it is not UTF-8 (byte 10)"),
        (nested(10_000), f"it is nested more than {MAX_DEPTH} levels deep"),
        (nested(MAX_DEPTH + 1), f"it is nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_unreadable_payload_says_why(raw: bytes, message: str) -> None:
    """What is no job is refused with a reason."""
    with pytest.raises(UnreadablePayload) as caught:
        Payload.parse(raw)
    assert str(caught.value) == f"The payload cannot be read: {message}."


def test_payload_over_the_limit() -> None:
    """A payload over the limit is refused unread, whatever it says."""
    with pytest.raises(UnreadablePayload) as caught:
        Payload.parse(b"x" * 11, limit=10)
    assert str(caught.value) == "The payload has 11 bytes, which is over the limit of 10."
    assert Payload.parse(b'{"class":"A"}', limit=13).class_name == "A"


@given(st.binary())
def test_reading_never_raises_anything_else(raw: bytes) -> None:
    """Whatever stands in a queue is a job, or refused as none: no other error is possible."""
    try:
        assert Payload.parse(raw).raw == raw
    except UnreadablePayload:
        pass


def test_reading_with_little_stack_left() -> None:
    """Where Python's own stack is nearly used up, a deep payload is refused, and no worse."""

    def read_below(levels: int) -> str:
        if levels:
            return read_below(levels - 1)
        try:
            return Payload.parse(nested(MAX_DEPTH)).class_name
        except UnreadablePayload as error:
            return str(error)

    free = sys.getrecursionlimit() - len(inspect.stack())
    assert read_below(free - 100) in (
        "A",
        "The payload cannot be read: it is nested too deep to be read.",
    )


@pytest.mark.parametrize(
    ("raw", "portable"),
    [
        (b'{"class":"A","args":["\\ud83d\\ude00"]}', True),
        (b'{"class":"A","args":["\\ud83d"]}', False),  # half a character
        (b'{"class":"A","args":[1e999]}', False),
        (nested(DEPTH_FOR_OTHERS), True),
        (nested(DEPTH_FOR_OTHERS + 1), False),  # Ruby stops at 100, and the record adds one
    ],
)
def test_portable_is_what_every_language_reads_and_writes(raw: bytes, portable: bool) -> None:
    """Only what Ruby and Node can read too is shown to them as it is."""
    assert Payload.parse(raw).portable == portable


def test_large_payload_is_left_to_the_child() -> None:
    """A worker reads 64 KB and no more; of the rest it knows the size."""
    raw = b'{"class":"A","args":["%b"]}' % (b"x" * 65536)
    payload = Payload.take(raw)
    assert payload == Payload(raw, "", [], decoded=False)
    assert not payload.portable
    assert Payload(raw, "A", [], decoded=False, vouched=True).portable
    assert Payload.take(b'{"class":"A"}') == Payload.parse(b'{"class":"A"}')
    with pytest.raises(UnreadablePayload, match="over the limit of 65536"):
        Payload.take(raw, 65536)
