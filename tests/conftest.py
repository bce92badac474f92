"""One real Redis server for each test session, emptied before each test."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from life.harness import Stage
from not_run import NotRun
from redis import Redis
from told import Told

from resque_fork import Resque, embedded
from resque_fork.job.registry import registry

# A machine that is busy is no reason to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell that runs us in the background has Ctrl-C ignored, also in the programs that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


DOCS = Path(__file__).resolve().parent.parent / "docs"

# What `bin/test fast` runs: tests that start a Redis server, and no workers.
FAST = (
    *("wire", "system", "store", "metrics", "job", "failure", "policies", "client", "child"),
    "worker",
)
SLOW = ("test_worker.py", "test_changes.py", "test_worker_store_fit.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests that start no workers")
    parser.addoption(
        "--pictures", action="store_true", help="make the pictures of the documentation anew"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, folders of tests that start workers are left out."""
    if not config.getoption("--fast"):
        return None
    path = collection_path.relative_to(Path(__file__).parent)
    return (path.parts != () and (path.parts[0] not in FAST or path.name in SLOW)) or None


def pytest_configure(config: pytest.Config) -> None:
    """A run that is cut off says so."""
    config.pluginmanager.register(NotRun())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have measured (`record_property`), also in other processes."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.user_properties and report.when == "call":
            figures = ", ".join(f"{name}: {value}" for name, value in report.user_properties)
            terminalreporter.write_line(f"{report.nodeid}: {figures}")


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where pictures of the documentation go: to docs/ with --pictures."""
    return DOCS if request.config.getoption("--pictures") else tmp_path


@pytest.fixture(scope="session")
def server() -> Iterator[embedded.Server]:
    """The server of this test process. A test that stops or configures one starts its own."""
    with embedded.Server() as server:
        yield server


@pytest.fixture
def redis_url(server: embedded.Server) -> str:
    """The address of the server, which is empty."""
    with Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def stage(tmp_path: Path, redis_url: str) -> Iterator[Stage]:
    """A directory and an empty Redis; ends every process that the test has started."""
    stage = Stage(tmp_path, redis_url)
    try:
        yield stage
    finally:
        stage.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of the server, which is empty. Keys and values are bytes."""
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    """A Resque on the server, which is empty."""
    resque = Resque(redis_url)
    yield resque
    resque.close()


@pytest.fixture
def own_jobs() -> Iterator[None]:
    """What a test declares as a job is forgotten after it."""
    before = set(registry.names())
    yield
    for name in set(registry.names()) - before:
        registry.forget(name)


@pytest.fixture
def told() -> list[Any]:
    """What the jobs and hooks of the test tell (`Told`), in order."""
    Told.log = []
    return Told.log
