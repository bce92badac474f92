"""What the tests of the client share: a job, and a name for it."""

import uuid
from collections.abc import Iterator

import pytest

from resque_fork.job.registry import registry


@pytest.fixture
def name() -> Iterator[str]:
    """A wire name of the test's own, forgotten afterwards."""
    name = f"job_{uuid.uuid4().hex}"
    yield name
    registry.forget(name)


def greet(name: str, greeting: str = "Hello", *more: str) -> None:
    """A job with a default in the middle."""
