"""What the pages show works as written: code, command lines, and what they print.

The blocks of a page are taken in order, in one directory and with one Redis:

- ``python``: written to the file that its first line names, run, and loaded by a worker.
- ``console``: each command is run; what the page prints beneath it must come out.
- ``sh``: our commands and options must exist; nothing is run.
- ``toml``: ``resque-fork schedule check`` must find nothing wrong.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from pages import PAGES, ROOT, Block, all_blocks
from transcript import commands_of, in_terminal, is_as_printed

from resque_fork.cli import program

TIMEOUT = 60  # seconds for a program

# Other languages, and why nothing runs them here.
NOT_RUN = {
    "text": "what is printed, and the commands for Redis that tests/test_docs.py gives to a server",
    "ini": "for systemd and supervisord, whose stops tests/test_deploying.py does",
    "yaml": "for Docker Compose; tests/test_conf.py reads it",
    "py": "a module of a project, which tests/databases run with its framework",
    "{eval-rst}": "for Sphinx, which bin/docs runs",
}

# Blocks that are run elsewhere, by the beginning of their code.
RUN_ELSEWHERE = {
    "$ python manage.py": "tests/databases/test_django_app.py runs manage.py in a project",
    "$ python3 -m venv": "tests/test_install.py runs it in a new virtual environment",
}


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    """In which `resque-fork` and `python` are ours, and Redis is the tests'."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, arguments in (("resque-fork", "-m resque_fork"), ("python", "-W error")):
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        command.chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RESQUE_REDIS": redis_url}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if all_blocks(page)], ids=lambda page: page.name
)
def test_page_works_as_written(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """All that the page shows, in order."""
    directory = tmp_path / "page"
    directory.mkdir()
    for block in all_blocks(page):
        if any(block.code.startswith(beginning) for beginning in RUN_ELSEWHERE):
            continue
        if block.language == "python":
            run_python(block, directory, environment, page.read_text("utf-8"))
        elif block.language == "console":
            run_console(block, directory, environment)
        elif block.language == "sh":
            check_commands(block)
        elif block.language == "toml":
            (directory / "shown.toml").write_text(block.code)
            run("resque-fork schedule check shown.toml", directory, environment)
        else:
            assert block.language in NOT_RUN, "say in NOT_RUN why nothing runs it"


def run(command: str, directory: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"


def run_python(block: Block, directory: Path, environment: Mapping[str, str], page: str) -> None:
    """As a program, unless the page says when; and as the application of a worker."""
    name = block.name or "shown.py"
    (directory / name).write_text(block.code)
    if f"$ python {name}\n" not in page:
        run(f"python {name}", directory, environment)
    if "@job(" in block.code or "(Job" in block.code:
        module = name.removesuffix(".py")
        run(
            f"resque-fork work --queues=nothing --interval=0 --require={module}",
            directory,
            environment,
        )


def run_console(block: Block, directory: Path, environment: Mapping[str, str]) -> None:
    """Each command must end well, and print what stands beneath it if anything does."""
    for command, printed in commands_of(block.code):
        with in_terminal(command, directory, environment) as (process, lines):
            shown = "".join(lines)
        assert process.returncode == 0, f"$ {command}\n{shown}"
        assert not printed or is_as_printed(printed, shown), f"$ {command}\n{shown}"


def check_commands(block: Block) -> None:
    """Our commands and options exist, and arguments are such as they take."""
    for line in block.code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_operator, words in itertools.groupby(
            lexer, lambda word: set(word) <= set("|&;()<>")
        ):
            name, *arguments = words
            if not is_operator and name == "resque-fork":
                parse(program, arguments)


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Raises UsageError for what the command does not take."""
    context = command.make_context(command.name, words, parent)
    rest = [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        _, inner, rest = command.resolve_command(context, rest)
        assert inner is not None
        parse(inner, rest, context)
