"""What a worker adds up, and when it sends it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from clock import Clock

from resque_fork import RedisRefused
from resque_fork.metrics.tally import LARGEST, MOST_CLASSES, SECONDS, Tally
from resque_fork.system.loop import Loop

USED = {"wall_ms": 300, "user_ms": 20, "system_ms": 0, "rss_growth_kb": 2048}


class Parts:
    """A tally with a time of its own; what it has sent, and what comes of sending."""

    def __init__(self) -> None:
        self.time = Clock()
        self.sent: list[Any] = []
        self.answer: Any = True
        self.tally = Tally(Loop(self.time), self.send)

    def send(self, measured: str) -> bool:
        self.sent.append(json.loads(measured))
        if isinstance(self.answer, Exception):
            raise self.answer
        return bool(self.answer)


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_adds_up(parts: Parts) -> None:
    """Jobs of a class and waits of a queue are one sum each, whatever comes between them."""
    parts.tally.note_job("mail", USED)
    parts.tally.note_wait("low", 2000)
    parts.tally.note_job("mail", {**USED, "wall_ms": 20})
    parts.tally.note_wait("low", 61_000)
    parts.tally.run()
    assert parts.sent == [
        {
            "duration": {"mail": {"0.5": 1, "0.025": 1, "sum": 320}},
            "growth": {"mail": {"4194304": 2, "sum": 4096}},
            "cpu": {"mail": {"user": 40}},
            "wait": {"low": {"5": 1, "300": 1, "sum": 63_000}},
        }
    ]


def test_is_due_a_second_after_the_first(parts: Parts) -> None:
    """Without anything to send it is never due, and with something once a second."""
    parts.tally.run()
    assert (parts.tally.due, parts.sent) == (math.inf, [])
    parts.tally.note_wait("low", 1)
    first = parts.time.now + SECONDS
    parts.time.now += 0.5
    parts.tally.note_wait("low", 1)
    assert parts.tally.due == first
    parts.tally.run()
    assert (parts.tally.due, len(parts.sent)) == (math.inf, 1)
    parts.tally.run()
    assert len(parts.sent) == 1


def test_jobs_that_leave_the_loop_no_time(parts: Parts) -> None:
    """Jobs in the worker's own process may come without a wait: it is sent between two of them."""
    parts.tally.note_job("mail", USED)
    parts.tally.run_if_due()
    assert parts.sent == []
    parts.time.now += SECONDS
    parts.tally.note_job("mail", USED)
    parts.tally.run_if_due()
    assert [sent["duration"]["mail"]["sum"] for sent in parts.sent] == [600]


def test_many_classes(parts: Parts) -> None:
    """What would take Redis long goes in parts, without a wait for the second to end."""
    for number in range(2 * MOST_CLASSES + 1):
        parts.tally.note_job(f"job{number}", USED)
        parts.tally.run_if_due()
    assert [len(sent["duration"]) for sent in parts.sent] == [MOST_CLASSES, MOST_CLASSES]


def test_what_was_not_counted_is_kept(parts: Parts) -> None:
    """A worker that is not registered at the moment sends it again, with what came meanwhile."""
    parts.answer = False
    parts.tally.note_wait("low", 1)
    parts.tally.run()
    assert parts.tally.due == parts.time.now + SECONDS
    parts.answer = True
    parts.tally.note_wait("low", 1)
    parts.tally.run()
    assert parts.sent[-1] == {"wait": {"low": {"1": 2, "sum": 2}}}
    assert parts.tally.due == math.inf


def test_refusal_is_named_once(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """That Redis does not count keeps no worker from its work."""
    parts.answer = RedisRefused("no")
    parts.tally.note_wait("low", 1)
    parts.tally.run()
    parts.tally.run()
    assert [record.getMessage() for record in caplog.records] == [str(parts.answer)]


@pytest.mark.parametrize(
    ("used", "sent"),
    [
        ({"wall_ms": -5, "user_ms": -1}, {"duration": {"a": {"0.01": 1}}}),
        ({"wall_ms": 10**400}, {"duration": {"a": {"+Inf": 1, "sum": LARGEST}}}),
    ],
)
def test_what_a_job_may_make_its_process_say(parts: Parts, used: Any, sent: Any) -> None:
    """No number that is not possible makes a count smaller, or too large to be counted."""
    parts.tally.note_job("a", used)
    parts.tally.run()
    assert parts.sent == [sent]
