"""How far a job is, from the process that says it to the one that reads it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from resque_fork import progress
from resque_fork.job.progress import Progress, ProgressPage, running
from resque_fork.job.reservation import Reservation
from resque_fork.wire.job import Payload

ID = "0192aabbccdd00112233445566778899"


@pytest.fixture
def page() -> Iterator[ProgressPage]:
    """That of a tracked job which seems to run here."""
    running.page = page = ProgressPage()
    running.job = Reservation("low", Payload.of("Mail", [], ID))
    yield page
    running.page = running.job = None


def test_said(page: ProgressPage) -> None:
    """What was said last is read, and only of the job that has said it."""
    progress(1, 10)
    progress(2.5, 10, "pages")
    assert page.read(ID) == Progress(2.5, 10, "pages")
    assert page.read(ID[::-1]) is None
    page.clear()
    assert page.read(ID) is None


def test_said_by_a_child(page: ProgressPage) -> None:
    """A process that the job has forked may say it, too."""
    pid = os.fork()
    if pid == 0:
        progress(3, 4, "from below")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert page.read(ID) == Progress(3, 4, "from below")


def test_long_messages(page: ProgressPage) -> None:
    """Of a message the first thousand characters are kept, whatever they are."""
    for character in "x\0\U0001f600\ud800":
        progress(1, 2, character * 5000)
        found = page.read(ID)
        assert found is not None
        assert len(found.message) == 1000
        assert found.message[0] in (character, "\\")


def test_outside_a_tracked_job(page: ProgressPage) -> None:
    """There it does nothing."""
    running.job = Reservation("low", Payload.of("Mail", []))
    progress(1, 2)
    running.job = None
    progress(1, 2)
    assert (page.read(ID), page.read("")) == (None, None)


@pytest.mark.parametrize(
    ("num", "total", "problem"),
    [
        (-1, 2, "num must be a number from 0 on, not -1."),
        ("1", 2, "num must be a number from 0 on, not '1'."),
        (True, 2, "num must be a number from 0 on, not True."),
        (1, float("nan"), "total must be a number from 0 on, not nan."),
        (1, 2**63, "total must be a number from 0 on, not 9223372036854775808."),
        (0, 0, "total must be more than 0."),
    ],
)
def test_numbers_that_make_no_sense(num: Any, total: Any, problem: str) -> None:
    """They are refused wherever it is called, so that tests find them."""
    with pytest.raises(ValueError, match="progress: ") as raised:
        progress(num, total)
    assert str(raised.value) == f"progress: {problem}"


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"7",
        b"[1]",
        b'["%b","1",2,""]' % ID.encode(),
        b'["%b",1,0,""]' % ID.encode(),
        b'["%b",1,1e400,""]' % ID.encode(),
    ],
)
def test_garbage(page: ProgressPage, text: bytes) -> None:
    """A job may write anything there."""
    memory: Any = page._memory
    memory[: 8 + len(text)] = struct.pack(">II", len(text), zlib.crc32(text)) + text
    assert page.read(ID) is None


@pytest.mark.parametrize("length", [1, 8000, 2**32 - 1])
def test_half_written(page: ProgressPage, length: int) -> None:
    """What is just being written is not read."""
    memory: Any = page._memory
    progress(1, 2)
    memory[:4] = struct.pack(">I", length)
    assert page.read(ID) is None
