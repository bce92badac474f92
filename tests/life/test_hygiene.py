"""A worker that lives long: nothing piles up, whatever its jobs do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from servers.nodes import free_ports

from resque_fork import embedded

from .harness import Running, Stage, descriptors_of, is_alive, title_of, until

NOTHING = b'{"class":"nothing","args":[{"some":"argument"}]}'

# Jobs with every kind of end.
KINDS = (
    *(("quick",), ("boom",), ("leave", 3), ("kill_self", 9), ("segfault",), ("close_everything",)),
    *(("last_words", 3), ("exit_with", 1), ("daemon", True), ("return_twice",), ("no_such_job",)),
)

UNWANTED = (
    *("click.shell_completion", "difflib", "email.parser", "encodings.idna", "hmac", "pickle"),
    *("psutil", "_strptime", "tomllib", "unicodedata"),
)


def perform_all_kinds(stage: Stage, worker: Running, rounds: int) -> None:
    before = stage.stat("processed")
    for _ in range(rounds):
        for name, *args in KINDS:
            stage.push(name, *args)
        stage.push_raw(b"not a job")
    expected = before + rounds * (len(KINDS) + 1)
    until(lambda: stage.stat("processed") == expected, lambda: worker.said[-2000:], timeout=60)
    worker.until_idle()


def test_descriptors_and_memory_stay_constant(stage: Stage) -> None:
    """Over some hundred jobs that end in every way there is."""
    worker = stage.idle()
    perform_all_kinds(stage, worker, 3)
    descriptors = descriptors_of(worker.pid)
    memory = psutil.Process(worker.pid).memory_info().rss
    perform_all_kinds(stage, worker, 25)
    assert descriptors_of(worker.pid) == descriptors
    assert psutil.Process(worker.pid).memory_info().rss - memory < 3 * 1024 * 1024
    assert worker.children == []
    assert worker.stop() == 0
    stage.assert_left(worker)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("jobs", "options"),
    [(20_000, ("--jobs-per-fork", "50")), (3_000, ())],
    ids=["jobs_per_fork", "fork_per_job"],
)
def test_a_long_life(
    stage: Stage,
    jobs: int,
    options: tuple[str, ...],
    record_property: Callable[[str, object], None],
) -> None:
    """Thousands of jobs later a worker has not one descriptor more, and no memory to speak of."""
    worker = stage.idle(*options)

    def perform(count: int) -> tuple[int, int]:
        """Descriptors, and KiB of memory, after so many jobs."""
        expected = stage.stat("processed") + count
        stage.redis.sadd("resque:queues", "jobs")
        for _ in range(count // 100):
            stage.redis.rpush("resque:queue:jobs", *[NOTHING] * 100)
        until(lambda: stage.stat("processed") == expected, lambda: worker.said[-2000:], 120)
        worker.until_idle()
        return descriptors_of(worker.pid), psutil.Process(worker.pid).memory_info().rss // 1024

    descriptors, memory = perform(jobs // 10)
    descriptors_after, memory_after = perform(jobs)
    record_property("jobs", jobs)
    record_property("descriptors", f"{descriptors} -> {descriptors_after}")
    record_property("KiB", f"{memory} -> {memory_after}")
    assert descriptors_after == descriptors
    assert memory_after - memory < 1024
    assert worker.children == []
    assert stage.failed() == []
    assert worker.stop() == 0


def test_descriptors_stay_constant_with_jobs_per_fork(stage: Stage) -> None:
    """Likewise."""
    worker = stage.idle("--jobs-per-fork", "5")
    perform_all_kinds(stage, worker, 2)
    descriptors = descriptors_of(worker.pid)
    perform_all_kinds(stage, worker, 5)
    assert descriptors_of(worker.pid) == descriptors
    assert worker.children == []
    assert worker.stop() == 0


def test_there_are_no_zombies_while_a_job_runs(stage: Stage) -> None:
    """What a job leaves to its worker is reaped at once, not at the end of the job."""
    stage.push("orphans", 20)
    worker = stage.work()
    child = stage.told("begun", by=worker)["pid"]
    until(lambda: worker.children == [child])


def test_a_spared_daemon_that_ends_is_no_zombie(stage: Stage) -> None:
    """The worker inherited it, and reaps it whenever it ends, also while idle."""
    worker = stage.idle()
    stage.push("lasting_daemon")
    daemon = stage.told("daemon", by=worker)["pid"]
    until(lambda: worker.children == [daemon])
    worker.until_title("Waiting for")
    assert is_alive(daemon)
    assert worker.children == [daemon]
    os.kill(daemon, signal.SIGKILL)
    until(lambda: worker.children == [])
    assert worker.stop() == 0


def test_what_a_worker_does_not_load(tmp_path: Path) -> None:
    """What it has no use for makes it larger, and its forks slower; none of this is small."""
    port = free_ports(1)[0]
    with embedded.Server(port=port):
        stage = Stage(tmp_path, f"redis://localhost:{port}/0")
        worker = stage.idle()
        stage.push("loaded", ["resque_fork.worker.worker", *UNWANTED])
        assert stage.told("loaded", by=worker)["names"] == ["resque_fork.worker.worker"]
        assert worker.stop() == 0
        stage.close()


def test_no_thread_beside_the_fork(stage: Stage) -> None:
    """The worker has one thread, idle or busy: what a fork does to others does not arise."""

    def threads() -> int:
        return psutil.Process(worker.pid).num_threads()

    worker = stage.idle("--heartbeat-interval", "0.1", "--prune-interval", "5")
    assert threads() == 1
    stage.push("hold")
    stage.told("begun", by=worker)
    assert threads() == 1


def test_programs_that_a_job_runs_get_nothing_of_ours(stage: Stage) -> None:
    """Only stdin, stdout and stderr are handed on, even if a job closes nothing."""
    worker = stage.idle()
    stage.push("run_program")
    assert stage.told("fds", by=worker)["fds"] == ["0", "1", "2"]
    assert worker.stop() == 0


def test_an_idle_worker_does_nothing(stage: Stage) -> None:
    """No ticks, but for the clock: in a second it uses next to no processor, and is woken hardly
    ever."""
    worker = stage.idle("--no-clock")
    process = psutil.Process(worker.pid)
    before = process.num_ctx_switches().voluntary
    time.sleep(1.0)  # there is nothing to wait for: nothing is to happen
    assert process.num_ctx_switches().voluntary - before <= 2


# --- as the first process of a container

UNSHARE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


@pytest.fixture
def container() -> None:
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("there is no permission to make a pid namespace here")


def inside(outer: Running) -> int:
    """The pid, as seen here, of the worker that is PID 1 there."""
    until(lambda: len(outer.children) == 1, lambda: outer.said)
    pid = outer.children[0]
    until(lambda: "Waiting for" in title_of(pid), lambda: outer.said)
    return pid


@pytest.mark.usefixtures("container")
def test_pid_1_reaps_orphans(stage: Stage) -> None:
    """Orphans of any origin end up with PID 1, which reaps them, also while idle."""
    outer = stage.start(*UNSHARE, *stage.command())
    worker = inside(outer)
    assert stage.workers() == [f"{os.uname().nodename}:1:jobs"]
    stage.push("lasting_daemon")
    stage.told("daemon", by=outer)
    until(lambda: "Waiting for" in title_of(worker))
    [daemon] = psutil.Process(worker).children()
    assert daemon.status() != psutil.STATUS_ZOMBIE
    daemon.kill()
    until(lambda: psutil.Process(worker).children() == [])


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_pid_1_obeys(stage: Stage, number: int) -> None:
    """The kernel spares a PID 1 every signal that it does not handle; we handle them."""
    outer = stage.start(*UNSHARE, *stage.command())
    worker = inside(outer)
    os.kill(worker, number)
    assert outer.ended() == 0
    assert stage.workers() == []


@pytest.mark.usefixtures("container")
def test_pid_1_loses_its_child_like_any_other(stage: Stage) -> None:
    """Deaths are told, jobs go on, what is left behind is swept."""
    outer = stage.start(*UNSHARE, *stage.command())
    worker = inside(outer)
    for name, *args in (("kill_self", 9), ("daemon", True), ("quick",)):
        stage.push(name, *args)
    stage.told("quick", by=outer)
    assert stage.failed(1)[0]["forensics"]["signal"] == "SIGKILL"
    until(lambda: psutil.Process(worker).children() == [])
    until(lambda: stage.stat("processed") == 3)


def test_a_stopped_worker_leaves_no_processes(stage: Stage) -> None:
    """Neither child nor what the child had started."""
    stage.push("helper")
    worker = stage.work()
    helper = stage.told("helper", by=worker)["pid"]
    worker.until_title("Forked")
    [child, *_] = worker.children
    assert worker.stop(signal.SIGTERM) == 0
    assert not is_alive(child)
    assert not is_alive(helper)
