"""Fixtures for the tests of applications. pytest finds them by itself; see docs/testing.md.

What they take is imported when a test asks for one: every run of pytest loads this.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client.resque import Resque
    from .embedded import Server


@pytest.fixture(scope="session")
def resque_server() -> Iterator[Server]:
    """A Redis server that ends with the tests. It takes the extra ``embedded``."""
    from .embedded import Server

    with Server() as server:
        yield server


@pytest.fixture
def resque(resque_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resque]:
    """An empty Resque, to which ``job.enqueue()`` and ``Resque()`` go as well."""
    from .client.default import set_default_resque
    from .client.resque import Resque

    monkeypatch.setenv("RESQUE_REDIS", resque_server.url)
    monkeypatch.delenv("RESQUE_NAMESPACE", raising=False)
    resque = Resque(resque_server.url, inline=False)
    resque.client.execute_command("FLUSHALL")
    set_default_resque(resque)
    yield resque
    set_default_resque(None)
    resque.close()


@pytest.fixture
def perform_queued(resque: Resque) -> Callable[..., Any]:
    """Performs what is queued, here and now; see `testing.perform_queued`."""
    from .testing import perform_queued

    return functools.partial(perform_queued, resque)


@pytest.fixture
def assert_enqueued(resque: Resque) -> Callable[..., None]:
    """Fails unless such a job is queued; see `testing.assert_enqueued`."""
    from .testing import assert_enqueued

    return functools.partial(assert_enqueued, resque)
