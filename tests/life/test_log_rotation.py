"""Log files are moved away at the worst moments; after HUP all that is said is in the new ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .harness import TITLE, Running, Stage, children_of, title_of, until

HUP = signal.SIGHUP

# Logs each job to files of its own, by three kinds of handlers.
LOGGING = """
import jobs, logging, logging.handlers
from resque_fork import job
log = logging.getLogger("shop")
log.addHandler(logging.FileHandler("plain.log"))
log.addHandler(logging.handlers.RotatingFileHandler("rotating.log"))
log.addHandler(logging.handlers.WatchedFileHandler("watched.log"))
@job(queue="jobs")
def note(text):
    log.warning(text)
    jobs.tell("noted")
"""
OWN_LOGS = ("plain.log", "rotating.log", "watched.log")


def output_of(pid: int) -> str:
    """Where what it says goes, by the name that the file has now."""
    return os.readlink(f"/proc/{pid}/fd/2")


def idle_workers(pool: Running, count: int) -> list[int]:
    def found() -> list[int] | None:
        pids = pool.children
        idle = all(title_of(pid).startswith(f"{TITLE}Waiting for") for pid in pids)
        return pids if idle and len(pids) == count else None

    pids: list[int] = until(found, lambda: pool.said)
    return pids


def pool_of(stage: Stage, *options: str, how: str = "--logfile", require: str = "jobs") -> Running:
    """A supervisor of two idle workers that say everything to pool.log."""
    command = stage.command("--count", "2", *options, require=require)
    if how == "--logfile":
        pool = stage.start(*command, "--logfile", "pool.log")
    else:
        with (stage.directory / "pool.log").open("ab") as log:
            pool = stage.start(*command, stdout=log, stderr=log)
    idle_workers(pool, 2)
    return pool


def replace_one(pool: Running) -> None:
    """Have one of two workers die, and wait for the one that takes its place."""
    victim, survivor = pool.children
    os.kill(victim, signal.SIGKILL)
    until(lambda: {*pool.children} not in ({victim, survivor}, {survivor}), lambda: pool.said)
    idle_workers(pool, 2)


@pytest.mark.parametrize("how", ["--logfile", ">>"])
@pytest.mark.parametrize("removed", [False, True], ids=["moved", "removed"])
def test_a_worker_that_is_started_between_rotation_and_hup(
    stage: Stage, how: str, removed: bool
) -> None:
    """It knows where the file was before, and so goes to the new one with all others."""
    pool = pool_of(stage, how=how)
    log, moved = stage.directory / "pool.log", stage.directory / "pool.log.1"
    log.rename(moved)
    if removed:
        moved.unlink()
    replace_one(pool)
    pool.send(HUP)
    pids = (pool.pid, *pool.children)
    until(lambda: {output_of(pid) for pid in pids} == {str(log)}, lambda: map(output_of, pids))
    assert pool.stop() == 0
    assert log.read_text().count("has left\n") == 2
    assert sorted(path.name for path in stage.directory.glob("pool*")) == (
        ["pool.log"] if removed else ["pool.log", "pool.log.1"]
    )


def test_the_applications_logs_in_such_a_worker(stage: Stage) -> None:
    """Its handlers have the files of the supervisor, until HUP opens them anew."""
    (stage.directory / "logging_app.py").write_text(LOGGING)
    pool = pool_of(stage, require="logging_app")
    for name in OWN_LOGS:
        (stage.directory / name).rename(stage.directory / f"{name}.1")
    replace_one(pool)
    pool.send(HUP)
    for name in OWN_LOGS:
        until((stage.directory / name).exists)
    idle = idle_workers(pool, 2)
    until(lambda: all(opened(stage, pid) == {*OWN_LOGS} for pid in idle))
    for _ in range(2):
        stage.push("note", "after")
        stage.told("noted", by=pool)
    for name in OWN_LOGS:
        until(lambda log=stage.directory / name: log.read_text() == "after\n" * 2)
        assert (stage.directory / f"{name}.1").read_text() == ""


def opened(stage: Stage, pid: int) -> set[str]:
    """The logs of the application that a process holds open, under the names that they have."""
    links = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.add(Path(os.readlink(f"/proc/{pid}/fd/{fd}")))
        except FileNotFoundError:  # the descriptor that listed them
            continue
    ours = {link.name for link in links if link.parent == stage.directory}
    return {name for name in ours if name.removesuffix(".1") in OWN_LOGS}


def test_a_child_of_many_jobs_takes_no_more_after_hup(stage: Stage) -> None:
    """The job that runs stays with the old file, the next goes to the new one."""
    for job in ("hold", "quick"):
        stage.push(job)
    worker = stage.work("--jobs-per-fork", "5", "--logfile", "worker.log")
    first = stage.told("begun", by=worker)["pid"]
    log = stage.directory / "worker.log"
    log.rename(stage.directory / "worker.log.1")
    worker.send(HUP)
    until(log.exists)
    stage.open_gate()
    assert stage.told("quick", by=worker)["pid"] != first
    assert worker.stop() == 0


def test_a_child_that_was_forked_ahead_takes_none(stage: Stage) -> None:
    """It has the old file."""
    stage.push("hold")
    stage.push("say_aloud", "after")
    worker = stage.work("--no-pin-pages", "--logfile", "worker.log")
    child = stage.told("begun", by=worker)["pid"]
    until(lambda: len(children_of(worker.pid)) == 2)
    (spare,) = {*children_of(worker.pid)} - {child}
    log = stage.directory / "worker.log"
    log.rename(stage.directory / "worker.log.1")
    worker.send(HUP)
    until(lambda: spare not in children_of(worker.pid))
    stage.open_gate()
    until(lambda: "stdout: after" in log.read_text())
    assert worker.stop() == 0


def test_an_application_that_changes_the_directory(stage: Stage) -> None:
    """A relative --logfile means where the worker was started."""
    (stage.directory / "elsewhere").mkdir()
    (stage.directory / "moving.py").write_text("import jobs, os\nos.chdir('elsewhere')\n")
    worker = stage.idle("--logfile", "worker.log", require="moving")
    log = stage.directory / "worker.log"
    log.rename(stage.directory / "worker.log.1")
    worker.send(HUP)
    until(log.exists)
    assert worker.stop() == 0
    assert "has left" in log.read_text()
    assert [*(stage.directory / "elsewhere").iterdir()] == []


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_logfile_that_is_a_link(stage: Stage, count: str) -> None:
    """HUP follows the link that --logfile names, and not the file that it named before."""
    link = stage.directory / "current.log"
    link.symlink_to("monday.log")
    worker = stage.work("--logfile", "current.log", "--count", count)
    until(lambda: len(stage.workers()) == int(count))
    link.unlink()
    link.symlink_to("tuesday.log")
    worker.send(HUP)
    until((stage.directory / "tuesday.log").exists)
    assert worker.stop() == 0
    until(lambda: "has left" in link.read_text())
    assert "has left" not in (stage.directory / "monday.log").read_text()


def test_a_file_that_cannot_be_opened_keeps_no_other_from_it(stage: Stage) -> None:
    """Why it cannot is said, and names the file."""
    (stage.directory / "logs").mkdir()
    (stage.directory / "logging_app.py").write_text(
        LOGGING.replace('"plain.log"', '"logs/plain.log"')
    )
    worker = stage.idle("--logfile", "worker.log", require="logging_app")
    (stage.directory / "logs").rename(stage.directory / "old")
    for name in ("worker.log", "watched.log", "rotating.log"):
        (stage.directory / name).rename(stage.directory / f"{name}.1")
    worker.send(HUP)
    log = stage.directory / "worker.log"
    plain = stage.directory / "logs" / "plain.log"
    expected = f"A log file cannot be opened anew: {plain}: No such file or directory\n"
    until(lambda: log.exists() and expected in log.read_text())
    until(lambda: (stage.directory / "watched.log").exists())
    assert (stage.directory / "rotating.log").exists()
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0


def test_a_fifo_as_logfile(stage: Stage) -> None:
    """It takes what is said while somebody reads it; where nobody does, no worker waits for it."""
    fifo = stage.directory / "log.fifo"
    os.mkfifo(fifo)
    alone = stage.work("--logfile", "log.fifo")
    assert alone.ended() == 1
    assert alone.said == (
        "resque-fork: The logfile log.fifo cannot be written: No such device or address.\n"
    )
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    worker = stage.idle("--logfile", "log.fifo")
    worker.send(HUP)
    assert worker.stop() == 0
    os.set_blocking(reader, True)
    assert b"has left" in os.read(reader, 65536)
    os.close(reader)
