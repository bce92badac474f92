"""Whatever stands in a queue: a clear error, nothing lost, and the same worker goes on."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest

from resque_fork.wire.json import MAX_DEPTH

from .harness import Running, Stage, bytes_in, until


def failed_by(stage: Stage, raw: bytes, *options: str) -> tuple[dict[str, Any], Running]:
    """The failed entry of a payload; the same worker then performs a good job."""
    worker = stage.idle(*options)
    stage.push_raw(raw)
    stage.push("quick", "next")
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    [entry] = stage.failed(1)
    assert (entry["queue"], entry["worker"]) == ("jobs", stage.id_of(worker))
    until(lambda: stage.stat("processed") == 2)
    assert stage.stat("failed") == 1
    assert "Traceback" not in worker.said
    return entry, worker


UNREADABLE = {
    "not JSON": (b'{"class":"quick"', "it is not JSON"),
    "nothing": (b"", "it is not JSON"),
    "binary": (bytes(range(256)), "it is not UTF-8"),
    "an array": (b'["quick"]', "it is not a JSON object"),
    "a string": (b'"quick"', "it is not a JSON object"),
    "a number": (b"7", "it is not a JSON object"),
    "null": (b"null", "it is not a JSON object"),
    "an empty object": (b"{}", 'it has no "class"'),
    "no class": (b'{"args":[1]}', 'it has no "class"'),
    "class null": (b'{"class":null,"args":[]}', 'it has no "class"'),
    "class a number": (b'{"class":7,"args":[]}', 'its "class" is not a string'),
    "class empty": (b'{"class":"","args":[]}', 'it has no "class"'),
    "args an object": (b'{"class":"quick","args":{"a":1}}', 'its "args" are not an array'),
    "args a string": (b'{"class":"quick","args":"x"}', 'its "args" are not an array'),
    "args false": (b'{"class":"quick","args":false}', 'its "args" are not an array'),
    "invalid UTF-8": (b'{"class":"quick","args":["\xff\xfe"]}', "it is not UTF-8 (byte 26)"),
    "NaN": (b'{"class":"quick","args":[NaN]}', "NaN is not a number"),
    "hexadecimal": (b'{"class":"quick","args":[0x1F]}', "it is not JSON"),
    "a trailing comma": (b'{"class":"quick","args":[1,]}', "it is not JSON"),
    "two values": (b'{"class":"quick","args":[]} {}', "it is not JSON"),
    "10,000 levels": (
        b'{"class":"quick","args":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        f"it is nested more than {MAX_DEPTH} levels deep",
    ),
    "10,000 levels not closed": (b'{"a":' * 10_000, "levels deep"),
    "a PHP serialisation": (b'O:8:"stdClass":1:{s:5:"class";}', "it is not JSON"),
    "a pickle": (b"\x80\x04\x95\x00cos\nsystem\n", "it is not UTF-8"),
}


@pytest.mark.parametrize(("raw", "why"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_is_no_job_is_failed_with_its_bytes(stage: Stage, raw: bytes, why: str) -> None:
    """A failed entry says why it cannot be read, and keeps every byte of it."""
    entry, worker = failed_by(stage, raw)
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert why in entry["error"]
    assert bytes_in(entry) == raw
    assert entry["payload"]["class"] == "ResqueFork::Unreadable"
    assert list(entry)[:7] == [
        *("failed_at", "payload", "exception", "error", "backtrace", "worker", "queue")
    ]
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_too_large(stage: Stage) -> None:
    """Over --max-payload a job fails; its bytes are kept all the same."""
    raw = b'{"class":"quick","args":["' + b"x" * 5000 + b'"]}'
    entry, worker = failed_by(stage, raw, "--max-payload", "4K")
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert f"The payload has {len(raw)} bytes, which is over the limit of 4096" in entry["error"]
    assert bytes_in(entry) == raw
    assert worker.stop() == 0


GOOD = {
    "args missing": (b'{"class":"quick"}', []),
    "args null": (b'{"class":"quick","args":null}', []),
    "more keys": (b'{"class":"quick","queue":"jobs","args":[1],"id":"x"}', [1]),
    "blanks and lines": (b'\n{ "class" :\t"quick",\r\n "args" : [ 1 ] }\n', [1]),
    "odd but right numbers": (b'{"class":"quick","args":[1E5,-0,1e-7]}', [100000.0, 0, 1e-07]),
    "a large number": (
        b'{"class":"quick","args":[123456789012345678901]}',
        [123456789012345678901],
    ),
    "an escaped class": (b'{"class":"qu\\u0069ck","args":["\\u00e4"]}', ["ä"]),
    "empty containers": (b'{"class":"quick","args":[[],{}]}', [[], {}]),
    "a key twice": (b'{"class":"boom","class":"quick","args":[]}', []),
    "many levels": (
        b'{"class":"quick","args":' + b"[" * 100 + b"]" * 100 + b"}",
        json.loads(b"[" * 100 + b"]" * 100),
    ),
}


@pytest.mark.parametrize(("raw", "args"), GOOD.values(), ids=GOOD.keys())
def test_odd_but_good(stage: Stage, raw: bytes, args: list[Any]) -> None:
    """What any Resque may have written is a job."""
    worker = stage.idle()
    stage.push_raw(raw)
    assert stage.told("quick", by=worker)["args"] == args
    assert worker.stop() == 0
    assert stage.failed() == []


def test_a_large_job_is_performed_and_shown(stage: Stage) -> None:
    """Megabytes are read by the child alone; its class is known as soon as it has."""
    raw = b'{"class":"large","args":["' + b"x" * 3_000_000 + b'"]}'
    worker = stage.idle()
    stage.push_raw(raw)
    assert stage.told("begun", by=worker)["length"] == 3_000_000
    unread = f"resque:fork:unread:{stage.id_of(worker)}"
    until(lambda: stage.redis.hget(unread, "class") == b"large")
    assert stage.redis.hget(unread, "payload") == raw
    (row,) = json.loads(stage.run("list", "--json"))
    assert (row["state"], row["queue"], row["class"]) == ("working", "jobs", "large")
    stage.open_gate()
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_unknown_class_is_failed(stage: Stage) -> None:
    """Named, together with the known ones that look alike."""
    entry, worker = failed_by(stage, b'{"class":"qiuck","args":[1]}')
    assert entry["exception"] == "ResqueFork::UnknownJob"
    assert re.match(r"No job is registered as 'qiuck'; similar: quick", entry["error"])
    assert entry["payload"] == {"class": "qiuck", "args": [1]}
    assert worker.stop() == 0


@pytest.mark.parametrize("name", ["os.system", "jobs.quick", "jobs:quick", "__import__", "tell"])
def test_a_payload_cannot_choose_what_is_called(stage: Stage, name: str) -> None:
    """Only what was declared is ever run, whatever a payload names."""
    entry, worker = failed_by(stage, json.dumps({"class": name, "args": ["touch x"]}).encode())
    assert entry["exception"] == "ResqueFork::UnknownJob"
    assert not (stage.directory / "x").exists()
    assert worker.stop() == 0


def test_a_class_name_without_end(stage: Stage) -> None:
    """The error stays short."""
    entry, worker = failed_by(stage, json.dumps({"class": "x" * 100_000, "args": []}).encode())
    assert entry["exception"] == "ResqueFork::UnknownJob"
    assert len(entry["error"]) < 1000
    assert worker.stop() == 0


def test_wrong_arguments_fail_the_job(stage: Stage) -> None:
    """More arguments than the function takes: a TypeError, in the child."""
    entry, worker = failed_by(stage, b'{"class":"boom","args":[1,2,3]}')
    assert entry["exception"] == "TypeError"
    assert worker.stop() == 0


# --- exceptions


def test_an_exception_without_text(stage: Stage) -> None:
    """One whose str() raises is recorded, with a note."""
    entry, worker = failed_by(stage, b'{"class":"unspeakable","args":[]}')
    assert entry["exception"] == "Unspeakable"
    assert entry["error"] == "(its text cannot be shown: str() raised RuntimeError)"
    assert worker.stop() == 0


def test_a_50_mb_message(stage: Stage) -> None:
    """Shortened, with a note."""
    entry, worker = failed_by(stage, b'{"class":"long_message","args":[50]}')
    assert entry["exception"] == "ValueError"
    assert entry["error"].endswith(f"... (shortened, {50 * 1024 * 1024} characters in all)")
    assert len(entry["error"]) < 11_000
    assert worker.stop() == 0


def test_endless_recursion(stage: Stage) -> None:
    """A RecursionError, with the beginning and the end of its backtrace."""
    entry, worker = failed_by(stage, b'{"class":"recursion","args":[]}')
    assert entry["exception"] == "RecursionError"
    assert len(entry["backtrace"]) <= 201
    assert any(line.startswith("... ") for line in entry["backtrace"])
    assert worker.stop() == 0


def test_unprintable_error(stage: Stage) -> None:
    """Circles, lone surrogates and bytes in an exception's text."""
    entry, worker = failed_by(stage, b'{"class":"recursive_error","args":[]}')
    assert entry["exception"] == "ValueError"
    assert r"[[...]]" in entry["error"]
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "name",
    ["surrogate_error", "surrogate_class", "hostile_class", "chained", "group"],
)
def test_strange_exceptions(stage: Stage, name: str) -> None:
    """Whatever an exception and its class look like, there is an entry that UTF-8 can carry."""
    entry, worker = failed_by(stage, json.dumps({"class": name, "args": []}).encode())
    assert entry["exception"]
    assert worker.stop() == 0
    [raw] = stage.redis.lrange("resque:failed", 0, -1)
    raw.decode("utf-8")


