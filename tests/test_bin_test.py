"""`bin/test` runs everything twice: with hiredis, and without, as pip installs it."""

import importlib.util
import os
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

STAND_IN = """#!/bin/sh
if [ "$1" = --list ]; then cat "$LIST"; exit; fi
echo "$HIREDIS $EXTRAS $PYTHON" >>"$RUNS"
[ "$HIREDIS" != "$FAILS" ]
"""


def runs_of(tmp_path: Path, pythons: str, fails: str = "neither") -> tuple[int, list[str]]:
    """How `bin/test` ends where these Pythons are found, and what each of its runs was given."""
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin/test", tmp_path / "bin/test")
    (tmp_path / "bin/python").write_text(STAND_IN)
    (tmp_path / "bin/python").chmod(0o755)
    (tmp_path / "list").write_text(pythons)
    environment = {"LIST": str(tmp_path / "list"), "RUNS": str(tmp_path / "runs"), "FAILS": fails}
    kept = {name: value for name, value in os.environ.items() if name not in ("EXTRAS", "HIREDIS")}
    done = subprocess.run(
        [tmp_path / "bin/test"], env=kept | environment, capture_output=True, timeout=60
    )
    return done.returncode, (tmp_path / "runs").read_text().splitlines()


@pytest.mark.parametrize(
    ("pythons", "newest"), [("3.11.7 /old\n3.13.0 /new\n", "/new"), ("3.11.7 /old\n", "/old")]
)
def test_one_run_is_with_hiredis_and_one_without(tmp_path: Path, pythons: str, newest: str) -> None:
    """So it is with several Pythons, and with one."""
    assert runs_of(tmp_path, pythons) == (
        0, ["with embedded,test,fast /old", f"without embedded,test {newest}"]
    )  # fmt: skip


@pytest.mark.parametrize("fails", ["with", "without"])
def test_either_run_may_fail(tmp_path: Path, fails: str) -> None:
    """The other one is made all the same, and the end is a failure."""
    status, runs = runs_of(tmp_path, "3.11.7 /old\n3.13.0 /new\n", fails)
    assert (status, len(runs)) == (1, 2)


def test_this_run_is_what_it_says() -> None:
    """A run that is said to be without hiredis cannot import it, and one with it can."""
    found = importlib.util.find_spec("hiredis") is not None
    assert os.environ.get("HIREDIS", "with" if found else "without") == (
        "with" if found else "without"
    )


def test_the_tests_do_not_bring_hiredis() -> None:
    """Nothing but the extra fast installs it, so one without it is plain."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    assert [name for name, needs in extras.items() if "hiredis" in needs] == ["fast"]
    assert "hiredis" not in setup["options"]["install_requires"]
