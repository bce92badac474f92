"""Titles are in Resque's words, and can be read in `ps` however small the environment is."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from setproctitle import getproctitle, setproctitle

from resque_fork.version import __version__
from resque_fork.wire.procline import (
    LONGEST_QUEUE_LIST,
    PADDING,
    ROOM,
    STARTING,
    Procline,
    is_spare,
    make_room,
)

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def own_title() -> Iterator[None]:
    """This process gets its title back."""
    title = getproctitle()
    yield
    setproctitle(title)


@pytest.fixture
def procline() -> Procline:
    return Procline(clock=lambda: 1603181657.9)


def ps(pid: int) -> str:
    """What ps shows of a process."""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_titles_are_resques(procline: Procline) -> None:
    """Each title has exactly Resque's words, in whole seconds."""
    begin = f"resque-{__version__}: "
    for show, title in [
        (lambda: procline.starting(), "resque: Starting"),
        (lambda: procline.waiting_for(["a", "b"], ["*"]), f"{begin}Waiting for a,b"),
        (lambda: procline.paused(), f"{begin}Paused"),
        (lambda: procline.forked(92102), f"{begin}Forked 92102 at 1603181657"),
        (
            lambda: procline.processing("send_mail", "UserMailWorker"),
            f"{begin}Processing send_mail since 1603181657 [UserMailWorker]",
        ),
        (lambda: procline.spare(), f"{begin}Spare"),
        (lambda: procline.supervising(3), f"{begin}Supervising 3 workers"),
    ]:
        show()
        assert getproctitle() == title
        assert is_spare(title) == title.endswith("Spare")


def test_ruby_workers_recognise_every_title(procline: Procline) -> None:
    """Ruby's own search for live workers finds each title; a worker it misses loses its records."""
    ruby = re.compile(r"resque:work|resque:\sStarting|resque-[0-9]")
    assert ruby.search(STARTING)
    procline.paused()
    assert ruby.match(getproctitle())


def test_prefix_and_version() -> None:
    """A prefix stands before the title unchanged, and the version begins with a digit."""
    Procline(prefix="[staging] ").paused()
    assert getproctitle() == f"[staging] resque-{__version__}: Paused"
    assert __version__[0].isdigit()


def test_long_list_is_shown_as_given(procline: Procline) -> None:
    """A list of queues beyond 200 bytes is shown as it was given, globs and all."""
    fits = ["q" * LONGEST_QUEUE_LIST]
    procline.waiting_for(fits, ["*"])
    assert getproctitle().endswith(f"Waiting for {fits[0]}")
    procline.waiting_for(["ü" * 101], ["*"])  # 202 bytes
    assert getproctitle().endswith("Waiting for *")


def test_control_characters_are_shown_escaped(procline: Procline) -> None:
    """A queue's or job's name cannot speak to the terminal of who reads the title."""
    procline.processing("a\x1b[2Jb\n", "ünï\udcff\u202e")
    assert getproctitle().endswith("Processing a\\x1b[2Jb\\n since 1603181657 [ünï\\xff\\u202e]")


PROGRAM = """
import sys
from resque_fork.wire.procline import Procline, make_room
make_room()
import os
assert "RESQUE_TITLE_ROOM" not in os.environ
Procline().processing("q" * 100, "C" * 150)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_long_title_fits_in_a_small_environment() -> None:
    """A whole title can be read even where systemd or `env -i` leaves no room for one."""
    environ = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        assert pid == process.pid  # started anew, but still the process that was started
        title = ps(pid)
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0
    assert re.fullmatch(rf"resque-{__version__}: Processing q{{100}} since \d+ \[C{{150}}\]", title)


def test_nothing_is_started_anew_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose title fits runs on as it is."""
    monkeypatch.delenv(PADDING, raising=False)
    make_room(["python", "x" * ROOM])
    assert PADDING not in os.environ
