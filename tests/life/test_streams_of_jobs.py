"""What jobs print reaches the worker's output, and fails no job if that takes nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess

import pytest

from resque_fork.system.streams import PIPE_BYTES

from .harness import Stage, until


def test_in_order_and_complete(stage: Stage) -> None:
    """Also what a job wrote before it was killed, and more than pipes hold."""
    stage.push("print_lines", 30_000)
    stage.push("print_lines", 3, 20, "kill")
    worker = stage.start(*stage.command("--interval", "0"), stderr=subprocess.DEVNULL)
    assert worker.ended() == 0
    expected = [f"{number:010}" for number in range(30_000)]
    assert worker.said.splitlines() == expected + [f"{number:020}" for number in range(3)]


def test_a_job_that_prints_much(stage: Stage) -> None:
    """The worker goes on hearing signals meanwhile."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stdout=writer)
    os.close(writer)
    stage.push("print_lines", 1_000_000, 200)
    assert os.read(reader, 100) == b"0" * 100
    worker.send(signal.SIGTERM)
    while os.read(reader, 65536):
        pass
    os.close(reader)
    assert worker.ended() == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


@pytest.mark.parametrize("name", ["print_lines", "run_printing_program"])
def test_the_reader_is_gone(stage: Stage, name: str) -> None:
    """Neither a job that prints fails, nor a program that it runs; it is said once."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stdout=writer)
    os.close(writer)
    os.close(reader)
    args = [5] if name == "print_lines" else []
    for _ in range(3):
        stage.push(name, *args)
    until(lambda: stage.stat("processed") == 3, lambda: worker.said)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert worker.said.count("What jobs write to stdout is dropped") == 1
    assert "because the worker cannot pass it on: Broken pipe." in worker.said


def test_the_disk_is_full(stage: Stage) -> None:
    """Likewise."""
    with open("/dev/full", "wb") as full:
        worker = stage.start(*stage.command(), stdout=full)
    for _ in range(3):
        stage.push("print_lines", 5)
    until(lambda: stage.stat("processed") == 3, lambda: worker.said)
    assert worker.stop() == 0
    assert stage.failed() == []
    assert "No space left on device" in worker.said


def test_a_file_that_may_not_grow(stage: Stage) -> None:
    """The same of a log file that has reached the limit of its process."""
    limit = (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    log = stage.directory / "log"
    with log.open("wb") as file:
        worker = stage.start(*stage.command(), stdout=file)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, limit)
    stage.push("print_lines", 10_000)
    stage.push("quick")
    stage.told("quick", by=worker)
    assert stage.failed() == []
    assert worker.stop() == 0
    assert log.stat().st_size <= 4096


def test_nobody_reads(stage: Stage) -> None:
    """A job waits a while for a reader, and not for ever; then what it prints is dropped."""
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(), stdout=writer)
    os.close(writer)
    for _ in range(2):
        stage.push("print_lines", 10 * PIPE_BYTES // 100, 99)
    until(lambda: stage.stat("processed") == 2, lambda: worker.said, timeout=60)
    worker.until_said("What jobs write to stdout is dropped")
    assert "nobody reads it" in worker.said
    os.set_blocking(reader, False)
    while True:  # somebody reads again
        try:
            os.read(reader, PIPE_BYTES)
        except BlockingIOError:
            break
    os.set_blocking(reader, True)
    stage.push("print_lines", 1, 33)
    assert b"0" * 33 in os.read(reader, PIPE_BYTES)
    assert worker.stop() == 0
    os.close(reader)
    assert stage.failed() == []
