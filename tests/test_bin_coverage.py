"""`bin/coverage` fails if too little of the code was run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STAND_IN = """#!/bin/sh
echo "$*" >>"$RUNS"
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


def run(tmp_path: Path, *args: str, fails: str = "nothing") -> tuple[int, list[str]]:
    """How `bin/coverage` ends if one of its steps fails, and what it has asked Python for."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin/coverage", tmp_path / "bin/coverage")
    (tmp_path / "bin/python").write_text(STAND_IN)
    (tmp_path / "bin/python").chmod(0o755)
    environment = {**os.environ, "RUNS": str(tmp_path / "runs"), "FAILS": fails}
    done = subprocess.run([tmp_path / "bin/coverage", *args], env=environment, timeout=60)
    return done.returncode, (tmp_path / "runs").read_text().splitlines()


def test_everything_is_measured_against_the_floor(tmp_path: Path) -> None:
    """What all processes have run is put together, and held to the floor of setup.cfg."""
    status, (erase, tests, combine, report) = run(tmp_path)
    assert (status, erase) == (0, "-m coverage erase")
    assert tests.startswith("-m coverage run -m pytest ")
    assert combine.startswith("-m coverage combine")
    assert report == "-m coverage report"


@pytest.mark.parametrize("fails", ["coverage combine", "coverage report"])
def test_a_floor_that_is_not_reached(tmp_path: Path, fails: str) -> None:
    """It fails if the floor is not reached, or if there is nothing to hold to it."""
    status, runs = run(tmp_path, fails=fails)
    assert status == 1
    assert fails in runs[-1]


def test_a_test_that_fails_is_for_bin_test(tmp_path: Path) -> None:
    """A test that is too slow here is still measured, and does not decide."""
    status, runs = run(tmp_path, fails="coverage run")
    assert (status, runs[-1]) == (0, "-m coverage report")


def test_some_tests_have_no_floor(tmp_path: Path) -> None:
    """Of some tests it is shown what they run, and no floor is asked of them."""
    status, runs = run(tmp_path, "tests/test_job.py")
    assert status == 0
    assert runs[1].endswith(" tests/test_job.py")
    assert runs[3] == "-m coverage report --fail-under=0"