# --- Redis


def test_a_queue_of_the_wrong_type(stage: Stage) -> None:
    """An error that names the key, once; the other queues go on being served."""
    stage.redis.set("resque:queue:wrong", "not a list")
    stage.redis.sadd("resque:queues", "wrong", "jobs")
    worker = stage.idle(queues="wrong,jobs")
    for number in range(3):
        stage.push("quick", number)
        assert stage.told("quick", by=worker)["args"] == [number]
    worker.until_idle()
    assert worker.said.count("'resque:queue:wrong' is not a list") == 1
    stage.redis.delete("resque:queue:wrong")
    stage.push("quick", "right", queue="wrong")
    assert stage.told("quick", by=worker)["args"] == ["right"]
    assert worker.stop() == 0


@pytest.mark.parametrize("key", ["failed", "stat:processed", "stat:failed"])
def test_a_books_key_of_the_wrong_type(stage: Stage, key: str) -> None:
    """The outcome is kept until it can be written, or does not cost a job where it is a count."""
    stage.redis.sadd(f"resque:{key}", "not what it ought to be")
    worker = stage.idle()
    stage.push("boom")
    if key == "failed":
        worker.until_said("resque:failed")
        assert stage.redis.exists(f"resque:worker:{stage.id_of(worker)}")
        stage.redis.delete(f"resque:{key}")
    assert stage.failed(1)[0]["exception"] == "ValueError"
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    stage.assert_left(worker)


