"""A dashboard in a server of its own, which may do everything."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from resque_fork import Resque
from resque_fork.web import ALL, dashboard

from .served import Served


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve an ASGI application while the test runs."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(Served(app))


@pytest.fixture
def served(resque: Resque, serve: Callable[..., Served]) -> Served:
    """The dashboard of the test's Redis."""
    return serve(dashboard(resque, access=lambda request: (ALL, "ada")))
