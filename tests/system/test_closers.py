"""Connections that processes must not share are closed before a fork."""

import pytest

from resque_fork.errors import HookError
from resque_fork.system.closers import Closers


def test_closers(caplog: pytest.LogCaptureFixture) -> None:
    """What closes connections is called once before a fork, however often it was added, and
    though another one raises."""

    told = []

    def broken() -> None:
        raise OSError("gone")

    async def idle() -> None: ...

    def close() -> None:
        told.append("closed")

    closers = Closers()
    closers.add(broken)
    closers.add(close)
    closers.add(close)
    closers.run()
    assert told == ["closed"]
    assert caplog.messages == ["A connection could not be closed before a fork: OSError('gone')"]
    with pytest.raises(HookError, match=r"idle cannot be called before a fork: it is async"):
        closers.add(idle)
