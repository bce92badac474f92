"""The directory that a command is called in may be gone or shut, and there may be no home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "resque_fork"]
WORK = ("work", "-q", "mail", "--interval", "0")

# Calls the program as somebody without privileges, who cannot read the home of who installed it.
AS_NOBODY = """
import difflib, os, sys, tomllib
import encodings.idna, redis, psutil
try:
    import hiredis
except ImportError:
    pass
from resque_fork.cli import doctor, overview, program, work
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
program.main(sys.argv[1:])
"""


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the working directory, and is no more."""
    directory = tmp_path / "releases" / "1"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    directory.rmdir()
    return directory


def call(*args: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [*PROGRAM, *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def said_of(directory: Path) -> str:
    return (
        f"The working directory {directory} cannot be used: No such file or directory. It may "
        "have been removed: change to a directory that exists, and start again.\n"
    )


@pytest.mark.parametrize(
    "args",
    [
        (*WORK, "--require", "app"),
        WORK,
        (*WORK, "--daemon", "--logfile", "/dev/null"),
        (*WORK, "--count", "2"),
        ("doctor", "--require", "app"),
    ],
)
def test_a_directory_that_was_removed(gone: Path, args: tuple[str, ...]) -> None:
    """Who needs it says which it is, and what to do."""
    ended = call(*args)
    assert ended.returncode == 1
    assert ended.stderr == f"resque-fork: {said_of(gone)}"


def test_a_file_that_is_looked_for_in_one(gone: Path) -> None:
    """A relative path has two reasons not to be found."""
    ended = call("info", "--config", "settings.toml")
    assert ended.stderr == (
        "resque-fork: The config file cannot be read: settings.toml: No such file or directory. "
        + said_of(gone)
    )
    assert ended.returncode == 2


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("args", [("enqueue", "mail", "Job"), ("info",), ("config",)])
def test_commands_that_need_none(args: tuple[str, ...]) -> None:
    """They work there as anywhere."""
    ended = call(*args)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.usefixtures("gone")
def test_doctor_without_an_application() -> None:
    """It looks at all that there is to see."""
    assert "threads at fork" in call("doctor").stdout


@pytest.mark.usefixtures("gone")
def test_an_embedded_server_there() -> None:
    """It has a directory of its own."""
    with subprocess.Popen([*PROGRAM, "redis"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline().startswith("unix:///")
        server.terminate()
    assert server.returncode == 0


def test_a_missing_file_in_a_directory_that_is_there(tmp_path: Path) -> None:
    """Then the directory is not blamed."""
    ended = call(*WORK, "--logfile", f"{tmp_path}/absent/log")
    assert ended.stderr == (
        f"resque-fork: The logfile {tmp_path}/absent/log cannot be written: No such file or "
        "directory.\n"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            (*WORK, "--require", "app"),
            "There is no module app to --require: it is neither in {here} (which cannot be read: "
            "Permission denied) nor installed.",
        ),
        ((*WORK, "--logfile", "log"), "The logfile log cannot be written: Permission denied."),
        (
            (*WORK, "--pidfile", "pid"),
            "The pidfile {here}/pid cannot be written: Permission denied.",
        ),
        (
            ("--config", "settings.toml", "info"),
            "The config file cannot be read: settings.toml: Permission denied.",
        ),
    ],
)
def test_a_directory_that_may_not_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], said: str
) -> None:
    """As after ``sudo -u app`` in the home of root: whatever is not found there, the reason is."""
    here = tmp_path / "shut"
    here.mkdir()
    (here / "app.py").touch()
    monkeypatch.chdir(here)
    here.chmod(0)
    monkeypatch.setenv("RESQUE_REDIS", "redis://localhost:1")
    command = [sys.executable, "-c", AS_NOBODY, *args]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    here.chmod(0o700)
    assert ended.stderr == f"resque-fork: {said.format(here=here)}\n"


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    """Nothing is looked for there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").touch()
    env = {**os.environ, "HOME": home or "/"}
    if home is None:
        del env["HOME"]
    assert call("enqueue", "mail", "Job", env=env).returncode == 0
    assert call("doctor", "--require", "app", env=env).stderr == ""
    ended = call(*WORK, "--require", "app", env=env)
    assert ended.returncode == 0
    assert "has left" in ended.stderr
