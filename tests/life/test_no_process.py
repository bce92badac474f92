"""No process is to be had: the limit of a container, or of a user, is reached."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Stage, is_alive, until


class Group:
    """A control group whose processes are limited in number."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, *pids: int) -> None:
        for pid in pids:
            (self._path / "cgroup.procs").write_text(str(pid))

    def allow(self, count: int | None) -> None:
        (self._path / "pids.max").write_text("max" if count is None else str(count))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    """An empty control group, where we may make one."""
    for root in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        path = root / f"resque-fork-{tmp_path.name}"
        try:
            path.mkdir()
        except OSError:
            continue
        if (path / "pids.max").exists():
            break
        path.rmdir()
    else:
        pytest.skip("there is no permission to make a control group that limits processes here")
    yield Group(path)

    def is_empty() -> bool:
        pids = (path / "cgroup.procs").read_text().split()
        return not any(is_alive(int(pid)) for pid in pids)

    for pid in (path / "cgroup.procs").read_text().split():
        (path.parent / "cgroup.procs").write_text(pid)
    until(is_empty)
    try:
        path.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:  # zombies that nobody reaps
            raise


def test_a_job_waits_until_there_is_a_process(group: Group, stage: Stage) -> None:
    """It is not the job's fault: it goes back to the front, and is done later, in its turn."""
    worker = stage.idle()
    group.take(worker.pid)
    group.allow(1)
    stage.push("quick", 1)
    stage.push("quick", 2)
    worker.until_said("could not be started")
    assert stage.nothing_told("quick")
    group.allow(None)
    assert [stage.told("quick", by=worker)["args"] for _ in range(2)] == [[1], [2]]
    until(lambda: stage.stat("processed") == 2)
    assert stage.failed() == []
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_a_job_in_place_waits_too(group: Group, stage: Stage) -> None:
    """With --no-fork-per-job it is a thread that cannot be had, which is the same to the kernel."""
    worker = stage.idle("--no-fork-per-job")
    group.take(worker.pid)
    group.allow(1)
    stage.push("quick", 1)
    worker.until_said("could not be started")
    group.allow(None)
    assert stage.told("quick", by=worker)["args"] == [1]
    until(lambda: stage.stat("processed") == 1)
    assert stage.failed() == []
    assert worker.stop() == 0


def test_a_failure_whose_hooks_cannot_run(group: Group, stage: Stage) -> None:
    """It is recorded all the same, with what is known of the dead child, and that is said."""
    worker = stage.idle()
    group.take(worker.pid)
    stage.push("FailureHook", "hold")
    child = stage.told("begun", by=worker)["pid"]
    group.allow(1)
    os.kill(child, signal.SIGKILL)
    [entry] = stage.failed(1)
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert "cannot be run now" in worker.said
    assert stage.nothing_told("on_failure")
    group.allow(None)
    stage.assert_goes_on(worker)


def test_a_stop_meanwhile(group: Group, stage: Stage) -> None:
    """Told to stop, it leaves, and the job is in its queue."""
    worker = stage.idle()
    group.take(worker.pid)
    group.allow(1)
    stage.push("quick")
    worker.until_said("could not be started")
    assert worker.stop() == 0
    assert len(stage.queue()) == 1
    stage.assert_left(worker)


def test_a_worker_waits_until_there_is_a_process(group: Group, stage: Stage) -> None:
    """A supervisor that cannot replace a worker tries again, and keeps the others."""
    pool = stage.work("--count", "2")
    until(lambda: len(stage.workers()) == 2)
    first, second = pool.children
    group.take(pool.pid, first, second)
    group.allow(2)
    os.kill(first, signal.SIGKILL)
    pool.until_said("A worker cannot be started now")
    assert pool.popen.poll() is None
    assert is_alive(second)
    group.allow(None)
    until(lambda: len(pool.children) == 2)
    until(lambda: len(stage.workers()) == 2)
    assert pool.stop() == 0
    assert stage.workers() == []
