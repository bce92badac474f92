"""No descriptor is left to the worker: no outcome is lost, and jobs wait until there are some."""

from __future__ import annotations

import resource
import signal

import pytest

from .harness import Stage, is_alive, until


def give_back(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, 4096))


@pytest.mark.parametrize("count", [3, 8])
def test_they_are_gone_while_a_job_runs(stage: Stage, count: int) -> None:
    """The job is done, the next goes back to its queue, and later all is made up for."""
    stage.push("limit_descriptors_of_worker", count)
    stage.push("quick")
    worker = stage.work("--no-fork-ahead", "--heartbeat-interval", "0.1", "--prune-interval", "5")
    daemon = stage.told("daemon", by=worker)["pid"]
    until(lambda: stage.stat("processed") == 1, lambda: worker.said)
    worker.until_said("could not be started: [Errno 24] Too many open files")
    stage.redis.client_kill_filter(_type="normal")  # and it cannot connect anew
    worker.until_said("Too many open files). Trying again.")
    give_back(worker.pid)
    stage.told("quick", by=worker)
    until(lambda: not is_alive(daemon))
    until(lambda: stage.stat("processed") == 2)
    assert stage.failed() == []
    assert worker.stop() == 0, worker.said
    assert "Traceback" not in worker.said
    stage.assert_left(worker)


def test_a_hook_has_them_all(stage: Stage) -> None:
    """The jobs go back until it gives some of them back."""
    (stage.directory / "greedy.py").write_text(
        "import os, resource, jobs\n"
        "from resque_fork import before_fork\n"
        "taken = []\n"
        "@before_fork\n"
        "def take(job):\n"
        "    if taken:\n"
        "        if os.path.exists('enough'):\n"
        "            while taken: os.close(taken.pop())\n"
        "        return\n"
        "    if os.path.exists('enough'): return\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))\n"
        "    try:\n"
        "        while True: taken.append(os.open(os.devnull, os.O_RDONLY))\n"
        "    except OSError: pass\n"
    )
    stage.push("kill_self", 9)
    stage.push("boom")
    worker = stage.work(require="greedy")
    worker.until_said("could not be started: [Errno 24] Too many open files")
    assert stage.failed() == []
    (stage.directory / "enough").touch()
    killed, raised = stage.failed(2)
    assert killed["forensics"]["signal"] == "SIGKILL"
    assert raised["exception"] == "ValueError"
    assert worker.stop(signal.SIGTERM) == 0
    stage.assert_left(worker)
