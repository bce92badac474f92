"""All workers are paused, or a queue: who takes which jobs, and what is said of it."""

from __future__ import annotations

import json
import signal

from .harness import Stage, until

ALL = "INFO: All workers are paused: this one takes no job until they are resumed\n"
ALL_END = "INFO: All workers are resumed\n"
ONE = "INFO: The queue mail is paused: its jobs wait until it is resumed\n"
ONE_END = "INFO: The queue mail is resumed\n"
LONG = ("--interval", "3600")  # within which nobody looks by himself


def test_a_queue_is_paused(stage: Stage) -> None:
    """Its jobs stay, those of other queues are performed, and its end is noticed at once."""
    stage.redis.sadd("resque:queues", "mail", "low")
    worker = stage.idle(*LONG, queues="*")
    stage.run("pause", "mail")
    worker.until_said(ONE)
    stage.push("quick", "a", queue="mail")
    stage.push("quick", "b", queue="low")
    assert stage.told("quick", by=worker)["args"] == ["b"]
    worker.until_idle()
    assert len(stage.queue("mail")) == 1
    stage.run("resume", "mail")
    assert stage.told("quick", by=worker)["args"] == ["a"]
    worker.until_said(ONE_END)
    worker.stop()
    assert (worker.said.count(ONE), worker.said.count(ONE_END)) == (1, 1)


def test_a_paused_queue_is_removed(stage: Stage) -> None:
    """That is no end of its pause."""
    stage.push("quick", queue="mail")
    stage.redis.sadd("resque:fork:queues:paused", "mail")
    worker = stage.work(*LONG, queues="*")
    worker.until_title("Paused")
    stage.run("queues", "remove", "mail")
    worker.until_title("Waiting for")
    assert worker.stop() == 0
    assert ONE in worker.said
    assert ONE_END not in worker.said


def test_a_queue_is_paused_while_its_job_runs(stage: Stage) -> None:
    """The job is finished, and the next one is not taken."""
    worker, _ = stage.holding(*LONG)
    stage.push("quick")
    stage.run("pause", "jobs")
    stage.open_gate()
    worker.until_title("Paused")
    assert (stage.stat("processed"), len(stage.queue())) == (1, 1)
    stage.run("resume", "jobs")
    stage.told("quick", by=worker)


def test_all_workers_are_paused(stage: Stage) -> None:
    """The pause and its end are told once, whatever happens meanwhile."""
    worker = stage.idle(*LONG)
    stage.run("pause")
    worker.until_said(ALL)
    stage.push("quick")
    worker.until_title("Paused")
    stage.run("resume")
    stage.told("quick", by=worker)
    worker.until_said(ALL_END)
    worker.stop()
    assert (worker.said.count(ALL), worker.said.count(ALL_END)) == (1, 1)


def test_list_says_paused(stage: Stage) -> None:
    """A worker that has no job is paused, in `list`, if all workers are or all of its queues."""
    stage.redis.sadd("resque:queues", "jobs", "mail")
    stage.redis.sadd("resque:workers", "elsewhere:1:jobs")  # Ruby's
    worker, _ = stage.holding(*LONG, queues="jobs")
    idle = stage.idle(*LONG, queues="mail,jobs")

    def states() -> dict[int, str]:
        return {row["pid"]: row["state"] for row in json.loads(stage.run("list", "--json"))}

    stage.run("pause", "jobs")
    assert states() == {worker.pid: "working", idle.pid: "idle", 1: "idle"}
    stage.run("pause", "mail")
    assert states() == {worker.pid: "working", idle.pid: "paused", 1: "idle"}
    stage.run("resume", "mail", "jobs")
    stage.run("pause")
    assert states() == {worker.pid: "working", idle.pid: "paused", 1: "paused"}
    stage.open_gate()
    until(lambda: states()[worker.pid] == "paused")
    assert " paused " in stage.run("list")


def test_list_says_paused_by_a_signal(stage: Stage) -> None:
    """A worker that got USR2 is paused from the end of its job until CONT."""
    worker, _ = stage.holding(*LONG, "--heartbeat-interval", "0.5")

    def state() -> str:
        return "".join(row["state"] for row in json.loads(stage.run("list", "--json")))

    worker.send(signal.SIGUSR2)
    worker.until_said("USR2 received")
    assert state() == "working"
    stage.open_gate()
    until(lambda: state() == "paused")
    stage.redis.flushall()
    until(lambda: state() == "paused")
    worker.send(signal.SIGCONT)
    until(lambda: state() == "idle")
    assert worker.stop() == 0
    stage.assert_left(worker)
