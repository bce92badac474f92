"""What an application learns of a job that it has queued."""

from __future__ import annotations

import pytest

from resque_fork import Receipt, Status


def receipt(*states: str) -> Receipt:
    """One whose job is in each of these states, one look after the other."""
    left = list(states)

    def look(job_id: str) -> Status:
        return Status(job_id, left.pop(0))

    return Receipt("7", look, kill=look)


def test_wait() -> None:
    """It waits until the job has ended."""
    status = receipt("queued", "working", "delayed", "completed").wait(60)
    assert (status.id, status.state) == ("7", "completed")


def test_nothing_known() -> None:
    """It does not wait for a job of which nothing is known any more."""
    assert not receipt("working", "unknown").wait()


def test_timeout() -> None:
    """Who does not want to wait any longer is told what is known."""
    with pytest.raises(TimeoutError) as raised:
        receipt("working", "working").wait(0)
    assert str(raised.value) == "The job 7 is working: it has not ended in 0 seconds."


def test_shown() -> None:
    """A receipt is true, and shows its id."""
    assert receipt()
    assert repr(receipt()) == "<Receipt 7>"
