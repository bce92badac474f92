"""The bytes that meet Redis are Resque's, and a payload from a queue keeps its own."""

import datetime
import enum
import inspect
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.errors import ArgumentsError, UnreadablePayload
from resque_fork.wire.payload import (
    DEPTH_FOR_OTHERS,
    MAX_DEPTH,
    Payload,
    WorkerRecord,
    decode,
    depth_of,
    encode,
    entry_with,
    failed_entry,
    failed_time,
    read_time,
    run_time,
    sayable,
    started_time,
    zone_of,
)

MOMENT = 1795416710  # 2026-11-23 06:51:50 UTC

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
finite = scalars.filter(lambda v: not isinstance(v, float) or abs(v) != float("inf"))
values = st.recursive(
    finite, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=15
)


def nested(depth: int) -> bytes:
    """A job's payload of just so many levels."""
    inner = depth - 1
    return b'{"class":"A","args":' + b"[" * inner + b"]" * inner + b"}"


# --- JSON


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ({"class": "A", "args": [1, "ünï", {"k": [1.5, None, True]}]}, None),
        ("a/b", b'"a/b"'),
        ("\u2028\x7f", b'"\xe2\x80\xa8\x7f"'),
        ("\b\t\n\f\r\x00\x1f", b'"\\b\\t\\n\\f\\r\\u0000\\u001f"'),
        (1.0, b"1.0"),
        (2**80, b"1208925819614629174706176"),
    ],
)
def test_json_is_rubys(value: Any, raw: bytes | None) -> None:
    """JSON is compact UTF-8, with nothing escaped that Ruby does not escape."""
    if raw is None:
        raw = '{"class":"A","args":[1,"ünï",{"k":[1.5,null,true]}]}'.encode()
    assert encode(value) == raw


