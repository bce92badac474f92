"""The fixtures for the tests of applications, used as an application does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs/testing.md"
APPLICATION = """
from resque_fork import Resque, job

@job(queue="mail")
def welcome(to, template="short"): print("welcome to", to)
"""


def run(directory: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """As somebody would who has tests of an application here, and settings of their own."""
    (directory / "test_application.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=directory,
        env={**os.environ, "RESQUE_REDIS": "redis://localhost:1", "RESQUE_NAMESPACE": "theirs"},
        capture_output=True,
        text=True,
    )


def test_the_page(tmp_path: Path) -> None:
    """The first example is a test that passes as it stands."""
    [first, *_] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = run(tmp_path, first)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_each_test_has_an_empty_resque(tmp_path: Path) -> None:
    """Whatever the application calls goes there, and afterwards to where it went before."""
    done = run(
        tmp_path,
        APPLICATION
        + """
from resque_fork import default_resque
def test_one(resque):
    welcome.enqueue("ada")
    Resque().enqueue(welcome, "bob")
    assert resque.size("mail") == 2
def test_two(resque):
    assert resque.keys() == []
def test_three():
    assert str(default_resque().server) == "redis://localhost:1"
""",
    )
    assert "3 passed" in done.stdout, done.stdout


def test_what_is_not_queued(tmp_path: Path) -> None:
    """The failure says what is."""
    done = run(
        tmp_path,
        APPLICATION
        + """
def test_others(resque, assert_enqueued):
    assert_enqueued(welcome)
def test_none(resque, assert_enqueued):
    resque.enqueue_to("low", "Other", 1)
    welcome.enqueue("bob")
    assert_enqueued(welcome)
    assert_enqueued("Other")
    assert_enqueued(welcome, "bob", queue="mail")
    assert_enqueued(welcome, "ada")
def test_queue(resque, assert_enqueued):
    welcome.enqueue("ada")
    assert_enqueued(welcome, "ada", queue="low")
""",
    )
    assert "3 failed" in done.stdout, done.stdout
    told = [line[4:] for line in done.stdout.splitlines() if line.startswith("E   ")]
    assert [line.strip() for line in told] == [
        *("AssertionError: welcome is not queued. These are:", "none"),
        'AssertionError: welcome["ada"] is not queued. These are:',
        *("low: Other[1]", 'mail: welcome["bob"]'),
        *('AssertionError: welcome["ada"] is not queued on low. These are:', "none"),
    ]


@pytest.mark.parametrize("name", ["redis", "resque_fork.client.resque", "resque_fork.embedded"])
def test_it_costs_other_tests_little(tmp_path: Path, name: str) -> None:
    """Every run of pytest loads it: what it takes is imported when a test asks for it."""
    done = run(tmp_path, f"import sys\ndef test(): assert {name!r} not in sys.modules\n")
    assert "1 passed" in done.stdout, done.stdout
