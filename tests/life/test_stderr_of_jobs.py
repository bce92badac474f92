"""The last lines that a dead child wrote to stderr are kept; a flood of them harms nobody."""

from __future__ import annotations

import json
import os
import signal
import time

import psutil

from .harness import Stage, until


def test_last_lines_of_stderr(stage: Stage) -> None:
    """The last twenty lines, and all of it on the worker's own stderr."""
    worker = stage.idle()
    stage.push("last_words", 50)
    stage.push("kill_self", 9)
    first, second = stage.failed(2)
    lines = first["forensics"]["stderr"]
    assert lines[:2] == ["line 31", "line 32"]
    assert lines[-1] == "and bytes \ufffd\x1b[31m"
    assert len(lines) == 20
    assert "stderr" not in second["forensics"]
    assert all(f"line {number}\n" in worker.said for number in range(50))
    assert worker.stop() == 0


def test_the_last_lines_are_those_of_this_job(stage: Stage) -> None:
    """However much the job before it has written to the end."""
    for _ in range(10):
        stage.push("shout", 60)
        stage.push("leave", 3)
    stage.work()
    assert [entry for entry in stage.failed(10) if "stderr" in entry["forensics"]] == []


def test_a_flood_on_stderr(stage: Stage) -> None:
    """Megabytes pass through; what is kept is small; nothing is stuck."""
    entry = stage.failure_of("flood_stderr", 8)
    assert entry["forensics"]["exit_status"] == 1
    assert len(json.dumps(entry)) < 50_000


def is_waiting(pid: int) -> bool:
    """Whether a process uses no processor any more."""
    before = psutil.Process(pid).cpu_times()
    time.sleep(0.1)
    process = psutil.Process(pid)
    return process.cpu_times() == before and process.status() == psutil.STATUS_SLEEPING


def test_a_flood_when_nobody_reads_our_stderr(stage: Stage) -> None:
    """If our own stderr is stuck the child waits; the worker still obeys."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stderr=writer, stdout=writer)
    os.close(writer)
    stage.push("flood_stderr", 8)
    worker.until_title("Forked")
    child = int(worker.title.split()[2])
    until(lambda: is_waiting(child))
    worker.send(signal.SIGTERM)
    try:
        assert worker.ended() == 0
    finally:
        os.close(reader)
    stage.assert_left(worker)
    assert len(stage.failed()) == 1


def test_nobody_reads_our_stderr_at_all(stage: Stage) -> None:
    """A closed pipe as stderr does not stop a worker, nor a job that writes to it."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stderr=writer, stdout=writer)
    os.close(writer)
    worker.until_idle()
    os.close(reader)
    stage.push("last_words", 5)
    stage.push("quick")
    stage.told("quick", by=worker)
    assert stage.failed(1)[0]["forensics"]["stderr"][0] == "line 0"
    assert worker.stop() == 0
    stage.assert_left(worker)
