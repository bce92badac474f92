"""The kernel's counters of out-of-memory kills, read from files such as it shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from resque_fork.system.oom import OomCounters, counter_files, read_counter

VMSTAT = "nr_free_pages 1\noom_kill {}\npgfault 12\n"
EVENTS = "low 0\nhigh 0\nmax 4\noom 2\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def machine(root: Path, cgroup: str, *, kills: int = 0) -> None:
    write(root, "proc/vmstat", VMSTAT.format(kills))
    write(root, "proc/self/cgroup", cgroup)


@pytest.mark.parametrize("text", [VMSTAT, EVENTS, CONTROL], ids=["vmstat", "v2", "v1"])
def test_each_kind_of_file_is_read(tmp_path: Path, text: str) -> None:
    """The count after the very word oom_kill, and no other."""
    assert read_counter(write(tmp_path, "file", text.format(7))) == 7


@pytest.mark.parametrize(
    "text", ["", "oom 3\n", "oom_kill\n", "oom_kill many\n", "oom_kill_disable 1\n"]
)
def test_a_file_without_a_count(tmp_path: Path, text: str) -> None:
    """An old kernel's, for example."""
    assert read_counter(write(tmp_path, "file", text)) is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert read_counter(tmp_path / "missing") is None
    assert read_counter(tmp_path) is None


def test_version_2(tmp_path: Path) -> None:
    """One hierarchy: the group's own file and the one at the top."""
    machine(tmp_path, "0::/system.slice/app.service\n")
    own = write(tmp_path, "sys/fs/cgroup/system.slice/app.service/memory.events", EVENTS.format(0))
    top = write(tmp_path, "sys/fs/cgroup/memory.events", EVENTS.format(0))
    assert counter_files(tmp_path) == [tmp_path / "proc/vmstat", own, top]


def test_version_2_at_the_top(tmp_path: Path) -> None:
    """In a container the group is the root; its file is counted once."""
    machine(tmp_path, "0::/\n")
    top = write(tmp_path, "sys/fs/cgroup/memory.events", EVENTS.format(0))
    assert counter_files(tmp_path) == [tmp_path / "proc/vmstat", top]


def test_version_1(tmp_path: Path) -> None:
    """The memory controller's hierarchy, alone or mounted with others; a path may hold colons."""
    machine(tmp_path, "12:cpu,cpuacct:/x\n7:hugetlb,memory:/docker/a:b\n1:name=systemd:/x\n")
    own = write(tmp_path, "sys/fs/cgroup/memory/docker/a:b/memory.oom_control", CONTROL.format(0))
    assert counter_files(tmp_path) == [tmp_path / "proc/vmstat", own]


def test_a_path_that_is_the_hosts(tmp_path: Path) -> None:
    """Inside a container the path of the group may not exist: the top is looked at."""
    machine(tmp_path, "4:memory:/docker/0123\n")
    top = write(tmp_path, "sys/fs/cgroup/memory/memory.oom_control", CONTROL.format(0))
    assert counter_files(tmp_path) == [tmp_path / "proc/vmstat", top]


def test_a_system_without_any(tmp_path: Path) -> None:
    """No file, no kill: on macOS, or where /proc is hidden."""
    counters = OomCounters(tmp_path)
    assert counter_files(tmp_path) == []
    assert not counters.look()


def test_a_counter_that_has_risen(tmp_path: Path) -> None:
    """Any one of them, since the last look; what was counted before does not matter."""
    machine(tmp_path, "0::/app\n", kills=5)
    events = write(tmp_path, "sys/fs/cgroup/app/memory.events", EVENTS.format(3))
    counters = OomCounters(tmp_path)
    assert not counters.look()
    events.write_text(EVENTS.format(4))
    assert counters.look()
    assert not counters.look()
    write(tmp_path, "proc/vmstat", VMSTAT.format(6))
    assert counters.look()
    assert not counters.look()


def test_a_counter_that_goes_and_comes_back(tmp_path: Path) -> None:
    """A file that cannot be read for a moment is no kill, nor is its return."""
    machine(tmp_path, "0::/\n", kills=5)
    counters = OomCounters(tmp_path)
    (tmp_path / "proc/vmstat").unlink()
    assert not counters.look()
    write(tmp_path, "proc/vmstat", VMSTAT.format(6))
    assert not counters.look()
    write(tmp_path, "proc/vmstat", VMSTAT.format(0))  # a counter that was reset
    assert not counters.look()


def test_this_machine() -> None:
    """Whatever it shows can be read."""
    assert all(isinstance(read_counter(file), int | None) for file in counter_files(Path("/")))