@given(values)
def test_json_reads_back(value: Any) -> None:
    """What was written reads back as the same value."""
    assert decode(encode(value)) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b'{"a":', "it is not JSON (Expecting value: line 1 column 6 (char 5))"),
        (b"NaN", "it is not JSON (NaN is not a number)"),
        (b"[-Infinity]", "it is not JSON (-Infinity is not a number)"),
        (b'"\xff"', "it is not UTF-8 (byte 1)"),
        (b"[" * 10_000, f"it is nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_bad_json_raises_our_error(raw: bytes, reason: str) -> None:
    """JSON that is none is refused with a reason that can be shown."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        decode(raw)
    assert str(caught.value) == reason


def test_depth_is_counted_outside_of_strings() -> None:
    """Brackets in strings are text, however many, and however the quotes are escaped."""
    assert depth_of(encode(["[" * 1000 + '\\"' + "{" * 1000])) == 1
    assert decode(encode(["[" * 2000])) == ["[" * 2000]
    assert depth_of(nested(300)) == 300


# --- a job


def test_payload_is_class_then_args() -> None:
    """A job's payload has `class`, then `args`, and nothing else."""
    payload = Payload.of("Mail::Send", [1, "ünï"])
    assert payload.raw == '{"class":"Mail::Send","args":[1,"ünï"]}'.encode()
    assert Payload.of("A", ()).raw == b'{"class":"A","args":[]}'


@given(text.filter(bool), st.lists(values))
def test_payload_reads_back(name: str, args: list[Any]) -> None:
    """What was enqueued is what is performed, and keeps its bytes on the way."""
    payload = Payload.of(name, args)
    assert Payload.read(payload.raw) == payload
    assert payload.portable


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (datetime.date(2026, 1, 1), "argument 2 is a datetime.date, which is not JSON"),
        (b"x", "argument 2 is a bytes, which is not JSON"),
        ({1, 2}, "argument 2 is a set, which is not JSON"),
        (uuid.UUID(int=1), "argument 2 is a uuid.UUID, which is not JSON"),
        (Decimal(1), "argument 2 is a decimal.Decimal, which is not JSON"),
        (float("nan"), "argument 2 is nan, which JSON cannot say"),
        ({"a": [1, float("inf")]}, "argument 2 at ['a'][1] is inf, which JSON cannot say"),
        ({"a": {3: 4}}, "argument 2 at ['a'] has the key 3, a int and not a string"),
        ([[object()]], "argument 2 at [0][0] is a object, which is not JSON"),
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
    assert Payload.read(Payload.of("mail", deep).raw).args == deep


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
    payload = Payload.read(raw)
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
        Payload.read(raw)
    assert str(caught.value) == f"The payload cannot be read: {message}."


def test_payload_over_the_limit() -> None:
    """A payload over the limit is refused unread, whatever it says."""
    with pytest.raises(UnreadablePayload) as caught:
        Payload.read(b"x" * 11, limit=10)
    assert str(caught.value) == "The payload has 11 bytes, which is over the limit of 10."
    assert Payload.read(b'{"class":"A"}', limit=13).class_name == "A"


@given(st.binary())
def test_reading_never_raises_anything_else(raw: bytes) -> None:
    """Whatever stands in a queue is a job, or refused as none: no other error is possible."""
    try:
        assert Payload.read(raw).raw == raw
    except UnreadablePayload:
        pass


def test_reading_with_little_stack_left() -> None:
    """Where Python's own stack is nearly used up, a deep payload is refused, and no worse."""

    def read_below(levels: int) -> str:
        if levels:
            return read_below(levels - 1)
        try:
            return Payload.read(nested(MAX_DEPTH)).class_name
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
    assert Payload.read(raw).portable == portable


def test_large_payload_is_left_to_the_child() -> None:
    """A worker reads 64 KB and no more; of the rest it knows the size."""
    raw = b'{"class":"A","args":["%b"]}' % (b"x" * 65536)
    payload = Payload.take(raw)
    assert payload == Payload(raw, "", [], decoded=False)
    assert not payload.portable
    assert Payload(raw, "A", [], decoded=False, vouched=True).portable
    assert Payload.take(b'{"class":"A"}') == Payload.read(b'{"class":"A"}')
    with pytest.raises(UnreadablePayload, match="over the limit of 65536"):
        Payload.take(raw, 65536)


# --- a worker's record


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
    assert WorkerRecord.read(record.to_json()) == record


def test_record_by_node() -> None:
    """Node's record has the payload in the middle: its value is kept, if not its bytes."""
    record = WorkerRecord.read(
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
        WorkerRecord.read(raw)
    assert str(caught.value) == reason


def record_of(payload: bytes) -> bytes:
    return WorkerRecord("email", "2026-11-23T06:51:50Z", payload).to_json()


@pytest.mark.parametrize(
    "payload", [b'{"class":"A","args":["%b"]}' % (b"x" * 100_000), b"x" * 100_000]
)
def test_large_record_is_taken_apart_unread(payload: bytes) -> None:
    """A worker does not read a large record: it finds the payload behind the head, good or bad."""
    assert WorkerRecord.read(record_of(payload)).raw == payload


@pytest.mark.parametrize(
    "record", [b"x" * 100_000, b'{"queue":"' * 20_000, b'{"payload":' * 20_000]
)
def test_large_record_in_another_form(record: bytes) -> None:
    """It is none."""
    with pytest.raises(ValueError, match="too large to be read, and not in Resque's own form"):
        WorkerRecord.read(record)


# --- a failed entry


def entry(raw: bytes, **more: Any) -> bytes:
    """A failed entry of this payload."""
    told: dict[str, Any] = {
        "failed_at": MOMENT,
        "exception": "ValueError",
        "error": "böom",
        "backtrace": ["/app/jobs.py:17:in perform"],
        "worker": "vm:22916:email,low",
        "queue": "email",
    }
    return failed_entry(payload=raw, **{**told, **more})


def test_seven_keys_in_order() -> None:
    """A failed entry has Resque's seven keys in Resque's order, and the payload's own bytes."""
    assert (
        entry(b'{"class":"A","args":[1.0,12345678901234567890]}')
        == (
            '{"failed_at":"2026/11/23 06:51:50 UTC",'
            '"payload":{"class":"A","args":[1.0,12345678901234567890]},'
            '"exception":"ValueError","error":"böom","backtrace":["/app/jobs.py:17:in perform"],'
            '"worker":"vm:22916:email,low","queue":"email"}'
        ).encode()
    )


def test_forensics_come_last() -> None:
    """What we know beside Resque's seven keys comes after them."""
    item = json.loads(entry(b'{"class":"A"}', forensics={"signal": "SIGSEGV", "stderr": ["x"]}))
    assert list(item)[-2:] == ["queue", "forensics"]
    assert item["forensics"] == {"signal": "SIGSEGV", "stderr": ["x"]}


@given(st.text(), st.lists(values))
def test_entry_with_another_payload(error: str, args: list[Any]) -> None:
    """Only the payload is exchanged, whatever stands around it."""
    long, short = encode({"class": ',"exception":', "args": args}), b'{"class":"B"}'
    assert entry_with(entry(long, error=error), short) == entry(short, error=error)


@given(st.text(), st.text())
def test_failed_entry_says_unsayable_text(error: str, line: str) -> None:
    """Text that UTF-8 cannot carry is shown as escapes, so that the list can be read back."""
    told = {"stderr": [line], "signal": "SIGSEGV"}
    item = decode(entry(b'{"class":"A"}', error=error, backtrace=[line], forensics=told))
    assert item["error"] == sayable(error)
    assert item["backtrace"] == item["forensics"]["stderr"] == [sayable(line)]


def test_sayable_shows_escapes() -> None:
    """A lone surrogate is shown as an escape; all other text is left alone."""
    assert sayable("a\ud800ü") == "a\\ud800ü"


# --- times


def test_run_at_format() -> None:
    """The three times that we write have Resque's three forms, all of them in UTC."""
    assert run_time(MOMENT + 0.9) == "2026-11-23T06:51:50Z"
    assert failed_time(MOMENT) == "2026/11/23 06:51:50 UTC"
    assert started_time(MOMENT) == "2026-11-23 06:51:50 +0000"


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-23T06:51:50Z",
        "2026-11-23T06:51:50.9Z",
        "2026-11-23T01:51:50-05:00",
        "2026-11-23T06:51:50.900000000Z",
        "2026/11/23 06:51:50 UTC",
        "2026/11/23 06:51:50 GMT",
        "2026/11/23 06:51:50 Z",
        "2026/11/23 08:51:50 UTC+02:00",
        "2026/11/23 12:36:50 +0545",
        "2026-11-23 06:51:50 +0000",
        "2026-11-23 01:51:50 -0500",
        "2026-11-23 01:51:50 -05",
        "Mon Nov 23 2026 06:51:50 GMT+0000 (Coordinated Universal Time)",
        "Mon Nov 23 2026 01:51:50 GMT-0500 (Eastern Standard Time)",
        "Mon Nov 23 06:51:50 UTC 2026",
        "Mon Nov 23 12:36:50 +0545 2026",
        "1795416710",
        " 1795416710.9 ",
    ],
)
def test_times_of_every_language_are_read(told: str) -> None:
    """The times that Ruby, Node, Go and PHP write are read."""
    moment = read_time(told)
    assert moment is not None
    assert int(moment) == MOMENT


