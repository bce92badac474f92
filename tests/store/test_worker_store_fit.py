"""What a job must be like to stand on a worker's record, which others read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.wire.job import Payload
from resque_fork.wire.json import decode
from resque_fork.wire.keys import Keys, to_bytes
from resque_fork.wire.record import WorkerRecord

from .conftest import BACK, ID, IDENTITY, KEYS, push

UNFIT = [
    b"oops",
    b"[]",
    b"",
    b'{"class":5}',
    b'{"class":"A","args":[NaN]}',
    b'{"class":"A","args":[0x1F]}',
    b'{"class":"A","args":[01]}',
    b'{"class":"A","args":[1.]}',
    b'{"class":"A","args":[-nan]}',
    b'{"class":"A","args":[1e999]}',
    b'{"class":"A","args":[' + b"9" * 5000 + b"]}",
    b'{"class":"A","args":["\xff"]}',
    b'{"class":"A","args":["\xed\xa0\x80"]}',
    b'{"class":"A","args":["\xc0\xaf"]}',
    b'{"class":"A","args":["a\tb"]}',
    b'{"class":"A",\n"args":[]}',
    b' {"class":"A"}',
    b'{"class":"A","args":["\\ud800"]}',
    b'{"class":"A","args":' + b"[" * 99 + b"]" * 99 + b"}",
    b'{"class":"A","args":["' + b"x" * 1048576 + b'"]}',
]


@pytest.mark.parametrize("raw", UNFIT, ids=lambda raw: repr(raw[:40]))
def test_what_would_stop_others_is_kept_from_them(
    store: WorkerStore, client: Any, keys: Keys, raw: bytes
) -> None:
    """What bad JSON would do to Ruby's workers and dashboards, it does not: it is ours alone."""
    push(client, "email", raw)
    step = store.step(NOTHING, ["email"])
    assert (step.found, step.queue, step.raw) == ("unread", "email", raw)
    assert client.get(keys.worker(ID)) is None
    assert client.hgetall(keys.unread(ID)) == {
        b"queue": b"email", b"run_at": step.run_at.encode(), b"payload": raw,
    }  # fmt: skip
    assert store.step(BACK, None).finish == "back"
    assert client.lrange(keys.queue("email"), 0, -1) == [raw]
    assert not client.exists(keys.unread(ID))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"A","args":["\\"NaN, 0x1F, 01, [[[{{{\\\\"]}',
        b'{"class":"A","args":[-0,-0.5,1e5,1E-5,2.5e+10,true,false,null,12345678901234567890]}',
        '{"class":"Ä","args":["\U0001f600ÿ\u0800\ud7ff\ue000\U0010ffff"],"id":"x"}'.encode(),
        b'{"class":"A","args":' + b"[" * 98 + b"]" * 98 + b"}",
        b'{"class":"A","args":[' + b",".join([b"[{}]"] * 300) + b"]}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_fit_is_on_record_for_all(store: WorkerStore, client: Any, raw: bytes) -> None:
    """Ordinary JSON of all kinds goes straight to the record."""
    push(client, "email", raw)
    assert store.step(NOTHING, ["email"]).found == "job"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"class":"A","args":["' + b"x" * 65536 + b'"]}',
        b'{"class":"A","args":[' + b"1," * 5000 + b"1]}",
        b'{"class":"A","args":[' + b"9" * 500 + b"]}",
        b'{"class":"A","args":["' + "é".encode() * 8200 + b'"]}',
    ],
    ids=["over 64 KB", "many values", "a long number", "many other letters"],
)
def test_what_would_take_the_server_long_is_not_judged_there(
    store: WorkerStore, client: Any, keys: Keys, raw: bytes
) -> None:
    """Such a job stays where only we look, with its class once somebody has read it."""
    push(client, "email", raw)
    step = store.step(NOTHING, ["email"])
    assert step.found == "unread"
    for _ in range(2):
        store.describe("A", True)
    assert client.hgetall(keys.unread(ID)) == {
        b"queue": b"email",
        b"run_at": step.run_at.encode(),
        b"payload": raw,
        b"class": b"A",
        b"portable": b"1",
    }
    assert not client.exists(keys.worker(ID))
    assert store.step(BACK, None).finish == "back"
    assert client.lrange(keys.queue("email"), 0, -1) == [raw]
    store.describe("A", True)  # late
    assert not client.exists(keys.unread(ID))


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
good_jobs = st.builds(Payload.of, texts.filter(bool), st.lists(json_values, max_size=4))
SPLINTERS = [
    b"NaN", b"-Infinity", b"0x1F", b"01", b"1.", b".5", b"-", b"+1", b"1e5", b"1e999", b"nan",
    b"''", b"//", b"\x00", b"\t", b"\n", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\\",
    b'"', b"\\u", b"\\ud800", b"\\udc00\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"null", b" ",
    b'"class":1', b'"class":"B"', b"tru", b"\\x", b"[" * 100, b"{}" * 100, b"9" * 400,
]  # fmt: skip


@st.composite
def damaged_jobs(draw: Any) -> bytes:
    """A good payload with splinters of JSON, or of what is nearly JSON, driven into it."""
    raw: bytes = draw(good_jobs).raw
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 3)))
        raw = raw[:start] + draw(st.sampled_from(SPLINTERS) | st.binary(max_size=3)) + raw[end:]
    return raw


queue_names = texts.map(str.encode) | st.binary(max_size=10)


@given(raw=st.binary() | damaged_jobs(), queue=queue_names)
def test_script_vouches_only_for_what_python_accepts(
    long_client: Any, raw: bytes, queue: bytes
) -> None:
    """Whatever the script lets others read is strict JSON of a job; nothing at all is lost."""
    long_client.flushall()
    store = WorkerStore(long_client, KEYS, ID, IDENTITY)
    store.heartbeat()
    name = queue.decode("utf-8", "surrogateescape")
    long_client.rpush(KEYS.queue(name).encode("utf-8", "surrogateescape"), raw)
    step = store.step(NOTHING, [name])
    assert (step.queue, step.raw) == (name, raw)
    if step.found == "job":
        item = decode(raw)
        assert isinstance(item["class"], str)
        assert Payload(raw, "", []).portable
        queue.decode("utf-8")
        record = long_client.get(KEYS.worker(ID))
        assert record == WorkerRecord(name, step.run_at, raw).to_json()
        assert WorkerRecord.parse(record).raw == raw
    else:
        assert step.found == "unread"
        assert not long_client.exists(KEYS.worker(ID))
    assert store.step(BACK, None).finish == "back"
    assert long_client.lrange(to_bytes(KEYS.queue(name)), 0, -1) == [raw]


@given(good_jobs)
def test_script_vouches_for_what_we_enqueue(long_client: Any, payload: Payload) -> None:
    """An ordinary job never needs a second look: it is on record in one round trip."""
    long_client.flushall()
    store = WorkerStore(long_client, KEYS, ID, IDENTITY)
    store.heartbeat()
    long_client.rpush(KEYS.queue("q"), payload.raw)
    assert store.step(NOTHING, ["q"]).found == "job"
