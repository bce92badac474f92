"""``work --reload``: the worker starts again when a file of the application changes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from terminal import Terminal

from .harness import TITLE, Running, Stage, children_of, is_alive, title_of, until

# The job says which version of the file it came from.
APPLICATION = """
from resque_fork import job
from jobs import tell

@job(queue="jobs")
def version():
    tell("version", number={number})
"""


def write(stage: Stage, text: str) -> None:
    (stage.directory / "edited.py").write_text(text)


@pytest.fixture
def edited(stage: Stage) -> Stage:
    """An application in the working directory."""
    write(stage, APPLICATION.format(number=1))
    return stage


def worker_of(reloader: Running) -> int:
    """The pid of the worker, once it waits for jobs."""

    def idle() -> int | None:
        waiting = [pid for pid in children_of(reloader.pid) if "Waiting for" in title_of(pid)]
        return waiting[0] if waiting else None

    return int(until(idle, lambda: reloader.said))


def started(stage: Stage, *options: str) -> tuple[Running, int]:
    """A reloader that watches the directory, and its worker."""
    reloader = stage.work("--reload", *options, require="edited")
    worker = worker_of(reloader)
    until(lambda: watches(reloader), lambda: reloader.said)
    return reloader, worker


def watches(reloader: Running) -> bool:
    """Whether its watcher has told the kernel what to watch."""
    return any(
        "inotify" in line
        for pid in children_of(reloader.pid)
        for fd in Path(f"/proc/{pid}/fdinfo").iterdir()
        for line in fd.read_text().splitlines()
    )


def test_a_changed_file_is_loaded(edited: Stage) -> None:
    """Another worker takes over, which performs what the file says now."""
    reloader, before = started(edited)
    assert reloader.title == f"{TITLE}Reloading on changes"
    edited.push("version")
    assert edited.told("version")["number"] == 1
    write(edited, APPLICATION.format(number=2))
    reloader.until_said("edited.py changed; the worker starts again")
    until(lambda: not is_alive(before), lambda: reloader.said)
    edited.push("version")
    assert edited.told("version", by=reloader)["number"] == 2
    assert reloader.stop(signal.SIGTERM) == 0
    assert edited.workers() == []


def test_the_running_job_is_finished_first(edited: Stage) -> None:
    """A job is not stopped because somebody saves a file."""
    reloader, before = started(edited)
    edited.push("hold")
    edited.told("begun", by=reloader)
    write(edited, APPLICATION.format(number=2))
    reloader.until_said("Exiting...")
    assert is_alive(before)
    edited.open_gate()
    edited.push("version")
    assert edited.told("version", by=reloader)["number"] == 2
    assert edited.failed() == []
    assert reloader.stop() == 0


def test_an_error_in_the_file_is_waited_out(edited: Stage) -> None:
    """The worker says what is wrong; the next change starts it again."""
    reloader, _ = started(edited)
    write(edited, "this is no Python")
    reloader.until_said("The worker has left with status 1; it starts again when a file changes")
    assert "edited cannot be loaded: SyntaxError" in reloader.said
    write(edited, APPLICATION.format(number=3))
    edited.push("version")
    assert edited.told("version", by=reloader)["number"] == 3
    assert reloader.stop() == 0


def test_it_ends_with_a_worker_that_ends_in_good_order(edited: Stage) -> None:
    """Such as one that has emptied its queues."""
    edited.push("version")
    reloader = edited.work("--reload", "--interval=0", require="edited")
    assert edited.told("version", by=reloader)["number"] == 1
    assert reloader.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_its_end_is_the_end_of_all(edited: Stage, number: int) -> None:
    """Told to stop, it tells the worker, waits for it, and leaves no process."""
    reloader, worker = started(edited)
    processes = psutil.Process(reloader.pid).children(recursive=True)
    assert reloader.stop(number) == 0
    until(lambda: not any(is_alive(process.pid) for process in processes))
    assert (is_alive(worker), edited.workers()) == (False, [])


def test_killed_it_leaves_no_process(edited: Stage) -> None:
    """The kernel tells the worker to stop, and ends the watcher."""
    reloader, _ = started(edited)
    processes = psutil.Process(reloader.pid).children(recursive=True)
    reloader.kill()
    until(lambda: not any(is_alive(process.pid) for process in processes))
    assert edited.workers() == []


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_ctrl_c_in_a_terminal(edited: Stage, terminal: Terminal) -> None:
    """It comes to both: the worker finishes its job, and is not started again."""
    edited.push("hold")
    reloader = edited.work_in(terminal, "--reload", require="edited")
    edited.told("begun", by=reloader)
    terminal.press_ctrl_c()
    reloader.until_said("Finishing the running job; Ctrl-C again stops it")
    edited.open_gate()
    assert reloader.ended() == 0
    assert (edited.failed(), edited.workers()) == ([], [])


def test_without_a_watcher_the_worker_goes_on(edited: Stage) -> None:
    """It says that changes are not noticed any more."""
    reloader, worker = started(edited)
    [watcher] = set(children_of(reloader.pid)) - {worker}
    psutil.Process(watcher).kill()
    reloader.until_said("Changed files are not noticed any more; the worker goes on")
    edited.push("version")
    assert edited.told("version", by=reloader)["number"] == 1
    assert reloader.stop() == 0


def test_signals_of_a_worker_are_passed_on(edited: Stage) -> None:
    """USR2 pauses the worker, CONT has it go on."""
    reloader, worker = started(edited)
    reloader.send(signal.SIGUSR2)
    until(lambda: "Paused" in title_of(worker), lambda: reloader.said)
    reloader.send(signal.SIGCONT)
    edited.push("version")
    edited.told("version", by=reloader)
    assert reloader.stop() == 0


def test_it_does_not_go_with_daemon(stage: Stage) -> None:
    """There is nobody to see it."""
    refused = stage.work("--reload", "--daemon")
    assert refused.ended() == 2
    assert "--reload is for a terminal, and does not go with --daemon." in refused.said


def test_it_says_what_it_needs(stage: Stage) -> None:
    """The library is an extra."""
    hidden = "import sys\n\nsys.modules['watchfiles'] = None\n"
    (stage.directory / "sitecustomize.py").write_text(hidden)
    environment = stage.environment()
    environment["PYTHONPATH"] = f"{stage.directory}:{environment['PYTHONPATH']}"
    refused = stage.work("--reload", env=environment)
    assert refused.ended() == 1
    assert "--reload needs watchfiles: pip install 'resque-fork[reload]'." in refused.said
