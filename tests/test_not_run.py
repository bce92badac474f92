"""A run that is cut off says how many of its tests did not run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from not_run import NotRun

def pytest_configure(config):
    config.pluginmanager.register(NotRun())
"""
TESTS = """
import os, signal, time

def test_first(): pass
def test_second(): {second}
def test_third(): pass
def test_fourth(): pass
"""


def output_of(tmp_path: Path, second: str, *options: str) -> str:
    """What pytest prints for four tests, of which the second does this."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_four.py").write_text(TESTS.format(second=second))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:valkey",
            *options,
            "test_four.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["one process", "xdist"])
def test_first_failure(tmp_path: Path, options: list[str]) -> None:
    """A run that ends at its first failure."""
    assert "2 of 4 did not run" in output_of(tmp_path, "assert False", "-x", *options)


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["one process", "xdist"])
def test_time_is_over(tmp_path: Path, options: list[str]) -> None:
    """A run that is stopped by --session-timeout."""
    output = output_of(tmp_path, "time.sleep(600)", "--timeout=3", "--session-timeout=1", *options)
    assert re.search("[23] of 4 did not run", output)


def test_interrupted_by_hand(tmp_path: Path) -> None:
    """Ctrl-C: the test that was running has not run either."""
    assert "3 of 4 did not run" in output_of(tmp_path, "os.kill(os.getpid(), signal.SIGINT)")


def test_whole_run_says_nothing(tmp_path: Path) -> None:
    """Failed tests have run."""
    assert "did not run" not in output_of(tmp_path, "assert False")