@pytest.mark.parametrize(
    "told",
    ["", "garbage", "99", "2026-13-45", "Mon", "a" + " " * 1_000_000 + "b", "(" * 1_000_000],
    ids=lambda told: told[:10],
)
def test_times_that_cannot_be_told(told: str) -> None:
    """A time that is none is None."""
    assert read_time(told) is None


@pytest.fixture
def host_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Put this host in a time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("2026/11/23 06:51:50 EST", "EST"),
        ("Mon Nov 23 06:51:50 CET 2026", "CET"),
        ("2026/11/23 06:51:50 Eastern Standard Time", "Eastern Standard Time"),  # Ruby on Windows
        ("2026/11/23 06:51:50 CST", "CST"),  # of America, China or Cuba
        ("2026-11-23 06:51:50 EST+0100", "EST+0100"),
        ("2026/11/23 06:51:50", "none"),  # Resque of long ago
        ("2026-11-23 06:51:50.123456", "none"),  # pyres
    ],
)
@pytest.mark.parametrize("host", ["UTC", "Asia/Kathmandu", "Asia/Shanghai"])
def test_times_of_unknown_zones(
    told: str, zone: str, host: str, host_in: Callable[[str], None]
) -> None:
    """A time without a zone, or with a name that may be anybody's, is not told, and its zone is."""
    host_in(host)
    assert (read_time(told), zone_of(told)) == (None, zone)


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2026/11/23 01:51:50 EST", MOMENT),
        ("Mon Nov 23 01:51:50 EST 2026", MOMENT),
        ("2026/11/01 01:30:00 EDT", 1793511000),
        ("2026/11/01 01:30:00 EST", 1793514600),  # an hour later, when clocks show it again
        ("2026/11/23 06:51:50 EDT", None),  # which nobody there says in winter
        ("2026/11/23 06:51:50 CET", None),
    ],
)
def test_zone_of_this_host_by_its_name(
    told: str, moment: float | None, host_in: Callable[[str], None]
) -> None:
    """A time with the name that this host's own zone had then is this host's time."""
    host_in("America/New_York")
    assert read_time(told) == moment


@pytest.mark.parametrize("told", ["2026/11/23 06:51:50 UTC", "1795416710", "garbage", ""])
def test_no_zone_to_be_told_of(told: str) -> None:
    """Of a time that can be told, and of what is none, no zone is named."""
    assert zone_of(told) is None


@given(st.integers(0, 4102444800))
def test_our_times_read_back(moment: int) -> None:
    """What we write, we read."""
    for write in (run_time, failed_time, started_time):
        assert read_time(write(moment)) == moment
