"""`bin/python` installs what is missing, and only that."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("sh", "cat", "cksum", "ln")  # and no Python, so that nothing can be built


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with an environment that has a Python and no extras, on a PATH without Python."""
    for name in ("bin", "path", ".venv/3.11.0/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("bin/python", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (tmp_path / "path" / name).symlink_to(found)
    python = tmp_path / ".venv/3.11.0/bin/python"
    python.write_text('#!/bin/sh\necho it runs "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv/default").symlink_to("3.11.0")
    return tmp_path


def stamp(tree: Path, extras: str, text: str | None = None) -> None:
    """Say that extras have been installed, from the files as they are now unless told."""
    asked = subprocess.run(
        ["sh", "-c", "{ pwd -P; cat setup.cfg pyproject.toml; } | cksum"],
        cwd=tree, capture_output=True, text=True, check=True,
    )  # fmt: skip
    file = tree / ".venv/3.11.0" / f"stamp-{extras}"
    file.write_text(asked.stdout if text is None else text)


def python(tree: Path, extras: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": str(tree / "path"), "HOME": str(tree), "EXTRAS": extras}
    return subprocess.run(
        [tree / "bin/python", "-V"], env=env, capture_output=True, text=True, cwd=os.sep, timeout=60
    )


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        (["embedded"], "embedded"),
        (["embedded,test,check"], "embedded"),
        (["embedded,test,check"], "check,test"),
        (["embedded", "check"], "check,embedded"),
    ],
)
def test_what_is_there_is_not_installed_again(
    tree: Path, installed: list[str], wanted: str
) -> None:
    """Extras that were installed, together with others or one by one, need no installing."""
    for extras in installed:
        stamp(tree, extras)
    done = python(tree, wanted)
    assert (done.stdout, done.stderr) == ("it runs -V\n", "")


def test_hiredis_has_an_environment_of_its_own(tree: Path) -> None:
    """With the extra fast it is another one, so that what is plain stays plain."""
    stamp(tree, "embedded,fast")
    assert python(tree, "embedded,fast").returncode == 1
    (tree / ".venv/3.11.0").rename(tree / ".venv/3.11.0-fast")
    (tree / ".venv/default-fast").symlink_to("3.11.0-fast")
    assert python(tree, "embedded,fast").stdout == "it runs -V\n"
    assert python(tree, "embedded").returncode == 1


@pytest.mark.parametrize("wanted", ["check", "embedded,check", "test", "embed", "embedded,fast"])
def test_what_is_missing_is_installed(tree: Path, wanted: str) -> None:
    """One extra that is missing, or was installed for older files, is a reason to install."""
    stamp(tree, "embedded")
    stamp(tree, "test", "another stamp\n")
    done = python(tree, wanted)
    assert done.returncode == 1
    assert done.stderr == (
        "bin/python: no Python 3.11 or newer that can make virtual environments (venv, ensurepip) "
        "found: install one, or name it with PYTHON=/path/to/python\n"
    )
