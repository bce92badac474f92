"""The demo shows what it says, ends by itself, and leaves nothing behind."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """`bin/demo` in a tree where `bin/python` is the Python that runs the tests."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "demo", tmp_path / "bin" / "demo")
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(stat.S_IRWXU)
    return tmp_path / "bin" / "demo"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """In which the demo finds this checkout, and makes its files below `tmp_path`."""
    (tmp_path / "tmp").mkdir()
    settings = {"COUNT": "3", "QUEUES": "nothing", "RESQUE_NAMESPACE": "elsewhere"}
    paths = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp"), "TERM": "xterm"}
    return {**os.environ, **settings, **paths}


def written_to(terminal: int) -> Iterator[str]:
    """What a program writes to its terminal, piece by piece, until it has let go of it."""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # what Linux says when nobody has the other end
            return
        yield piece.decode()


def test_tells_what_was_done_and_what_failed(demo: Path, environment: dict[str, str]) -> None:
    """Piped, it prints plain lines: titles as they come, then every outcome with its reason."""
    done = subprocess.run([demo], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout
    assert "\x1b" not in said
    assert re.search(r"└ \d+ +\d+ MB  resque-\d\S*: Processing trouble since \d+ \[\w+\]\n", said)
    assert re.search(r"\d+ +\d+ MB  resque-\d\S*: Forked \d+ at \d+\n", said)
    assert "30 jobs done\n   24  send_mail" in said
    assert "ConnectionError: the observatory is busy. Attempt 1 of 3, again at once\n" in said
    assert "ConnectionError: the observatory is busy. Attempt 2 of 3, again in 1 s\n" in said
    assert re.search(r"remind came [2-9]\.\d s after it was queued\n", said)
    assert "taken first, though queued late: (Job{urgent} | charge" in said
    assert "5 jobs failed, and the worker went on" in said
    reasons = [
        r"charge +ChargeFailed +raised it\n +customer 42: there is no price for 'teapot'\n"
        r" +at jobs\.py:\d+:in charge\n",
        r"os\.system +ResqueFork::UnknownJob +was never declared\n",
        r"spin +Resque::DirtyExit +was killed by the kernel\n"
        r" +Child .* SIG(KILL|XCPU) \(signal \d+\)\n +stderr: Counting, ",
        r"crash +Resque::DirtyExit +crashed in C\n +Child .* SIGSEGV \(signal 11\)\n"
        r" +at jobs\.py:\d+:in crash\n",
        r"hang +Resque::TermException +was stopped with USR1\n +SIGTERM\n",
    ]
    for reason in reasons:
        assert re.search(reason, said), reason
    first, second = re.findall(r"child \d+: (\d+) MB at first, (\d+) MB at last", said)
    assert int(first[1]) >= int(first[0]) + 90
    assert int(second[0]) < int(first[1]) - 50
    assert "\nhang: never ends, until the worker is sent USR1, which" in said
    summary = said[said.index("30 jobs done") :]
    assert max(map(len, summary.splitlines())) <= 80
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_ctrl_c_ends_everything(demo: Path, environment: dict[str, str]) -> None:
    """In a terminal the view is redrawn in place; Ctrl-C ends every process, and files are gone."""
    terminal = Terminal()
    process = subprocess.Popen(
        terminal.command(str(demo)),
        env=environment,
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal.theirs),
        start_new_session=True,
    )
    os.close(terminal.theirs)
    said, started = "", []
    for piece in written_to(terminal.ours):
        said += piece
        if not started and "[spin]" in said:
            started = psutil.Process(process.pid).children(recursive=True)
            terminal.press_ctrl_c()
    os.close(terminal.ours)
    assert process.wait() == 130
    assert "\x1b[6A\r\x1b[J" in said
    assert said.endswith("\x1b[?25hStopped: worker, server and files are gone.\r\n")
    assert len(started) >= 3  # the worker, its child and the server, and perhaps the next child
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert list(Path(environment["TMPDIR"]).iterdir()) == []


def test_with_the_dashboard(demo: Path, environment: dict[str, str]) -> None:
    """It stays, with a dashboard that shows the demo's jobs, until Ctrl-C."""
    process = subprocess.Popen(
        [demo, "--web"], env=environment, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout
    with process, process.stdout as lines:
        [address] = re.findall(r"The dashboard is at (\S+)", next(lines))
        next(line for line in lines if "run until Ctrl-C" in line)
        with urllib.request.urlopen(f"{address}failed") as answer:
            assert "ChargeFailed" in answer.read().decode()
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert lines.read().endswith("Stopped: worker, server and files are gone.\n")
    assert psutil.wait_procs(started, timeout=10)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(
    demo: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    """So do TERM, and HUP when the terminal is closed, though they reach only the demo."""
    process = subprocess.Popen([demo], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process, process.stdout as lines:
        next(line for line in lines if "Processing" in line)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert lines.read().endswith("Stopped: worker, server and files are gone.\n")
    assert process.returncode == 130
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert list(Path(environment["TMPDIR"]).iterdir()) == []
