"""The functions that a job enters, as a developer counts them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.doors import CEILINGS, usual
from bench.entered import Entered

ROOT = Path(__file__).parent.parent

SOURCE = """
def generator():
    yield 1
    yield 2

class Class:
    def method(self):
        return [(lambda: x)() for x in generator()]
"""


def doors(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "doors", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """What is printed of a real worker's jobs, and what is written for machines."""
    file = tmp_path_factory.mktemp("doors") / "doors.json"
    done = doors("--enqueueing", "--json", file)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def entered(found: Any, who: str) -> set[tuple[str, str]]:
    return {
        (file, name)
        for file, functions in found["files"].items()
        for name, users in functions.items()
        if who in users
    }


def test_each_process_is_seen(counted: tuple[str, Any]) -> None:
    """What runs in the client, the parent or the child is found there, and only there."""
    names = {who: {name for _, name in entered(counted[1], who)} for who in CEILINGS}
    for own, who in (
        ("Resque.enqueue", "enqueueing"),
        ("Worker.work_one_job", "parent"),
        ("perform", "child"),
    ):
        assert [other for other in names if own in names[other]] == [who]


def test_sums_are_those_of_the_lists(counted: tuple[str, Any]) -> None:
    """Each sum counts the functions that are listed, and their files; both are printed."""
    said, found = counted
    parent, child, client = (entered(found, who) for who in ("parent", "child", "enqueueing"))
    lists = {
        "parent": parent,
        "child": child,
        "parent and child": parent | child,
        "enqueueing": client,
        "with enqueueing": parent | child | client,
    }
    assert found["sums"] == {
        what: {"functions": len(functions), "files": len({file for file, _ in functions})}
        for what, functions in lists.items()
    }
    for what, functions in lists.items():
        assert f"\n{what}: {len(functions)} functions in " in said
    for file, functions in found["files"].items():
        assert f"{file}\n" in said
        assert all(name in said for name in functions)


def test_a_job_enters_no_more_than_the_ceilings(counted: tuple[str, Any]) -> None:
    """More functions or files on the way of a job are added on purpose, or not at all."""
    sums = counted[1]["sums"]
    assert sums.keys() == CEILINGS.keys()
    for what, ceiling in CEILINGS.items():
        assert sums[what]["functions"] <= ceiling.functions, what
        assert sums[what]["files"] <= ceiling.files, what


def test_without_a_child_nothing_is_counted() -> None:
    """Jobs that run in the worker itself have no child to look at, and the error says so."""
    done = doors("-o", "--no-fork-per-job")
    assert done.returncode == 1
    assert done.stderr == "Error: No job was observed in the child\n"


def test_comprehensions_are_part_of_their_function() -> None:
    """Methods, lambdas and generators count once each, comprehensions never."""
    space: dict[str, Any] = {}
    exec(compile(SOURCE, "/package/folder/file.py", "exec"), space)
    found = Entered("/package/")
    sys.setprofile(found)
    space["Class"]().method()
    sys.setprofile(None)
    names = {name.rpartition(".")[2] for file, name in found.take() if file == "folder/file.py"}
    assert names == {"method", "generator", "<lambda>"}
    assert found.take() == []


def test_what_few_jobs_enter_is_named_apart() -> None:
    """A heartbeat that is due during one of three jobs belongs to none of them."""
    work, beat = ("worker.py", "work"), ("worker.py", "heartbeat")
    assert usual([[work], [beat, work], [work]]) == ([work], {beat: 1})
