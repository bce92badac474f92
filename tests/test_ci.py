"""Continuous integration and the hooks of pre-commit run the repository's own commands."""

import os
import re
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ".github/workflows/ci.yml"
HOOKS = ".pre-commit-config.yaml"


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pythons_of_the_package() -> list[str]:
    """The Pythons that the package is said to be for, oldest first."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)


def commands_in(name: str) -> set[str]:
    """The programs of this repository that a file of YAML runs."""
    lines = re.findall(r"^[ -]*(?:run|entry): (.+)$", text_of(name), re.MULTILINE)
    return {command for line in lines for command in re.findall(r"(?<![\w./)])bin/[\w-]+", line)}


def test_every_python_of_the_package_is_tested() -> None:
    """The Pythons that all tests are run on are those that setup.cfg names, in its order."""
    (matrix,) = re.findall(r"^ +python: \[(.+)\]$", text_of(WORKFLOW), re.MULTILINE)
    assert re.findall(r'"([\d.]+)"', matrix) == pythons_of_the_package()


def test_no_other_python_is_named() -> None:
    """Every Python that a job names is one that the package is for."""
    named = re.findall(r'(?:python-version: "|python(?=3))([\d.]+)', text_of(WORKFLOW))
    assert set(named) - set(pythons_of_the_package()) == set()


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        (WORKFLOW, {"bin/check", "bin/coverage", "bin/test"}),
        (HOOKS, {"bin/python"}),
    ],
)
def test_the_commands_are_ours(name: str, commands: set[str]) -> None:
    """What is run there is what a developer runs, and it is there to be run."""
    assert commands_in(name) == commands
    for command in commands:
        assert os.access(ROOT / command, os.X_OK), command


def test_hooks_run_what_bin_check_runs() -> None:
    """A commit is held to the same format, lint and types as `bin/check`."""
    pattern = r"(ruff format|ruff check|mypy|pytest)"
    hooks = re.findall(rf"entry: bin/python -m {pattern}", text_of(HOOKS))
    checks = re.findall(rf"^run {pattern}", text_of("bin/check"), re.MULTILINE)
    assert hooks == [check for check in checks if check != "pytest"]
    assert len(hooks) == 3
