"""Children's output, tested by histories: what is written, what is taken, and when."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from clock import Clock

from resque_fork.system.loop import Loop
from resque_fork.system.streams import MOST_WAITING, PIPE_BYTES, STUCK_SECONDS, Stream


class Ends:
    """The two ends of a worker's stream: what a child writes to, and the worker's own output."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.reader, self.output = os.pipe()
        os.set_blocking(self.reader, False)
        self.stream = Stream(self.loop, self.output, "stdout")

    def write(self, data: bytes) -> None:
        """As a child does, which has room in its pipe."""
        os.write(self.stream.writer, data)
        self.loop.poll()

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.loop.poll()

    def read(self) -> bytes:
        """All that has come out by now."""
        data = b""
        try:
            while piece := os.read(self.reader, PIPE_BYTES):
                data += piece
                self.loop.poll()
        except BlockingIOError:
            pass
        return data

    def fill(self) -> bytes:
        """Until neither the worker's output nor the stream takes any more."""
        os.set_blocking(self.stream.writer, False)
        written, number = b"", 0
        try:
            while True:
                line = b"%0*d\n" % (4095, number)
                taken = os.write(self.stream.writer, line)
                written += line[:taken]
                number += 1
                self.loop.poll()
        except BlockingIOError:
            return written

    def close(self) -> None:
        self.stream.close()
        for fd in (self.reader, self.output):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def test_it_is_passed_on(ends: Ends) -> None:
    """At once, and byte for byte."""
    ends.write(b"one\n")
    assert ends.read() == b"one\n"
    ends.write(b"\xff\0")
    assert ends.read() == b"\xff\0"


def test_a_reader_that_is_slow(ends: Ends) -> None:
    """Nothing is lost, and nothing is read ahead without a bound: the child waits."""
    written = ends.fill()
    assert len(written) < 4 * PIPE_BYTES
    ends.later(STUCK_SECONDS - 1)
    assert ends.read() == written


def test_a_reader_that_reads_little(ends: Ends) -> None:
    """As long as it reads, it is waited for."""
    written = ends.fill()
    taken = b""
    for _ in range(5):
        ends.later(STUCK_SECONDS - 1)
        taken += os.read(ends.reader, 2 * 4096)
        ends.loop.poll()
    assert taken + ends.read() == written


def test_a_reader_that_never_reads(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """It is waited for, then what is written is dropped; until it reads again."""
    ends.fill()
    ends.later(STUCK_SECONDS + 1)
    ends.loop.poll()
    for _ in range(10):
        ends.write(b"lost\n" * 1000)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "What jobs write to stdout is dropped" in caplog.text
    assert "nobody reads it" in caplog.text
    assert b"lost" not in ends.read()
    ends.loop.poll()
    ends.write(b"again\n")
    assert ends.read() == b"again\n"


def test_a_reader_that_is_gone(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """What is written is dropped at once, and that is said once."""
    os.close(ends.reader)
    for _ in range(10):
        ends.write(b"lost\n")
    assert len(caplog.records) == 1
    assert "cannot pass it on: Broken pipe. Jobs go on, and this is said once" in caplog.text
    ends.stream.reopened()
    ends.write(b"lost\n")
    assert len(caplog.records) == 2
    ends.reader = os.dup(ends.output)


def test_an_output_that_was_closed(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """By the application, for example."""
    os.close(ends.output)
    ends.output = -1
    ends.write(b"lost\n")
    assert "Bad file descriptor" in caplog.text


def test_many_jobs_while_nobody_reads(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    """What each of them wrote last is taken in, up to a bound."""
    ends.fill()
    os.set_blocking(ends.stream.writer, True)
    for _ in range(10):
        ends.stream.drain()
        os.write(ends.stream.writer, b"x" * PIPE_BYTES)
    assert len(ends.stream._waiting) <= MOST_WAITING
    assert logging.getLevelName(caplog.records[0].levelno) == "WARNING"


def test_what_is_left_at_the_end(ends: Ends) -> None:
    """It is passed on before the worker leaves."""
    os.write(ends.stream.writer, b"last\n")
    ends.stream.close()
    assert ends.read() == b"last\n"
    ends.stream = Stream(ends.loop, ends.output, "stdout")
