"""While a job runs and more are waiting, the child of the next one is there already."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import pytest

from .harness import TITLE, Running, Stage, children_of, is_alive, title_of, until

HOOKED = """
import jobs
from resque_fork import before_fork


@before_fork
def note(job):
    pass
"""

EXITING = """
import atexit
from jobs import tell
from resque_fork import after_fork

after_fork(lambda reservation: atexit.register(tell, "at exit"))
"""


def with_spare(stage: Stage, *options: str) -> tuple[Running, int, int]:
    """A worker in the middle of a job, its child, and the one that waits.

    While a worker learns which pages to pin, none is forked ahead.
    """
    stage.push("hold")
    stage.push("hold")
    worker = stage.work("--no-pin-pages", *options)
    child = stage.told("begun", by=worker)["pid"]
    until(lambda: len(worker.children) == 2)
    (spare,) = set(worker.children) - {child}
    until(lambda: title_of(spare) == TITLE + "Spare")
    return worker, child, spare


def test_the_next_job_has_its_child_already(stage: Stage) -> None:
    """The spare child performs the next job, in a group of its own, and is the only one ahead."""
    worker, child, spare = with_spare(stage)
    stage.push("tell_surroundings")
    stage.open_gate()
    assert stage.told("begun", by=worker)["pid"] == spare
    worker.until_title(f"Forked {spare} at ")
    assert not is_alive(child)
    stage.open_gate()
    found = stage.told("found", by=worker)
    assert found["pid"] not in (child, spare)
    assert found["group"] == found["pid"]
    pipes = {fd for fd in found["fds"] if fd.startswith("pipe:")}
    assert len(pipes) == 4, found  # stdout, stderr, what it tells its parent, and what it is told
    assert not [fd for fd in found["fds"] if fd.startswith(("socket:", "anon_inode:[eventpoll"))]
    worker.until_idle()
    assert worker.children == []
    assert (stage.stat("processed"), stage.failed()) == (3, [])


def test_none_is_ahead_of_the_last_job(stage: Stage) -> None:
    """A worker whose queue is empty has the child of its job, and no other."""
    worker, child = stage.holding("--no-pin-pages")
    assert worker.children == [child]


@pytest.mark.parametrize(
    "options", [("--no-fork-ahead",), ("--jobs-per-fork", "9")], ids=["told not to", "reused"]
)
def test_none_is_ahead_where_none_is_wanted(stage: Stage, options: tuple[str, ...]) -> None:
    """The next job is begun by a child that was forked for it, or has performed the last one."""
    stage.push("hold")
    stage.push("quick")
    worker = stage.work("--no-pin-pages", *options)
    child = stage.told("begun", by=worker)["pid"]
    worker.until_title("Forked")
    assert worker.children == [child]
    stage.open_gate()
    stage.told("quick", by=worker)


def test_none_is_ahead_of_a_hook(stage: Stage) -> None:
    """before_fork hooks run before the fork of their job."""
    (stage.directory / "hooked_app.py").write_text(HOOKED)
    stage.push("hold")
    stage.push("quick")
    worker = stage.work("--no-pin-pages", require="hooked_app")
    child = stage.told("begun", by=worker)["pid"]
    worker.until_title("Forked")
    assert worker.children == [child]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=lambda n: n.name)
def test_it_leaves_with_its_worker(stage: Stage, number: signal.Signals) -> None:
    """A stop ends the spare child at once; its job is still in the queue."""
    worker, child, spare = with_spare(stage)
    worker.send(number)
    if number == signal.SIGQUIT:
        worker.until_said("Exiting...")
        stage.open_gate()
    assert worker.ended() == 0
    assert not is_alive(child)
    assert not is_alive(spare)
    assert len(stage.queue()) == 1
    stage.assert_left(worker)


def test_it_dies_with_its_worker(stage: Stage) -> None:
    """A killed worker leaves neither of its children."""
    worker, child, spare = with_spare(stage)
    worker.kill()
    until(lambda: not is_alive(child) and not is_alive(spare))
    assert len(stage.queue()) == 1


def test_its_own_death_costs_nothing(stage: Stage) -> None:
    """The next job gets another child; a job that was not begun cannot be lost."""
    worker, _, spare = with_spare(stage)
    os.kill(spare, signal.SIGKILL)
    until(lambda: spare not in children_of(worker.pid))
    stage.open_gate()
    assert stage.told("begun", by=worker)["pid"] != spare
    stage.open_gate()
    worker.until_idle()
    assert (stage.stat("processed"), stage.failed()) == (2, [])


def test_a_stopped_child_is_not_it(stage: Stage) -> None:
    """USR1 ends the running job, and the next one has the child that was ready for it."""
    worker, child, spare = with_spare(stage)
    worker.send(signal.SIGUSR1)
    assert stage.told("begun", by=worker)["pid"] == spare
    (entry,) = stage.failed(1)
    assert entry["exception"] == "Resque::TermException"
    assert not is_alive(child)


def test_what_a_job_leaves_is_swept_around_it(stage: Stage) -> None:
    """Only what the job has started ends with it, not the child that waits."""
    stage.push("daemon", False)
    stage.push("hold")
    stage.push("quick")
    worker = stage.work("--no-pin-pages")
    left = stage.told("daemon", by=worker)["pid"]
    child = stage.told("begun", by=worker)["pid"]
    assert not is_alive(left)
    until(lambda: len(worker.children) == 2)
    stage.open_gate()
    assert stage.told("quick", by=worker)["pid"] != child
    worker.until_idle()
    assert (stage.stat("processed"), stage.failed()) == (3, [])


def test_new_log_files_are_for_the_next_job(stage: Stage) -> None:
    """HUP replaces a child that still has the old ones."""
    worker, _, spare = with_spare(stage)
    worker.send(signal.SIGHUP)
    until(lambda: not is_alive(spare))
    stage.open_gate()
    assert stage.told("begun", by=worker)["pid"] != spare


def test_stacks_are_of_the_job(stage: Stage) -> None:
    """``resque-fork stacks`` asks the child at work, and not the one that waits."""
    worker, child, spare = with_spare(stage)
    asked = stage.start(
        *(sys.executable, "-m", "resque_fork", "--redis", stage.url),
        *("stacks", stage.id_of(worker), "--json"),
    )
    assert asked.ended() == 0, asked.said
    assert [found["child"] for found in json.loads(asked.said)] == [child]
    assert is_alive(spare)


def test_a_spare_that_was_not_needed_runs_no_exit_hooks(stage: Stage) -> None:
    """Exit hooks are for children that had a job."""
    (stage.directory / "exiting_app.py").write_text(EXITING)
    stage.push("hold")
    stage.push("hold")
    worker = stage.work("--no-pin-pages", "--run-at-exit-hooks", require="exiting_app")
    child = stage.told("begun", by=worker)["pid"]
    until(lambda: len(worker.children) == 2)
    stage.redis.lpop("resque:queue:jobs")
    stage.open_gate()
    worker.until_idle()
    assert worker.children == []
    told = [message for message in stage.everything_told() if message["what"] == "at exit"]
    assert [message["pid"] for message in told] == [child]


def test_a_large_job_reaches_it_whole(stage: Stage) -> None:
    """More than the pipe takes goes in pieces."""
    worker, _, spare = with_spare(stage)
    stage.redis.lpop("resque:queue:jobs")
    stage.push("large", "x" * 1_000_000)
    stage.open_gate()
    begun = stage.told("begun", by=worker)
    assert (begun["pid"], begun["length"]) == (spare, 1_000_000)


def test_one_that_does_not_read_keeps_nobody(stage: Stage) -> None:
    """A job that does not fit the pipe of a frozen child: the worker still obeys."""
    worker, _, spare = with_spare(stage)
    stage.redis.lpop("resque:queue:jobs")
    os.kill(spare, signal.SIGSTOP)
    stage.push("large", "x" * 1_000_000)
    stage.open_gate()
    worker.until_title(f"Forked {spare}")
    assert worker.stop(signal.SIGTERM) == 0
    (entry,) = stage.failed()
    assert entry["exception"] == "Resque::TermException"
    assert not is_alive(spare)


# --- kept while there is no job


def with_kept(stage: Stage, *options: str, **more: Any) -> tuple[Running, int]:
    """An idle worker, and its child that waits."""
    worker = stage.work("--no-pin-pages", "--keep-spare", *options, **more)
    return worker, kept_by(worker)


def kept_by(worker: Running) -> int:
    worker.until_title("Waiting for")
    return int(
        until(
            lambda: next((pid for pid in worker.children if title_of(pid) == f"{TITLE}Spare"), 0),
            lambda: f"{worker.pid} keeps none of {worker.children}\n{worker.said}",
        )
    )


@pytest.mark.parametrize("options", [(), ("--no-fork-ahead",), ("--jobs-per-fork", "2")])
def test_an_idle_worker_keeps_a_child(stage: Stage, options: tuple[str, ...]) -> None:
    """It performs the job that comes, and another takes its place after that."""
    worker, spare = with_kept(stage, *options)
    for _ in range(3):
        stage.push("quick")
        assert stage.told("quick", by=worker)["pid"] == spare
        until(lambda gone=spare: not is_alive(gone))
        spare = kept_by(worker)
    assert worker.children == [spare]
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.failed()) == (3, [])
    assert not is_alive(spare)
    stage.assert_left(worker)


def test_none_is_kept_ahead_of_a_hook(stage: Stage) -> None:
    """before_fork hooks run before the fork of their job."""
    (stage.directory / "hooked_app.py").write_text(HOOKED)
    worker = stage.idle("--no-pin-pages", "--keep-spare", require="hooked_app")
    stage.push("quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    assert worker.stop() == 0


def test_the_death_of_a_kept_child_costs_nothing(stage: Stage) -> None:
    """A job that comes then has a child of its own."""
    worker, spare = with_kept(stage)
    os.kill(spare, signal.SIGKILL)
    until(lambda: not is_alive(spare))
    stage.push("quick")
    assert stage.told("quick", by=worker)["pid"] != spare
    assert kept_by(worker) != spare
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.failed()) == (1, [])


def test_a_kept_child_dies_with_its_worker(stage: Stage) -> None:
    """However that ends."""
    worker, spare = with_kept(stage)
    worker.kill()
    until(lambda: not is_alive(spare))


def test_new_log_files_are_for_the_next_kept_child(stage: Stage) -> None:
    """HUP ends the one that has the old ones; there is another after the next look."""
    worker, spare = with_kept(stage, "--interval", "0.2")
    worker.send(signal.SIGHUP)
    until(lambda: not is_alive(spare))
    until(lambda: kept_by(worker) != spare)
    assert worker.stop() == 0
