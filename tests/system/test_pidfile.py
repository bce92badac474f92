import fcntl
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resque_fork.errors import ResqueError
from resque_fork.system.pidfile import Pidfile

NOBODY = 9_999_999  # no kernel gives such a pid


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
        path.write_text(f"{NOBODY}\n")
    assert path.read_text() == f"{NOBODY}\n"
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


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("absent/pid", "No such file or directory"),
        ("file/pid", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("/proc/pid", "No such file or directory"),
    ],
)
def test_place_where_nothing_can_be_written(tmp_path: Path, place: str, reason: str) -> None:
    """The error names the file and has the reason of the operating system."""
    (tmp_path / "file").touch()
    path = tmp_path / place
    expected = f"The pidfile {path} cannot be written: {reason}."
    for attempt in (Pidfile(path).check, Pidfile(path).__enter__):
        with pytest.raises(ResqueError) as caught:
            attempt()
        assert str(caught.value) == expected


def test_folder_without_permission(tmp_path: Path) -> None:
    """Neither in a folder that we may not write to, nor over a file that we may not read."""
    shut = tmp_path / "shut"
    shut.mkdir()
    (shut / "unreadable").write_text("1\n")
    (shut / "unreadable").chmod(0)
    shut.chmod(0o555)
    said = as_nobody(shut / "pid")
    assert said == f"The pidfile {shut}/pid cannot be written: Permission denied."
    shut.chmod(0o777)
    said = as_nobody(shut / "unreadable")
    assert said == f"The pidfile {shut}/unreadable cannot be written: Permission denied."
    assert [path.name for path in shut.iterdir()] == ["unreadable"]


def test_lock_of_somebody_else(tmp_path: Path) -> None:
    """A lock that another user has left behind is named."""
    tmp_path.chmod(0o777)
    (tmp_path / "pid.lock").touch(0o600)
    said = as_nobody(tmp_path / "pid")
    lock = tmp_path / "pid.lock"
    assert said == f"The pidfile {tmp_path}/pid cannot be written: Permission denied ({lock})."


def as_nobody(path: Path) -> str:
    """What somebody without privileges is told who wants this pidfile."""
    code = (
        "import sys; from resque_fork.system.pidfile import Pidfile; import os\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: Pidfile(sys.argv[1]).__enter__()\n"
        "except Exception as error: print(error)\n"
    )
    for folder in path.parents[: len(path.parents) - 2]:  # pytest's are for their owner alone
        if os.geteuid() == 0 and folder != path.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")


def test_full_disk(tmp_path: Path) -> None:
    """Nothing is left of a file that could not be written whole, nor is the old one harmed."""
    path = tmp_path / "pid"
    path.write_text("999999999\n")
    code = (
        "import resource, sys; from resque_fork.system.pidfile import Pidfile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: Pidfile(sys.argv[1]).__enter__()\n"
        "except Exception as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == f"The pidfile {path} cannot be written: File too large.\n"
    assert path.read_text() == "999999999\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("end", ["pid", "pid.lock"])
@pytest.mark.parametrize("kind", ["symbolic link", "directory", "FIFO", "socket"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str, end: str) -> None:
    """Nothing else is opened, waited for, followed or removed."""
    path = tmp_path / end
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("keep")
    if kind == "symbolic link":
        path.symlink_to(elsewhere)
    elif kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    with pytest.raises(ResqueError) as caught:
        Pidfile(tmp_path / "pid").__enter__()
    assert str(caught.value) == (
        f"{path} is a {kind} and cannot be a pidfile: remove it, or use another pidfile."
    )
    assert elsewhere.read_text() == "keep"
    assert path.exists()


def test_device() -> None:
    """Nor is a device, for those who may write there."""
    with pytest.raises(ResqueError, match=r"/dev/null is a device|Permission denied"):
        Pidfile("/dev/null").check()
    assert not Path("/dev/null.lock").exists()


def test_dangling_link(tmp_path: Path) -> None:
    """What it points to is not made."""
    (tmp_path / "pid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResqueError, match="is a symbolic link"):
        Pidfile(tmp_path / "pid").__enter__()
    assert not (tmp_path / "elsewhere").exists()


def test_link_that_waits_under_the_name_of_our_own(tmp_path: Path) -> None:
    """The file is made anew, whatever has been put where it is written first."""
    (tmp_path / "elsewhere").write_text("keep")
    (tmp_path / f"pid.{os.getpid()}").symlink_to(tmp_path / "elsewhere")
    with Pidfile(tmp_path / "pid"):
        assert (tmp_path / "elsewhere").read_text() == "keep"
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
        assert not (tmp_path / "pid").is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_link_in_the_way_to_the_folder(tmp_path: Path) -> None:
    """/var/run is one: only the file itself may not be."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    with Pidfile(tmp_path / "link" / "pid"):
        assert (tmp_path / "run" / "pid").read_text() == f"{os.getpid()}\n"


def test_folder_and_old_file_locked_by_others(tmp_path: Path) -> None:
    """Whoever may read a folder may lock it, and what is in it: that holds nobody up."""
    path = tmp_path / "pid"
    path.write_text("999999999\n")
    for locked in (tmp_path, path):
        fcntl.flock(os.open(locked, os.O_RDONLY), fcntl.LOCK_EX)
    with Pidfile(path, lock_seconds=0.0):
        assert path.read_text() == f"{os.getpid()}\n"


def test_lock_that_is_not_given_back(tmp_path: Path) -> None:
    """Only who may write there can hold it; then it is over after a few seconds."""
    path, lock = tmp_path / "pid", tmp_path / "pid.lock"
    held = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(ResqueError) as caught:
        Pidfile(path, lock_seconds=0.1).check()
    assert str(caught.value) == (
        f"Another process has held {lock} for 0.1 seconds: stop it, or use another pidfile."
    )
    os.close(held)
    with Pidfile(path, lock_seconds=0.1):  # what a dead process has left of it is no obstacle
        assert list(tmp_path.iterdir()) == [path]


def test_nobody_else_may_open_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made for us alone, whatever the umask."""
    modes = []
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: modes.append(os.fstat(fd).st_mode))
    before = os.umask(0)
    try:
        Pidfile(tmp_path / "pid").check()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(mode) for mode in modes] == [0o600]


def test_file_that_cannot_be_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Why it stays is logged; what the process did before is not changed by it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "pid"
    with Pidfile(path):
        path.unlink()
        path.mkdir()
    assert f"{path} is a directory" in caplog.text
    path.rmdir()
    folder.rmdir()
    folder.touch()
    Pidfile(path).__exit__(None, None, None)
    assert f"The pidfile {path} cannot be removed: Not a directory." in caplog.text


def test_of_many_that_start_at_once_one_succeeds(tmp_path: Path) -> None:
    """Also where they all find the file of a dead process."""
    code = (
        "import sys; from resque_fork.system.pidfile import Pidfile\n"
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
