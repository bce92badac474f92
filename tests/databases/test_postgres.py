"""The server of these tests, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .postgres import INSTALL, Postgres, find_programs

HERE = Path(__file__).resolve().parent


def test_every_test_has_an_empty_database(postgres: Postgres) -> None:
    """What one has left behind, another does not find."""
    with postgres.connect() as connection:
        connection.execute("CREATE TABLE left_behind ()")
    postgres.empty()
    assert postgres.rows("SELECT to_regclass('left_behind')") == [(None,)]


def test_debians_programs_are_found(tmp_path: Path) -> None:
    """They are not on the PATH; of several versions it is the newest."""
    for version in ("9.6", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    assert find_programs(path="", debian=tmp_path) == tmp_path / "17" / "bin"
    assert find_programs(path="", debian=tmp_path / "nowhere") is None


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_a_server_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, status: int
) -> None:
    """A test that needs one is skipped and says what to install; for a CI it has failed."""
    (tmp_path / "conftest.py").write_text(
        "from databases import conftest\n"
        "from databases.conftest import *\n"
        "conftest.find_programs = lambda: None\n"
    )
    (tmp_path / "test_it.py").write_text("def test_it(postgres): ...\n")
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == status, done.stdout
    assert f"NOT TESTED for want of PostgreSQL: {INSTALL}" in done.stdout
    assert ("1 skipped" if status == 0 else "1 error") in done.stdout
