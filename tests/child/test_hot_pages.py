"""What a worker learns of its first jobs: pages that each of them writes to."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pytest

from resque_fork.child.hot_pages import JOBS, MOST_JOBS, HotPages
from resque_fork.system import huge_pages, pinned_pages
from resque_fork.system.loop import Loop

CHILD = 4711


class Memory:
    """The kernel's answers, and what it was asked for."""

    def __init__(self) -> None:
        self.why_not: str | None = None
        self.own: list[Any] = [{1, 2, 3, 4}, {2, 3, 4, 9}, {3, 4, 2, 7}]  # by jobs
        self.pinned: list[Sequence[int]] = []
        self.spared: list[set[int]] = []
        self.problem: OSError | None = None
        self.pins = -1

    def written_pages(self, child: int) -> set[int]:
        assert child == CHILD
        pages = self.own.pop(0)
        if isinstance(pages, OSError):
            raise pages
        return set(pages)

    def pin(self, pages: Sequence[int]) -> int:
        if self.problem:
            raise self.problem
        self.pinned.append(pages)
        self.pins = os.open(os.devnull, os.O_RDONLY)
        return self.pins

    def collapse(self, but: Collection[int] = ()) -> Iterator[None]:
        self.spared.append(set(but))
        yield


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(pinned_pages, "why_not", lambda: memory.why_not)
    monkeypatch.setattr(pinned_pages, "written_pages", memory.written_pages)
    monkeypatch.setattr(pinned_pages, "pin", memory.pin)
    monkeypatch.setattr(huge_pages, "collapse", memory.collapse)
    return memory


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "resque_fork"):
        yield caplog


def test_pages_of_each_of_three_jobs(memory: Memory, said: pytest.LogCaptureFixture) -> None:
    """Are pinned; the others may be in huge pages, which they could not be before."""
    loop = Loop()
    pages = HotPages(loop)
    pages.settle(pins=True, huge=True)
    for _ in range(JOBS):
        assert memory.pinned == memory.spared == []
        assert pages.begin_job()
        pages.look(CHILD)
    assert memory.pinned == [[2, 3, 4]]
    assert memory.spared == [{2, 3, 4}]
    assert not pages.learning
    assert not pages.begin_job()
    assert memory.pins in loop.fds  # no child has it
    assert said.messages == ["3 pages are pinned"]
    pages.close()
    assert memory.pins not in loop.fds


@pytest.mark.parametrize("huge", [True, False])
def test_no_pages_are_wanted(memory: Memory, said: pytest.LogCaptureFixture, huge: bool) -> None:
    """Huge ones are made at once, if they are wanted."""
    pages = HotPages(Loop())
    pages.settle(pins=False, huge=huge)
    assert not pages.begin_job()
    assert memory.spared == ([set()] if huge else [])
    assert said.messages == ["No pages are pinned: that is switched off"]


def test_they_cannot_be_pinned(memory: Memory, said: pytest.LogCaptureFixture) -> None:
    """It is known before any job, and told at DEBUG."""
    memory.why_not = "Operation not permitted"
    pages = HotPages(Loop())
    pages.settle(pins=True, huge=True)
    assert not pages.begin_job()
    assert memory.spared == [set()]
    assert said.messages == ["No pages are pinned: Operation not permitted"]
    assert {record.levelname for record in said.records} == {"DEBUG"}


def test_they_cannot_be_pinned_after_all(memory: Memory, said: pytest.LogCaptureFixture) -> None:
    """Such as for a limit of locked memory: it does not try again."""
    memory.problem = OSError(12, "Cannot allocate memory")
    pages = HotPages(Loop())
    pages.settle(pins=True, huge=False)
    for _ in range(JOBS):
        pages.look(CHILD)
    assert not pages.learning
    assert said.messages == ["No pages are pinned: [Errno 12] Cannot allocate memory"]
    pages.close()


def test_jobs_that_teach_nothing(memory: Memory, said: pytest.LogCaptureFixture) -> None:
    """It waits for others, but not for ever."""
    pages = HotPages(Loop())
    pages.settle(pins=True, huge=True)
    assert all(pages.begin_job() for _ in range(MOST_JOBS))
    assert not pages.begin_job()
    assert not pages.begin_job()
    assert said.messages == ["No pages are pinned: too few jobs ended in good order"]
    assert memory.spared == [set()]


def test_settled_twice(memory: Memory) -> None:
    """Nothing is learned anew, and what is pinned stays."""
    pages = HotPages(Loop())
    pages.settle(pins=True, huge=False)
    for _ in range(JOBS):
        pages.look(CHILD)
    pages.settle(pins=True, huge=False)
    assert not pages.learning
    assert len(memory.pinned) == 1
    pages.close()


def test_a_child_that_has_not_waited(memory: Memory) -> None:
    """Teaches nothing, and another does."""
    memory.own.insert(1, ProcessLookupError())
    pages = HotPages(Loop())
    pages.settle(pins=True, huge=False)
    for _ in range(JOBS):
        pages.look(CHILD)
    assert pages.learning
    pages.look(CHILD)
    assert memory.pinned == [[2, 3, 4]]
    pages.close()
