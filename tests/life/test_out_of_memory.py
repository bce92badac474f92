"""The kernel kills for real: a worker in a control group that is given little memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Stage, is_alive, until

MEMORY = 160 * 1024 * 1024  # several times what a worker takes
GROUPS = Path("/sys/fs/cgroup")

# Both hierarchies: where groups are made, and the files of a group's limits.
VERSIONS = (
    (GROUPS / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    (GROUPS, "memory.max", "memory.swap.max"),
)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of little memory, where this machine lets us make one."""
    why = ["there is no memory controller in /sys/fs/cgroup"]
    for top, limit, swap in VERSIONS:
        if not (top / "cgroup.procs").exists():
            continue
        folder = top / f"resque-fork-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError as error:
            why.append(str(error))
            continue
        try:
            (folder / limit).write_text(str(MEMORY))
            if (folder / swap).exists():
                (folder / swap).write_text("0" if swap == "memory.swap.max" else str(MEMORY))
            yield folder
            return
        except OSError as error:  # also a group without a controller, which has no such file
            why.append(str(error))
        finally:
            members = folder / "cgroup.procs"
            until(lambda members=members: not members.read_text())
            folder.rmdir()
    pytest.skip(f"no control group can be made here: {'; '.join(why)}")


def test_a_job_that_eats_all_memory(group: Path, stage: Stage) -> None:
    """The kernel takes the child and spares the worker; the entry says why, and work goes on."""
    join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    worker = stage.start("sh", "-c", join, "sh", *stage.command(require="more_jobs")).until_idle()
    assert str(worker.pid) in (group / "cgroup.procs").read_text().split()
    stage.push("eat", 1000)
    [entry] = stage.failed(1)
    assert entry["exception"] == "Resque::DirtyExit"
    assert "SIGKILL (signal 9)" in entry["error"]
    assert entry["forensics"]["signal"] == "SIGKILL"
    assert entry["forensics"]["oom"] == "probably"
    assert entry["forensics"]["rss_growth_kb"] > 50 * 1024
    stage.push("quick")
    assert stage.told("quick", by=worker)["parent"] == worker.pid
    stage.push("kill_self", 9)  # the group's counter stands where it stood
    [_, plain] = stage.failed(2)
    assert plain["forensics"]["signal"] == "SIGKILL"
    assert "oom" not in plain["forensics"]
    assert worker.stop() == 0


def test_with_jobs_per_fork(group: Path, stage: Stage) -> None:
    """A child that has done other jobs before: the one that it died of is told, and only that."""
    join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    command = stage.command("--jobs-per-fork", "10", require="more_jobs")
    for name, *args in (("quick",), ("eat", 1000), ("quick",)):
        stage.push(name, *args)
    worker = stage.start("sh", "-c", join, "sh", *command)
    first = stage.told("quick", by=worker)["pid"]
    assert stage.told("quick", by=worker)["pid"] != first
    [entry] = stage.failed(1)
    assert entry["payload"]["class"] == "eat"
    assert entry["forensics"]["oom"] == "probably"
    assert not is_alive(first)
    assert worker.stop() == 0
