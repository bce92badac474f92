"""``--no-fork-per-job``: jobs are performed in the worker itself, for debugging."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resque_fork import embedded

from .harness import TITLE, Stage, title_of, until

IN_PLACE = "--no-fork-per-job"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Server]:
    """A server of the test's own, which may be killed."""
    with embedded.Server(config={"appendonly": "yes"}, directory=tmp_path / "redis") as server:
        yield server


def test_jobs_run_in_the_worker(stage: Stage) -> None:
    """The same process, from job to job; counted as ever."""
    worker = stage.idle(IN_PLACE)
    for number in range(2):
        stage.push("quick", number)
        assert stage.told("quick", by=worker)["pid"] == worker.pid
    stage.push("boom")
    assert stage.failed(1)[0]["exception"] == "ValueError"
    worker.until_idle()
    assert (stage.stat("processed"), stage.stat("failed")) == (3, 1)
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_the_title_says_what_it_processes(stage: Stage) -> None:
    """There is no child to say it."""
    stage.push("hold")
    worker = stage.work(IN_PLACE)
    stage.told("begun", by=worker)
    assert title_of(worker.pid).startswith(f"{TITLE}Processing jobs since ")
    assert title_of(worker.pid).endswith(" [hold]")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_term_without_fork(stage: Stage, number: int) -> None:
    """TermException is raised in the job, its clean-up runs, and the worker leaves with 0."""
    stage.push("clean_up", 0.1)
    worker = stage.work(IN_PLACE)
    stage.told("begun", by=worker)
    assert worker.stop(number) == 0
    stage.told("cleaned")
    assert stage.failed(1)[0]["exception"] == "Resque::TermException"
    stage.assert_left(worker)


def test_on_term_requeue(stage: Stage) -> None:
    """The job goes back to the front, as it does with a child."""
    stage.push("hold", 1)
    stage.push("hold", 2)
    worker = stage.work(IN_PLACE, "--on-term", "requeue")
    stage.told("begun", by=worker)
    assert worker.stop(signal.SIGTERM) == 0
    assert stage.queue() == [b'{"class":"hold","args":[1]}', b'{"class":"hold","args":[2]}']
    assert stage.failed() == []


def test_quit_finishes_the_job(stage: Stage) -> None:
    """As with a child."""
    stage.push("hold")
    stage.push("quick")
    worker = stage.work(IN_PLACE)
    stage.told("begun", by=worker)
    worker.send(signal.SIGQUIT)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.ended() == 0
    assert stage.failed() == []
    assert len(stage.queue()) == 1


def test_graceful_term(stage: Stage) -> None:
    """TERM acts as QUIT here too, and raises nothing."""
    stage.push("hold")
    worker = stage.work(IN_PLACE, "--graceful-term")
    stage.told("begun", by=worker)
    worker.send(signal.SIGTERM)
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.ended() == 0
    assert stage.failed() == []


@pytest.mark.parametrize("name", ["raise_base_exception", "exit_with"])
def test_nothing_that_a_job_raises_ends_the_worker(stage: Stage, name: str) -> None:
    """SystemExit and all."""
    stage.push(name, *([3] if name == "exit_with" else []))
    stage.push("quick")
    worker = stage.work(IN_PLACE)
    assert stage.told("quick", by=worker)["pid"] == worker.pid
    assert len(stage.failed(1)) == 1


def test_a_stop_while_idle(stage: Stage) -> None:
    """After a job has had the signals, the worker has them again."""
    worker = stage.idle(IN_PLACE)
    stage.push("quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    assert worker.stop() == 0
    stage.assert_left(worker)


def test_fork_hooks_do_not_run(stage: Stage) -> None:
    """Neither before_fork nor after_fork; the others do."""
    worker = stage.idle(IN_PLACE, require="hooked")
    stage.push("quick")
    worker.until_idle()
    until(lambda: stage.stat("processed") == 1)
    assert worker.stop() == 0
    told = [message["what"] for message in stage.everything_told()]
    assert "before_fork" not in told
    assert "after_fork" not in told
    assert told[0] == "before_first_fork"
    assert told[-1] == "worker_exit"


def test_heartbeats_while_a_job_runs(stage: Stage) -> None:
    """A thread sends them; the job may take as long as it likes."""
    stage.push("hold")
    worker = stage.work(IN_PLACE, "--heartbeat-interval", "0.1", "--prune-interval", "5")
    stage.told("begun", by=worker)
    stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
    until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0


def test_heartbeats_go_on_when_redis_was_away(stage: Stage, server: embedded.Server) -> None:
    """One that cannot be sent is not the last one, and leaves no traceback."""
    stage.push("hold")
    worker = stage.work(IN_PLACE, "--heartbeat-interval", "0.1", "--prune-interval", "5")
    stage.told("begun", by=worker)
    server.kill()
    time.sleep(0.3)  # three heartbeats that fail
    server.start()
    stage.redis.hdel("resque:workers:heartbeat", stage.id_of(worker))
    until(lambda: stage.redis.hexists("resque:workers:heartbeat", stage.id_of(worker)))
    stage.open_gate()
    stage.told("done", by=worker)
    assert worker.stop() == 0
    assert "Traceback" not in worker.said
    assert stage.stat("processed") == 1


def test_a_job_that_kills_its_process_is_rescued_by_others(stage: Stage) -> None:
    """Nothing isolates a job here: the worker dies with it."""
    stage.push("kill_self", 9)
    worker = stage.work(IN_PLACE)
    assert worker.ended() == -9
    stage.idle(queues="other")
    assert stage.failed(1)[0]["error"] == "Job still being processed"