@pytest.mark.parametrize("key", ["workers", "workers:heartbeat", "fork:workers"])
def test_a_registration_of_the_wrong_type(stage: Stage, key: str) -> None:
    """It is named, once; jobs go on being done, and a worker that starts says why it cannot."""
    worker = stage.idle("--heartbeat-interval", "0.1")
    stage.redis.delete(f"resque:{key}")
    stage.redis.set(f"resque:{key}", "not what it ought to be")
    named = f"The Redis key 'resque:{key}' does not hold what Resque keeps there"
    worker.until_said(named)
    for _ in range(3):
        stage.push("quick")
        stage.told("quick", by=worker)
    assert worker.said.count(named) == 1
    other = stage.work()
    assert other.ended() == 1
    assert named in other.said
    assert worker.stop() == 0
    assert stage.redis.keys(f"resque:*:{worker.pid}:*") == []


@pytest.mark.parametrize("queues", ["jobs", "jobs,*"])
def test_queues_of_the_wrong_type(stage: Stage, queues: str) -> None:
    """If the set of queues is none, named queues are still served."""
    stage.redis.set("resque:queues", "not a set")
    worker = stage.idle(queues=queues)
    said = worker.said.count("The Redis key 'resque:queues' does not hold what Resque keeps there")
    assert said == ("*" in queues)
    stage.redis.rpush("resque:queue:jobs", b'{"class":"quick","args":[]}')
    stage.told("quick", by=worker)
    assert worker.stop() == 0


