"""What operators ask of a worker on another host, by Redis alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from resque_fork import Resque
from resque_fork.errors import ResqueError
from resque_fork.store.requests import Requests

from .harness import TITLE, Running, Stage, until

BUSY = "Asking {} on its host; a busy worker takes some seconds to answer.\n"


def moved_away(stage: Stage, worker: Running) -> str:
    """Have the worker seem to run on another host; returns its id."""
    worker_id = stage.id_of(worker)
    stage.redis.hset(f"resque:fork:{worker_id}", "boot", "another")
    return worker_id


@pytest.fixture
def requests(stage: Stage) -> Requests:
    resque = Resque(stage.url)
    return Requests(resque.client, resque.key_names)


def said(stage: Stage, *command: str, status: int = 0) -> tuple[str, str]:
    """What a command prints: on stdout and on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "resque_fork", "--redis", stage.url, *command],
        cwd=stage.directory,
        env=stage.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_stacks_of_a_job_elsewhere(stage: Stage) -> None:
    """A busy worker says where its job is; the job goes on."""
    worker, child = stage.holding()
    worker_id = moved_away(stage, worker)
    printed, noted = said(stage, "stacks", worker_id, "--json")
    [job] = json.loads(printed)
    assert job["child"] == child
    assert any("in wait_at_gate" in line for line in job["stack"])
    assert noted == BUSY.format(worker_id)
    stage.open_gate()
    assert worker.until_idle().stop() == 0
    assert stage.failed() == []


def test_an_idle_worker_answers_at_once(stage: Stage) -> None:
    """It is told of the request, and has no job to show."""
    worker = stage.idle("--interval=600")
    printed, noted = said(stage, "stacks", worker_id := moved_away(stage, worker))
    assert (printed, noted.endswith(f"{worker_id} has no job at the moment.\n")) == ("", True)
    assert worker.stop() == 0


def test_kill_elsewhere_stops_the_worker(stage: Stage) -> None:
    """As TERM does: the job fails, and the worker leaves in good order."""
    worker, _ = stage.holding()
    printed, _ = said(stage, "kill", worker_id := moved_away(stage, worker))
    assert printed == f"{worker_id} runs on another host. It stops now, and its job too.\n"
    assert worker.ended() == 0
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]
    assert "Asked for shutdown_now" in worker.said


def test_actions(stage: Stage, requests: Requests) -> None:
    """A worker can be paused, and go on; its job can be stopped; it can be told to leave."""
    worker = stage.idle("--interval=600")
    worker_id = stage.id_of(worker)
    requests.ask(worker_id, "pause_processing")
    worker.until_title("Paused")
    requests.ask(worker_id, "unpause_processing")
    stage.push("hold")
    stage.told("begun", by=worker)
    requests.ask(worker_id, "kill_child")
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]
    worker.until_idle()
    requests.ask(worker_id, "shutdown")
    assert worker.ended() == 0
    assert stage.redis.keys("resque:fork:ask:*") == []


def test_what_it_does_not_do(stage: Stage, requests: Requests) -> None:
    """Only what is listed is done; garbage is ignored, and harms nothing."""
    worker = stage.idle()
    worker_id = stage.id_of(worker)
    with pytest.raises(ResqueError) as caught:
        requests.ask(worker_id, "close")
    assert str(caught.value) == f"{worker_id} has no action 'close'."
    key = f"resque:fork:ask:{worker_id}"
    for garbage in (b"\xff", b"[]", b"{}", b'{"action":"shutdown","token":"../x"}', b"1" * 100_000):
        stage.redis.rpush(key, garbage)
    until(lambda: worker.said.count("A request that cannot be read is ignored") == 5)
    stage.redis.set(key, "no list")
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.title.startswith(TITLE)
    assert worker.stop() == 0


def test_nobody_answers(stage: Stage, requests: Requests) -> None:
    """A worker that is gone: a sentence says what may be, and the request expires."""
    with pytest.raises(ResqueError) as caught:
        requests.ask("gone:1:mail", "stacks", patience=1)
    assert str(caught.value) == (
        "gone:1:mail has not answered within 1 seconds. It may be gone, or be of a version that "
        "takes no requests: see its heartbeat in resque-fork list."
    )
    assert 0 < stage.redis.ttl("resque:fork:ask:gone:1:mail") <= 1 or not stage.redis.exists(
        "resque:fork:ask:gone:1:mail"
    )
