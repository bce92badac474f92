"""What commonly goes wrong with a Resque, each thing looked at; nothing of this host."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ResqueError
from .checks import FAIL, Finding, looked_at
from .checks_of_delayed import look_at_delayed
from .checks_of_redis import look_at_redis
from .checks_of_schedules import look_at_schedules
from .checks_of_workers import look_at_workers
from .site import Site


def check_up(site: Site) -> Iterator[Finding]:
    """Everything that is found; if the server does not answer, that."""
    try:
        yield from look_at_redis(site)
        yield from looked_at("workers", lambda: look_at_workers(site))
        yield from looked_at("delayed jobs", lambda: look_at_delayed(site))
        yield from looked_at("schedules", lambda: look_at_schedules(site))
    except ResqueError as error:
        yield Finding("server", FAIL, str(error))