@pytest.mark.parametrize("value", ["1", "yes", "false", "", "truest"])
def test_pause_key_other_words(stage: Stage, value: str) -> None:
    """Only ``true`` pauses."""
    stage.redis.set("resque:pause-all-workers", value)
    worker = stage.idle()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0


@pytest.mark.parametrize("value", ["true", " TRUE \n", "True"])
def test_pause_key_any_case(stage: Stage, value: str) -> None:
    """In whatever case, with whatever blanks around it."""
    stage.redis.set("resque:pause-all-workers", value)
    worker = stage.work()
    worker.until_title("Paused")
    stage.push("quick")
    assert worker.stop() == 0
    assert len(stage.queue()) == 1


def test_odd_queue_names(stage: Stage) -> None:
    """Colons, blanks, other scripts, bytes that are no text: a queue is a queue."""
    worker = stage.idle(queues="*")
    for name in [
        b"a:b:c",
        b"with blank",
        "größe✓".encode(),
        b"raw\xff\xfe",
        b'"quotes"',
        b"x" * 999,
    ]:
        stage.redis.sadd("resque:queues", name)
        stage.redis.rpush(b"resque:queue:" + name, b'{"class":"quick","args":[]}')
        stage.told("quick", by=worker)
    for name in [b"a:b:c", b"raw\xff\xfe", b'"quotes"']:
        stage.redis.rpush(b"resque:queue:" + name, b'{"class":"boom","args":[]}')
    entries = stage.failed(3)
    assert sorted(entry["queue"] for entry in entries) == ['"quotes"', "a:b:c", r"raw\udcff\udcfe"]
    assert worker.stop() == 0
    assert stage.stat("processed") == 9


# --- starting


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (["--redis", "http://x", "work", "-q", "x"], 2, "must begin with redis://"),
        (["work"], 2, "at least one queue"),
        (["work", "-q", "!mail"], 2, "at least one queue"),
        (["work", "-q", "x", "--term-timeout", "soon"], 2, "a time such as"),
        (["work", "-q", "x", "--heartbeat-interval", "300"], 2, "under 300 seconds"),
        (["work", "-q", "x", "--failure-backend", "nothing"], 2, "No failure backend"),
        (["work", "-q", "x", "--require", "no_such_module"], 1, "There is no module"),
        (["work", "-q", "x", "--require", "broken"], 1, "broken cannot be loaded"),
        (["work", "-q", "x", "--frobnicate"], 2, "--frobnicate"),
    ],
)
def test_wrong_usage(stage: Stage, options: list[str], status: int, sentence: str) -> None:
    """One sentence on stderr, no traceback, and nothing registered."""
    (stage.directory / "broken.py").write_text("import jobs\n1 / 0\n")
    program = stage.command()[:3]
    before = [] if "--redis" in options else ["--redis", stage.url]
    worker = stage.start(*program, *before, *options)
    assert worker.ended() == status
    assert sentence in worker.said
    assert "Traceback" not in worker.said
    assert stage.workers() == []


def test_wrong_credentials(stage: Stage) -> None:
    """It leaves at once instead of waiting for a password to become right."""
    program = stage.command()[:3]
    url = stage.url.replace("unix://", "unix://somebody:wrong@")
    worker = stage.start(*program, "--redis", url, "work", "-q", "jobs", "-r", "jobs")
    assert worker.ended() == 1
    assert "refused the credentials" in worker.said
    assert "wrong@" not in worker.said
    assert "Traceback" not in worker.said


def test_no_redis_at_the_default_address(stage: Stage) -> None:
    """With no server named and none there, it says how to start one, and starts none itself."""
    program = stage.command()[:3]
    with socket.socket() as default:
        try:
            default.bind(("127.0.0.1", 6379))  # and nobody listens
        except OSError:
            pytest.skip("somebody has a Redis at the default address")
        worker = stage.start(*program, "work", "-q", "jobs", "-r", "jobs", env=stage.environment())
        assert worker.ended() == 1
    assert "There is no Redis at redis://localhost:6379/0" in worker.said
    assert "resque-fork redis --port 6379" in worker.said


def test_a_queue_of_thousands(stage: Stage) -> None:
    """A thousand queues are looked at in one step."""
    names = [f"queue{number}" for number in range(1000)]
    stage.redis.sadd("resque:queues", *names)
    worker = stage.idle(queues="*")
    stage.push("quick", queue="queue999")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
