import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resque_fork.errors import ResqueError
from resque_fork.pidfile import Pidfile


@pytest.fixture
def other() -> "subprocess.Popen[bytes]":
    """A process that lives until the test is over."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_holds_our_pid_while_entered(tmp_path: Path) -> None:
    """The file has our pid on a line, is there as long as it is entered, and is all there is."""
    with Pidfile(tmp_path / "pid"):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
        assert list(tmp_path.iterdir()) == [tmp_path / "pid"]
    assert list(tmp_path.iterdir()) == []


def test_is_gone_after_an_error(tmp_path: Path) -> None:
    """The file goes whatever happens."""
    with pytest.raises(KeyError), Pidfile(tmp_path / "pid"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_refuses_the_file_of_a_living_process(tmp_path: Path, other) -> None:
    """A file that names a living process is left alone."""
    path = tmp_path / "pid"
    path.write_text(f"{other.pid}\n")
    later = time.time() + 60
    os.utime(path, (later, later))
    expected = f"The pidfile {path} names process {other.pid}, which is alive: stop that one first"
    with pytest.raises(ResqueError, match=expected), Pidfile(path):
        pass
    assert path.read_text() == f"{other.pid}\n"
    assert list(tmp_path.iterdir()) == [path]


def test_takes_over_from_a_process_that_is_younger_than_the_file(tmp_path: Path, other) -> None:
    """A pid that was given to another process since, as after a reboot, is nobody's claim."""
    path = tmp_path / "pid"
    path.write_text(f"{other.pid}\n")
    earlier = time.time() - 3600
    os.utime(path, (earlier, earlier))
    with Pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", "\n", "no pid", "999999999\n", "-1", "9" * 30, "\udcff"])
def test_takes_over_what_names_no_process(tmp_path: Path, content: str) -> None:
    """A file that names no living process is taken over."""
    path = tmp_path / "pid"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with Pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_takes_over_from_the_dead_and_from_itself(tmp_path: Path) -> None:
    """A zombie's file is taken over, and one with our own pid, as in a restarted container."""
    path = tmp_path / "pid"
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for pid in (zombie.pid, os.getpid()):
        path.write_text(str(pid))
        with Pidfile(path):
            assert path.read_text() == f"{os.getpid()}\n"
    zombie.wait()


def test_leaves_what_others_wrote_since(tmp_path: Path) -> None:
    """A file that has another pid by the end is not ours to remove."""
    path = tmp_path / "pid"
    with Pidfile(path):
        path.write_text("12345\n")
    assert path.read_text() == "12345\n"
    with Pidfile(path):
        path.unlink()


def test_relative_path_means_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of directory does not move it."""
    monkeypatch.chdir(tmp_path)
    pidfile = Pidfile("pid")
    monkeypatch.chdir("/")
    with pidfile:
        assert (tmp_path / "pid").exists()


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    """A place where nothing can be written is an error that names it."""
    path = tmp_path / "absent" / "pid"
    with pytest.raises(ResqueError, match=f"The pidfile {path} cannot be written there"):
        Pidfile(path).check()


def test_of_many_that_start_at_once_one_succeeds(tmp_path: Path) -> None:
    """Also where they all find the file of a dead process."""
    code = (
        "import sys; from resque_fork.pidfile import Pidfile\n"
        "input()\n"
        "with Pidfile(sys.argv[1]): print('mine', flush=True); input()\n"
    )
    path = tmp_path / "pid"
    path.write_text("999999999\n")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    starting = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], text=True, **pipes)
        for _ in range(6)
    ]
    for process in starting:
        process.stdin.write("go\n")
        process.stdin.flush()
    refused = 0
    while refused < len(starting) - 1:
        time.sleep(0.01)  # those that are refused end by themselves
        refused = sum(process.poll() is not None for process in starting)
    [winner] = [process for process in starting if process.poll() is None]
    assert winner.stdout.readline() == "mine\n"
    assert path.read_text() == f"{winner.pid}\n"
    for process in starting:
        said = process.communicate("\n" if process is winner else None)[1]
        assert process is winner or "which is alive" in said
    assert not path.exists()
