"""A short run of the chaos program; a long one is made by hand, with bin/chaos."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def chaos(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--jobs=200", "--kills=24", "--json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["kills"].keys() == {"parent", "child", "TERM", "QUIT", "redis"}
    assert figures["ticks"] == figures["jobs of ticks"] > 0
    assert figures["ticks made again"] == 0
    assert figures["counted"].keys() <= {"done", "failed", "later", "back", "lost"}
    ended = figures["counted"].get("done", 0) + figures["counted"].get("failed", 0)
    assert ended == figures["jobs"]
    assert (figures["slow commands"] == 0) == (figures["longest slow command, ms"] == 0)
    return figures


@pytest.mark.parametrize("jobs_per_fork", [1, 10])
def test_no_job_is_lost_and_none_runs_twice(jobs_per_fork: int) -> None:
    """Killed workers, children and servers: every job has finished or failed, once."""
    figures = chaos("--on-lost=fail", f"--jobs-per-fork={jobs_per_fork}")
    assert (figures["lost"], figures["run twice"], figures["still queued"]) == (0, 0, 0)
    assert figures["finished"] + figures["failed"] - figures["finished and failed"] == 200


@pytest.mark.parametrize("jobs_per_fork", [1, 10])
def test_no_job_is_lost_or_failed_when_they_are_requeued(jobs_per_fork: int) -> None:
    """With --on-lost=requeue every job has finished, however often its worker died."""
    figures = chaos("--on-lost=requeue", f"--jobs-per-fork={jobs_per_fork}")
    assert (figures["lost"], figures["failed"], figures["still queued"]) == (0, 0, 0)
    assert figures["finished"] == 200


@pytest.mark.parametrize("on_lost", ["fail", "requeue"])
def test_jobs_that_come_back(on_lost: str) -> None:
    """With retries and delayed jobs among them nothing is lost either, and none is tried more
    often than it may be, but for those whose worker dies after the job and before the script."""
    figures = chaos(f"--on-lost={on_lost}", "--retries")
    assert (figures["lost"], figures["still queued"], figures["tracked"]) == (0, 0, 100)
    assert figures["tried too often"] <= figures["kills"]["parent"]
    if on_lost == "fail":
        assert figures["run twice"] == 0
