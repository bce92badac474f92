"""Code of the application in the worker's own process: whatever it changes, the worker works on."""

from __future__ import annotations

import os
import signal

import pytest

from .harness import Stage, until

# Application code that changes what the worker stands on, and puts nothing back.
CHANGES = {
    "event loop": """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "wake-up descriptor": "signal.set_wakeup_fd(-1)",
    "wake-up descriptor closed": """
before = signal.set_wakeup_fd(-1)
os.close(before)
os.open(os.devnull, os.O_RDONLY)
""",
    "handlers": """
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
""",
    "mask": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "surroundings": "os.chdir('/'); os.umask(0o777)",
}

GUEST = """
import asyncio, os, signal
import jobs
import resque_fork

def change(*args):
{change}

for name in {hooks}:
    getattr(resque_fork, name)(change)

@resque_fork.job(queue="jobs")
def change_in_place():
    change()
    jobs.tell("changed")
"""


def guest(stage: Stage, change: str, *hooks: str) -> None:
    body = "\n".join(f"    {line}" for line in change.strip().splitlines())
    (stage.directory / "guest.py").write_text(GUEST.format(change=body, hooks=hooks))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hook", ["before_first_fork", "before_fork", "queue_empty"])
def test_what_a_hook_changes_is_put_back(stage: Stage, hook: str, change: str) -> None:
    """The worker hears of the end of its jobs, whose surroundings are as ever, and obeys."""
    guest(stage, CHANGES[change], hook)
    worker = stage.work(require="guest")
    for _ in range(2):
        stage.push("tell_surroundings")
        found = stage.told("found", by=worker)
        assert found["cwd"] == str(stage.directory)
        assert found["umask"] != 0o777
    until(lambda: stage.stat("processed") == 2, lambda: worker.said)
    worker.until_idle()  # a signal that the hook ignores is lost while it runs
    assert worker.stop(signal.SIGQUIT) == 0
    assert stage.failed() == []
    assert ("has changed the umask and the working directory" in worker.said) is (
        change == "surroundings"
    )
    stage.assert_left(worker)


def test_hooks_of_a_pause(stage: Stage) -> None:
    """They run because of a signal, and the next signal is heard as well."""
    guest(stage, CHANGES["event loop"], "before_pause", "after_pause")
    worker = stage.idle(require="guest")
    for _ in range(2):
        worker.send(signal.SIGUSR2)
        worker.until_title("Paused")
        worker.send(signal.SIGCONT)
        worker.until_title("Waiting for")
    assert worker.stop() == 0


@pytest.mark.parametrize("change", ["event loop", "wake-up descriptor", "mask", "surroundings"])
def test_what_a_job_in_place_changes_is_put_back(stage: Stage, change: str) -> None:
    """With --no-fork-per-job the application's code is in the worker all the time."""
    guest(stage, CHANGES[change])
    worker = stage.idle("--no-fork-per-job", require="guest")
    stage.push("change_in_place")
    stage.told("changed", by=worker)
    stage.push("tell_surroundings")
    assert stage.told("found", by=worker)["cwd"] == str(stage.directory)
    assert worker.stop(signal.SIGTERM) == 0
    stage.assert_left(worker)


@pytest.mark.parametrize("hook", ["before_fork", "queue_empty"])
def test_a_signal_that_came_meanwhile(stage: Stage, hook: str) -> None:
    """TERM while signals wake somebody else: the worker stops."""
    guest(stage, "signal.set_wakeup_fd(-1); os.kill(os.getpid(), signal.SIGTERM)", hook)
    stage.push("quick")
    worker = stage.work(require="guest")
    assert worker.ended() == 0, worker.said
    stage.assert_left(worker)
    assert stage.failed() == []
    assert len(stage.queue()) + stage.stat("processed") == 1


def test_a_signal_that_came_while_a_job_in_place_ran(stage: Stage) -> None:
    """TERM raises in the job, and ends the worker, whoever is woken by it."""
    guest(stage, "signal.set_wakeup_fd(-1); jobs.tell('begun'); jobs.wait_at_gate()")
    stage.push("change_in_place")
    worker = stage.work("--no-fork-per-job", require="guest")
    stage.told("begun", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    stage.assert_left(worker)


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit(0)", "GeneratorExit"])
def test_whatever_a_hook_raises(stage: Stage, error: str) -> None:
    """An exception that is no Exception is an error of the hook's all the same."""
    guest(stage, f"raise {error}", "before_fork", "queue_empty", "shutdown", "worker_exit")
    stage.push("quick")
    worker = stage.work(require="guest")
    [entry] = stage.failed(1)
    assert entry["exception"] == error.partition("(")[0]
    worker.until_said("The hook queue_empty raised")
    assert worker.stop() == 0
    assert "The hook shutdown raised" in worker.said
    assert "The hook worker_exit raised" in worker.said
    stage.assert_left(worker)


@pytest.mark.parametrize("error", ["KeyboardInterrupt()", "SystemExit(0)", "ValueError('first')"])
def test_before_first_fork_ends_the_worker(stage: Stage, error: str) -> None:
    """With status 1, whatever it raises: nothing has been started in good order."""
    guest(stage, f"raise {error}", "before_first_fork")
    worker = stage.work(require="guest")
    assert worker.ended() == 1
    assert error.partition("(")[0] in worker.said
    assert stage.workers() == []


def test_a_hook_prints_where_nobody_reads(stage: Stage) -> None:
    """The reader of the worker's stdout is gone: no job fails because of that."""
    guest(stage, "print('next', flush=True)", "before_fork")
    reader, writer = os.pipe()
    worker = stage.start(*stage.command(require="guest"), stdout=writer)
    os.close(writer)
    worker.until_idle()
    os.close(reader)
    for number in range(2):
        stage.push("quick", number)
        assert stage.told("quick", by=worker)["args"] == [number]
    assert worker.stop() == 0
    assert stage.failed() == []


def test_what_a_hook_prints_is_printed_once(stage: Stage) -> None:
    """No child inherits it and prints it again."""
    guest(stage, "print('next')", "before_fork")
    for number in range(3):
        stage.push("quick", number)
    worker = stage.work("--interval", "0", require="guest")
    assert worker.ended() == 0
    assert worker.said.count("next\n") == 3
