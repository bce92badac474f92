"""``--count N``: one supervisor, N workers, and nobody left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from .harness import TITLE, Running, Stage, is_alive, title_of, until


def pool_of(stage: Stage, count: int, *options: str, require: str = "jobs") -> Running:
    """A supervisor whose workers all wait for jobs."""
    pool = stage.work("--count", str(count), *options, require=require)
    until_idle(pool, count)
    return pool


def until_idle(pool: Running, count: int) -> list[int]:
    """Wait until so many workers wait for jobs; their pids."""

    def idle() -> list[int] | None:
        pids = pool.children
        waiting = all(title_of(pid).startswith(f"{TITLE}Waiting for") for pid in pids)
        return pids if len(pids) == count and waiting else None

    pids: list[int] = until(idle, lambda: f"there are {pool.children}\n{pool.said}")
    return pids


def ids(pids: list[int]) -> list[str]:
    return sorted(f"{os.uname().nodename}:{pid}:jobs" for pid in pids)


def test_the_application_is_loaded_once(stage: Stage) -> None:
    """The supervisor loads it, and its workers share what it has loaded."""
    (stage.directory / "heavy.py").write_text("import jobs\njobs.tell('loaded')\n")
    pool = pool_of(stage, 3, require="heavy")
    assert stage.workers() == ids(pool.children)
    loaded = [told["pid"] for told in stage.everything_told() if told["what"] == "loaded"]
    assert loaded == [pool.pid]


def test_workers_share_the_memory_of_the_application(stage: Stage) -> None:
    """Neither the garbage collector nor anything else has written to most of it."""
    (stage.directory / "heavy.py").write_text(
        "from jobs import *\nitems = [[str(n)] for n in range(200_000)]\n"
    )
    for worker in pool_of(stage, 2, require="heavy").children:
        memory = psutil.Process(worker).memory_full_info()
        assert memory.uss < 0.3 * memory.rss


def test_each_worker_takes_jobs(stage: Stage) -> None:
    """Three workers do three jobs at a time."""
    pool = pool_of(stage, 3)
    for _ in range(3):
        stage.push("hold")
    parents = {stage.told("begun", by=pool)["parent"] for _ in range(3)}
    assert parents == set(pool.children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_stopping_now(stage: Stage, number: int) -> None:
    """TERM and INT reach every worker; the supervisor leaves last, with 0."""
    pool = pool_of(stage, 3)
    pids = pool.children
    stage.push("hold")
    stage.told("begun", by=pool)
    assert pool.stop(number) == 0
    assert stage.workers() == []
    assert not any(map(is_alive, pids))
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    assert "All workers have left" in pool.said


def test_quit_finishes_all_jobs(stage: Stage) -> None:
    """QUIT reaches every worker: running jobs end, no other begins."""
    pool = pool_of(stage, 2)
    for _ in range(3):
        stage.push("hold")
    for _ in range(2):
        stage.told("begun", by=pool)
    pool.send(signal.SIGQUIT)
    until(lambda: pool.said.count("Exiting...") == 3)
    for _ in range(2):
        stage.open_gate()
        stage.told("done", by=pool)
    assert pool.ended() == 0
    assert stage.stat("processed") == 2
    assert len(stage.queue()) == 1
    assert stage.failed() == []


def test_pausing_and_going_on(stage: Stage) -> None:
    """USR2 and CONT reach every worker."""
    pool = pool_of(stage, 2)
    pool.send(signal.SIGUSR2)
    until(lambda: [title_of(pid) for pid in pool.children] == [f"{TITLE}Paused"] * 2)
    stage.push("quick")
    pool.send(signal.SIGCONT)
    stage.told("quick", by=pool)
    until_idle(pool, 2)


def test_a_worker_that_is_replaced_while_all_are_paused(stage: Stage) -> None:
    """It is paused like the others, and goes on with them."""
    pool = pool_of(stage, 2)
    pool.send(signal.SIGUSR2)
    until(lambda: [title_of(pid) for pid in pool.children] == [f"{TITLE}Paused"] * 2)
    first, second = pool.children
    os.kill(first, signal.SIGKILL)
    until(lambda: len({*pool.children} - {first, second}) == 1, lambda: pool.said)
    stage.push("quick")
    until(lambda: [title_of(pid) for pid in pool.children] == [f"{TITLE}Paused"] * 2)
    assert len(stage.queue()) == 1
    pool.send(signal.SIGCONT)
    stage.told("quick", by=pool)
    until_idle(pool, 2)


def test_usr1_stops_the_running_jobs(stage: Stage) -> None:
    """The workers go on."""
    pool = pool_of(stage, 2)
    pids = pool.children
    for _ in range(2):
        stage.push("hold")
        stage.told("begun", by=pool)
    pool.send(signal.SIGUSR1)
    entries = stage.failed(2)
    assert {entry["exception"] for entry in entries} == {"Resque::TermException"}
    assert until_idle(pool, 2) == pids


def test_a_worker_that_dies_is_replaced(stage: Stage) -> None:
    """Killed with a job: another takes its place, and the job is rescued."""
    pool = pool_of(stage, 2)
    first, second = pool.children
    stage.push("hold")
    victim = stage.told("begun", by=pool)["parent"]
    os.kill(victim, signal.SIGKILL)
    assert stage.failed(1)[0]["error"] == "Job still being processed"
    pids = until_idle(pool, 2)
    assert len({first, second} & set(pids)) == 1
    until(lambda: stage.workers() == ids(pids))
    assert f"Worker {victim} has died" in pool.said
    assert pool.stop() == 0


def test_the_pause_grows_for_those_that_die_at_once(stage: Stage) -> None:
    """An application that cannot run does not keep a processor busy."""
    (stage.directory / "hopeless.py").write_text(
        "import jobs, os\nfrom resque_fork import before_first_fork\n"
        "@before_first_fork\ndef fall():\n    jobs.tell('fallen')\n    os._exit(9)\n"
    )
    pool = stage.work("--count", "2", require="hopeless")
    until(lambda: "starting another in 1 seconds" in pool.said)
    assert "starting another in 0 seconds" in pool.said
    assert "starting another in 0.5 seconds" in pool.said
    until(lambda: pool.children == [])
    assert pool.stop() == 0  # also in the middle of a pause


def test_workers_do_not_outlive_a_killed_supervisor(stage: Stage) -> None:
    """kill -9 of the supervisor: its workers get TERM, and leave in order."""
    pool = pool_of(stage, 2)
    pids = pool.children
    stage.push("hold")
    child = stage.told("begun", by=pool)["pid"]
    pool.kill()
    until(lambda: not any(map(is_alive, [*pids, child])))
    assert stage.workers() == []
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"


def test_interval_zero_drains_and_ends(stage: Stage) -> None:
    """With --interval 0 workers are not replaced when the queues are empty."""
    for number in range(6):
        stage.push("quick", number)
    pool = stage.work("--count", "2", "--interval", "0")
    assert pool.ended() == 0
    assert stage.stat("processed") == 6
    assert stage.workers() == []


def test_no_signal_stays_blocked_in_a_worker(stage: Stage) -> None:
    """Signals are blocked across the fork only."""
    pool = pool_of(stage, 2)
    for pid in (pool.pid, *pool.children):
        status = Path(f"/proc/{pid}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
        assert int(blocked.split()[1], 16) == 0, title_of(pid)


def test_a_worker_has_nothing_of_its_supervisor(stage: Stage) -> None:
    """As many descriptors as a worker that was started alone, and no zombies anywhere."""
    alone = stage.idle()
    pool = pool_of(stage, 2)

    def opened(pid: int) -> list[str]:
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        return sorted(link.partition(":")[0] for link in links if not link.startswith("/"))

    for pid in pool.children:
        assert opened(pid) == opened(alone.pid)


def test_stopping_at_any_moment_of_the_start(stage: Stage) -> None:
    """A stop that comes while workers are being forked: exit 0, nothing left."""
    for delay in range(8):
        pool = stage.work("--count", "3")
        pool.until_said("Supervising 3 workers")
        time.sleep(delay * 0.01)  # not to synchronise: to hit it anywhere
        assert pool.stop() == 0, pool.said
        assert stage.workers() == []
        assert stage.redis.hlen("resque:workers:heartbeat") == 0


def test_hup_reopens_the_logs_of_all(stage: Stage) -> None:
    """After a rotation supervisor and workers write to the new file."""
    pool = pool_of(stage, 2, "--logfile", "pool.log")
    log, moved = stage.directory / "pool.log", stage.directory / "pool.log.1"
    log.rename(moved)
    pool.send(signal.SIGHUP)
    until(log.exists)
    outputs = [f"/proc/{pid}/fd/2" for pid in (pool.pid, *pool.children)]
    until(lambda: {os.readlink(output) for output in outputs} == {str(log)})
    assert pool.stop() == 0
    assert "All workers have left" in log.read_text()
    assert "Exiting..." not in moved.read_text()
