"""Errors around a job are said, each kind once, and go no further."""

from __future__ import annotations

import errno

import pytest

from resque_fork.errors import RedisUnavailable, ResqueError
from resque_fork.system.shield import Shield


def test_an_error_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Another kind, or the same elsewhere, is said too."""
    shield = Shield()
    errors = [OSError(errno.EMFILE, "Too many open files")] * 2
    for error in [*errors, OSError(errno.ENOMEM, "No memory"), MemoryError(), MemoryError()]:
        with shield("sweeping"):
            raise error
    with shield("reaping"):
        raise errors[0]
    assert len(caplog.records) == 4
    assert caplog.messages[0] == (
        "There was an error in sweeping: OSError: [Errno 24] Too many open files. "
        "The worker goes on, and says this once"
    )


@pytest.mark.parametrize("error", [ResqueError("x"), RedisUnavailable("x"), KeyboardInterrupt()])
def test_what_passes(error: BaseException) -> None:
    """What ends the worker on purpose is no mishap."""
    with pytest.raises(type(error)), Shield()("sweeping"):
        raise error
