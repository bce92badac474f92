"""A worker in the background: its pidfile, its log, and the log's rotation."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from resque_fork.system import libc

from .harness import TITLE, Stage, is_alive, title_of, until

LOG, PIDFILE = "worker.log", "worker.pid"
IN_BACKGROUND = ("--daemon", "--logfile", LOG, "--pidfile", PIDFILE)


def in_background(stage: Stage, *options: str, require: str = "jobs") -> int:
    """The pid of an idle worker that was started in the background."""
    starter = stage.work(*IN_BACKGROUND, *options, require=require)
    assert starter.ended() == 0, starter.said
    pidfile = stage.directory / PIDFILE
    until(pidfile.exists, lambda: starter.said)
    pid = int(pidfile.read_text())
    until(lambda: title_of(pid) == f"{TITLE}Waiting for jobs", lambda: said(stage))
    return pid


def said(stage: Stage) -> str:
    log = stage.directory / LOG
    return log.read_text() if log.exists() else "(no log)"


def test_a_daemon_detaches(stage: Stage) -> None:
    """The starter exits 0; the worker is nobody's child here, in a session without a terminal."""
    # a test that ran before may have made this process a subreaper
    libc.become_subreaper(0)
    pid = in_background(stage)
    assert os.getsid(pid) not in (os.getsid(0), pid)  # and can never get a terminal
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert int(fields[4]) == 0  # its terminal
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]
    assert links == ["/dev/null", str(stage.directory / LOG), str(stage.directory / LOG)]
    stage.push("quick")
    assert stage.told("quick")["parent"] == pid


def test_a_daemon_is_stopped_by_its_pidfile(stage: Stage) -> None:
    """TERM to the pid in the file: it leaves in order, and the file is gone."""
    pid = in_background(stage)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not is_alive(pid))
    until(lambda: not (stage.directory / PIDFILE).exists())
    assert stage.workers() == []
    assert f"Worker {os.uname().nodename}:{pid}:jobs has left" in said(stage)


def test_a_second_daemon_is_refused(stage: Stage) -> None:
    """The pidfile names a living process: one sentence on the terminal, and status 1."""
    pid = in_background(stage)
    second = stage.work(*IN_BACKGROUND)
    assert second.ended() == 1
    assert f"names process {pid}, which is alive" in second.said
    assert (stage.directory / PIDFILE).read_text().strip() == str(pid)
    assert len(stage.workers()) == 1


def test_a_killed_daemons_pidfile_is_taken_over(stage: Stage) -> None:
    """It names nobody any more."""
    first = in_background(stage)
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first))
    (stage.directory / PIDFILE).touch()  # it is still there
    starter = stage.work(*IN_BACKGROUND)
    assert starter.ended() == 0, starter.said
    until(lambda: (stage.directory / PIDFILE).read_text().strip() != str(first))
    second = int((stage.directory / PIDFILE).read_text())
    until(lambda: stage.workers() == [f"{os.uname().nodename}:{second}:jobs"])


def test_hup_reopens_the_log(stage: Stage) -> None:
    """After a rotation everything goes to the new file: the worker's lines and its jobs'."""
    pid = in_background(stage)
    log, moved = stage.directory / LOG, stage.directory / "worker.log.1"
    log.rename(moved)
    os.kill(pid, signal.SIGHUP)
    until(log.exists)
    stage.push("say_aloud", "after the rotation")
    until(lambda: "stdout: after the rotation" in said(stage))
    until(lambda: "stderr: after the rotation" in said(stage))
    os.kill(pid, signal.SIGTERM)
    until(lambda: "has left" in said(stage))
    assert "has left" not in moved.read_text()
    assert "after the rotation" not in moved.read_text()


def test_hup_reopens_a_log_that_was_removed(stage: Stage) -> None:
    """Not renamed, but gone: it is made anew."""
    pid = in_background(stage)
    (stage.directory / LOG).unlink()
    os.kill(pid, signal.SIGHUP)
    until((stage.directory / LOG).exists)
    os.kill(pid, signal.SIGTERM)
    until(lambda: "has left" in said(stage))


def test_hup_reopens_the_applications_logs(stage: Stage) -> None:
    """The files of its own logging handlers too."""
    (stage.directory / "logging_app.py").write_text(
        "import jobs, logging\n"
        "from resque_fork import job\n"
        "logging.getLogger('shop').addHandler(logging.FileHandler('shop.log'))\n"
        "@job(queue='jobs')\n"
        "def note(text):\n"
        "    logging.getLogger('shop').warning(text)\n"
        "    jobs.tell('noted')\n"
    )
    worker = stage.idle(require="logging_app")
    stage.push("note", "before")
    stage.told("noted", by=worker)
    log, moved = stage.directory / "shop.log", stage.directory / "shop.log.1"
    log.rename(moved)
    worker.send(signal.SIGHUP)
    until(log.exists)
    stage.push("note", "after")
    stage.told("noted", by=worker)
    until(lambda: log.read_text() == "after\n")
    assert moved.read_text() == "before\n"


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_log_that_cannot_be_reopened(stage: Stage, count: str) -> None:
    """Its directory is gone: that is said, in the old file, and nobody dies of it."""
    folder = stage.directory / "logs"
    folder.mkdir()
    worker = stage.work("--logfile", "logs/worker.log", "--count", count)
    until(lambda: len(stage.workers()) == int(count))
    elsewhere = stage.directory / "elsewhere"
    folder.rename(elsewhere)
    worker.send(signal.SIGHUP)
    old = elsewhere / "worker.log"
    until(lambda: "A log file cannot be opened anew" in old.read_text())
    stage.push("quick")
    stage.told("quick")
    assert worker.stop() == 0


def test_a_supervisor_in_the_background(stage: Stage) -> None:
    """--daemon with --count: the pidfile names the supervisor, which takes its workers along."""
    starter = stage.work(*IN_BACKGROUND, "--count", "2")
    assert starter.ended() == 0, starter.said
    until(lambda: len(stage.workers()) == 2, lambda: said(stage))
    pid = int((stage.directory / PIDFILE).read_text())
    assert title_of(pid) == f"{TITLE}Supervising 2 workers"
    os.kill(pid, signal.SIGTERM)
    until(lambda: not is_alive(pid))
    assert stage.workers() == []
    until(lambda: not (stage.directory / PIDFILE).exists())
