"""A worker pins what its first jobs write to, and its children take fewer page faults."""

from __future__ import annotations

import os
import re
import signal

import pytest

from resque_fork.system import pinned_pages

from .harness import TITLE, Running, Stage, descriptors_of, is_alive, title_of, until

PINNED = re.compile(r"(\d+) pages are pinned")

# What a real application is not asked for: the page faults that a child has taken by now.
APPLICATION = """
import os, resource
from jobs import *
from resque_fork import job


@job(queue="jobs")
def tell_faults():
    tell("faults", faults=resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.fixture(autouse=True)
def pinning() -> None:
    if why := pinned_pages.why_not():
        pytest.skip(f"pages cannot be pinned here: {why}")


@pytest.fixture
def observed(stage: Stage) -> Stage:
    (stage.directory / "observed_app.py").write_text(APPLICATION)
    return stage


def faults(stage: Stage, worker: Running) -> int:
    stage.push("tell_faults")
    return int(stage.told("faults", by=worker)["faults"])


def test_children_take_fewer_faults_once_it_has_learned(observed: Stage) -> None:
    """From the fourth job on; the first three tell which pages those are."""
    worker = observed.idle("-vv", require="observed_app")
    before = [faults(observed, worker) for _ in range(3)]
    worker.until_idle()
    found = until(lambda: PINNED.search(worker.said), lambda: worker.said)
    after = [faults(observed, worker) for _ in range(3)]
    assert int(found[1]) > 200
    assert max(after) < 0.5 * min(before)
    assert worker.stop() == 0
    assert (observed.stat("processed"), observed.failed()) == (6, [])


def test_none_are_pinned_where_it_is_switched_off(observed: Stage) -> None:
    """All children take the same faults, and no descriptor holds pages."""
    worker = observed.idle("-vv", "--no-pin-pages", require="observed_app")
    told = [faults(observed, worker) for _ in range(5)]
    worker.until_idle()
    assert max(told) < 1.5 * min(told)
    assert "No pages are pinned: that is switched off" in worker.said
    folder = f"/proc/{worker.pid}/fd"
    links = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    assert not [link for link in links if "io_uring" in link]


def test_a_child_that_waits_is_let_go(stage: Stage) -> None:
    """As soon as the worker has written the outcome, whether another job follows or none."""
    worker = stage.idle("-vv")
    for number in range(5):
        stage.push("quick", number)
        child = stage.told("quick", by=worker)["pid"]
        until(lambda child=child: not is_alive(child))
        worker.until_idle()
        assert worker.children == []
    assert len(PINNED.findall(worker.said)) == 1
    assert worker.stop() == 0


def test_jobs_that_are_killed_teach_nothing(stage: Stage) -> None:
    """It goes on learning, from those that end in good order."""
    worker = stage.idle("-vv")
    for number in range(4):
        stage.push("hold")
        os.kill(stage.told("begun", by=worker)["pid"], signal.SIGKILL)
        stage.failed(number + 1)
    worker.until_idle()
    assert not PINNED.search(worker.said)
    for number in range(3):
        stage.push("quick", number)
        stage.told("quick", by=worker)
    until(lambda: PINNED.search(worker.said), lambda: worker.said)
    assert worker.stop() == 0


def test_it_gives_up_after_twenty_jobs(stage: Stage) -> None:
    """None of which ended in good order; from then on a child is forked ahead."""
    for _ in range(21):
        stage.push("kill_self", 9)
    stage.push("hold")
    stage.push("quick")
    worker = stage.work("-vv")
    child = stage.told("begun", by=worker)["pid"]
    assert "No pages are pinned: too few jobs ended in good order" in worker.said
    until(lambda: len(worker.children) == 2)
    (spare,) = set(worker.children) - {child}
    until(lambda: title_of(spare) == TITLE + "Spare")
    stage.open_gate()
    assert worker.stop() == 0


def test_descriptors_do_not_grow(stage: Stage) -> None:
    """One descriptor holds the pages, and no child has it."""
    worker = stage.idle()
    for number in range(4):
        stage.push("quick", number)
        stage.told("quick", by=worker)
    worker.until_idle()
    descriptors = descriptors_of(worker.pid)
    for number in range(4):
        stage.push("quick", number)
        stage.told("quick", by=worker)
    stage.push("tell_surroundings")
    found = stage.told("found", by=worker)["fds"]
    assert not [target for target in found if "io_uring" in target]
    worker.until_idle()
    assert descriptors_of(worker.pid) == descriptors


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_it_ends_with_its_worker(stage: Stage, stop: signal.Signals) -> None:
    """A child that would wait has nobody to wait for."""
    worker, child = stage.holding()
    worker.send(stop)
    if stop == signal.SIGQUIT:
        stage.open_gate()
    worker.ended()
    until(lambda: not is_alive(child))


def test_a_job_that_closes_everything_waits_for_nothing(stage: Stage) -> None:
    """Its own pipe among it: the child says why it leaves, and the worker goes on."""
    worker = stage.idle()
    stage.push("close_everything")
    [entry] = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
