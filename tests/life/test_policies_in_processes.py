"""The page on policies does what it says, with a real worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .harness import Stage

PAGE = Path(__file__).parents[2] / "docs/policies.md"

# The lock is held for the first of the jobs that ask for it.
LOCK = """
import contextlib, os

@contextlib.contextmanager
def lock_of(account):
    if account == "broken":
        raise LookupError("there is no such account")
    if account == "crash":
        os.kill(os.getpid(), 9)
    try:
        os.mkdir(f"lock-{account}")
    except FileExistsError:
        yield
    else:
        raise LockHeld(account)
"""


@pytest.fixture
def application(stage: Stage) -> str:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(example.splitlines()) < 30
    (stage.directory / "billing.py").write_text(f"{example}\n{LOCK}")
    return "billing"


@pytest.mark.parametrize("options", [[], ["--jobs-per-fork", "3"], ["--no-fork-per-job"]])
def test_job_is_put_back(stage: Stage, application: str, options: list[str]) -> None:
    """It is performed in the end, and the failed list has nothing of it."""
    stage.push("charge", 7)
    worker = stage.work("--interval", "0", "-v", *options, require=application)
    assert worker.ended() == 0, worker.said
    assert stage.failed() == []
    assert stage.stat("processed") == 1
    assert stage.stat("failed") == 0
    line = "(Job{jobs} | charge | [7]) raised LockHeld: 7, and goes back to its queue by a policy"
    assert worker.said.count(line) == 1
    assert "done: (Job{jobs} | charge | [7])" in worker.said


def test_what_the_policy_does_not_answer(stage: Stage, application: str) -> None:
    """Another exception, and the death of its process, fail the job as ever."""
    stage.push("charge", "broken")
    stage.push("charge", "crash")
    worker = stage.work("--interval", "0", require=application)
    assert worker.ended() == 0, worker.said
    exceptions = [entry["exception"] for entry in stage.failed()]
    assert exceptions == ["LookupError", "Resque::DirtyExit"]
