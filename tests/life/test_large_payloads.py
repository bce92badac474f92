"""Payloads that are too large for a worker to read: its child reads them, under its own limits."""

from __future__ import annotations

import json
import signal

import psutil
import pytest

from .harness import Stage, bytes_in, until


def large(name: str, *, args: str = "") -> bytes:
    return b'{"class":"%b","args":[%b"%b"]}' % (name.encode(), args.encode(), b"x" * 200_000)


def test_log_and_title_name_its_class(stage: Stage) -> None:
    """The class comes from the child; arguments are told by their size."""
    raw = large("large")
    stage.push_raw(raw)
    worker = stage.work("-v")
    child = stage.told("begun", by=worker)["pid"]
    until(lambda: psutil.Process(child).cmdline()[0].endswith("[large]"))
    worker.until_said(f"got: (Job{{jobs}} | large | [{len(raw)} bytes])")
    stage.open_gate()
    worker.until_said("done: (Job{jobs} | large | ")
    assert worker.stop() == 0


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "5"], ["--no-fork-per-job"]])
@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"x" * 100_000, "it is not JSON"),
        (b'{"class":"quick","args":["' + b'\\"' * 100_000, "it is not JSON"),
        (b'{"class":"quick","args":[' + b"[]," * 100 + b'"' + b'\\"' * 40_000, "it is not JSON"),
        (b"[" * 100_000, "nested more than 500 levels"),
        (b'{"args":["' + b"x" * 100_000 + b'"]}', 'it has no "class"'),
        (b'{"class":"quick","args":"' + b"x" * 100_000 + b'"}', '"args" are not an array'),
        (b'{"class":"quick","args":["\xff' + b"x" * 100_000 + b'"]}', "it is not UTF-8"),
    ],
    ids=[
        "text",
        "a string without end",
        "brackets and a string",
        "deep",
        "no class",
        "args",
        "UTF-8",
    ],
)
def test_what_is_no_job(stage: Stage, raw: bytes, why: str, options: list[str]) -> None:
    """The child says why; the entry keeps every byte, and the worker goes on."""
    stage.push_raw(raw)
    stage.push("quick")
    worker = stage.work(*options)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert why in entry["error"]
    assert bytes_in(entry) == raw
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert stage.stat("failed") == 1


def test_unknown_class(stage: Stage) -> None:
    """It is failed under its own name, with its own arguments."""
    raw = large("nobody_knows")
    stage.push_raw(raw)
    worker = stage.work()
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ResqueFork::UnknownJob"
    assert entry["payload"] == json.loads(raw)
    assert worker.stop() == 0


@pytest.mark.parametrize("raw", [large("boom"), large("boom", args="1e400,")])
def test_failure(stage: Stage, raw: bytes) -> None:
    """A job that raised is shown as it is, or as others can write it; its bytes come back."""
    stage.push_raw(raw)
    worker = stage.work()
    (entry,) = stage.failed(1)
    assert entry["payload"]["class"] == "boom"
    assert bytes_in(entry) in (raw, json.dumps(json.loads(raw)).encode())
    assert worker.stop() == 0


def test_its_own_limits_hold(stage: Stage) -> None:
    """What the job declares holds as soon as the child has told which job it is."""
    stage.push_raw(b'{"class":"with_timeout","args":[%b"x"]}' % (b"1," * 40_000))
    worker = stage.work(require="more_jobs")
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ResqueFork::JobTimeout"
    assert worker.stop() == 0


def test_reading_is_under_the_limit_of_memory(stage: Stage) -> None:
    """A payload that takes too much memory to be read fails, and its bytes are kept."""
    raw = b'{"class":"quick","args":[' + b"[]," * 2_000_000 + b"[]]}"
    stage.push_raw(raw)
    worker = stage.work("--memory", "32M")
    (entry,) = stage.failed(1)
    assert entry["exception"] == "MemoryError"
    assert bytes_in(entry) == raw
    assert worker.stop() == 0


def test_worker_stays_small(stage: Stage) -> None:
    """Eight megabytes that would be a gigabyte of objects cost the worker some copies of them."""
    worker = stage.idle()
    before = psutil.Process(worker.pid).memory_info().rss
    raw = b'{"class":"nothing","args":[' + b"{}," * 2_700_000 + b"1]}"
    assert len(raw) > 8_000_000
    stage.push_raw(raw)
    until(lambda: stage.stat("processed") == 1, lambda: worker.said, timeout=60)
    peak = max_rss(worker.pid)
    assert peak - before < 10 * len(raw), f"from {before} to {peak} for {len(raw)} bytes"
    assert worker.stop() == 0


def max_rss(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("on_lost", ["fail", "requeue"])
def test_child_that_dies_before_it_has_read(stage: Stage, on_lost: str) -> None:
    """Nobody knows what job it was; its bytes are kept or go back."""
    raw = b"x" * 100_000
    stage.push_raw(raw)
    worker = stage.work("--on-lost", on_lost, "--max-attempts", "2", require="dies_of_reading")
    (entry,) = stage.failed(1)
    assert bytes_in(entry) == raw
    poison = on_lost == "requeue"
    assert entry["exception"] == ("ResqueFork::PoisonPill" if poison else "Resque::DirtyExit")
    assert worker.stop() == 0


def test_stopped_while_it_reads(stage: Stage) -> None:
    """TERM finds the job as any other: it goes back to its queue if that is asked for."""
    raw = b"x" * 100_000
    stage.push_raw(raw)
    worker = stage.work("--on-term", "requeue", require="waits_to_read")
    stage.told("reading", by=worker)
    worker.send(signal.SIGTERM)
    assert worker.ended() == 0
    assert stage.queue() == [raw]


def test_on_failure_of_a_killed_job(stage: Stage) -> None:
    """The short-lived child that runs the hooks reads the arguments again."""
    stage.push_raw(b'{"class":"FailureHook","args":["die","%b"]}' % (b"x" * 100_000))
    worker = stage.work()
    stage.told("on_failure", by=worker)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert worker.stop() == 0
