"""One PostgreSQL for each test session, its database emptied before each test."""

import os
from collections.abc import Iterator

import pytest

from .postgres import INSTALL, Postgres, find_programs


@pytest.fixture(scope="session")
def server_of_session() -> Iterator[Postgres]:
    programs = find_programs()
    if programs is None:
        missing = f"NOT TESTED for want of PostgreSQL: {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with Postgres(programs) as postgres:
        yield postgres


@pytest.fixture
def postgres(server_of_session: Postgres) -> Postgres:
    """A server with an empty database."""
    server_of_session.empty()
    return server_of_session
