from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from life.harness import Stage

from resque_fork import Resque

from .nodes import Cluster, Node, Sentinels

Stages = Callable[[str], Stage]


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Stages]:
    """Makes a stage of any Redis that a URL can name; all its processes end with the test."""
    stages: list[Stage] = []

    def make(url: str) -> Stage:
        directory = tmp_path / f"stage-{len(stages)}"
        directory.mkdir()
        stages.append(Stage(directory, "redis://127.0.0.1:1"))
        stages[-1].url = url
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def node() -> Iterator[Node]:
    """A server of the test's own, on a TCP port."""
    with Node() as node:
        yield node


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    """A primary of the test's own, which it may kill."""
    with Sentinels(tmp_path) as sentinels:
        yield sentinels


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def clustered(cluster: Cluster) -> Iterator[Resque]:
    """A client of the cluster, which is empty."""
    cluster.flush()
    resque = Resque(cluster.url, namespace="{resque}")
    yield resque
    resque.close()
