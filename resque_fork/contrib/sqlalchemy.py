"""SQLAlchemy's engines keep connections, which processes must not share.

from resque_fork.contrib.sqlalchemy import dispose_before_fork

engine = create_engine("postgresql+psycopg:///shop")
dispose_before_fork(engine)
"""

from __future__ import annotations

from typing import Protocol

from ..callables import does_nothing_when_called
from ..errors import HookError
from ..system.closers import closers

ASYNC = (
    "dispose_before_fork cannot dispose of an AsyncEngine, whose connections belong to an event "
    "loop. Create the engine with poolclass=NullPool, or end each coroutine that uses it with "
    "await engine.dispose()."
)


class Engine(Protocol):
    """What is needed of an Engine of SQLAlchemy's."""

    def dispose(self) -> object: ...


def dispose_before_fork(*engines: Engine) -> None:
    """Have the connections in the pools of these engines closed before a worker forks.

    So each worker and each child opens its own when it needs one, and keeps it:
    with ``--jobs-per-fork`` from job to job. Connections and sessions that are in
    use stay open: close them where they are used. Does nothing where no worker runs.

    Raises HookError for an AsyncEngine: ``await engine.dispose()`` where it was used,
    in the event loop that its connections belong to.
    """
    for engine in engines:
        if does_nothing_when_called(engine.dispose):
            raise HookError(ASYNC)
        closers.add(engine.dispose)
