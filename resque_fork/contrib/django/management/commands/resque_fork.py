"""``manage.py resque_fork``: the whole command line, for the jobs of a Django project."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .....cli import main, program
from .....cli.app import App

JOBS = ("resque_fork.contrib.django",)


class Command(BaseCommand):
    """Hands all that follows its name to `resque-fork`."""

    help = "Calls resque-fork with the settings and jobs of this project."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """As from a shell: this process becomes the worker, or the listing."""
        main(_without_options_of_django(argv[2:]), preloaded=JOBS)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        main(["--help"])

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("args", nargs=argparse.REMAINDER)

    def handle(self, *args: str, **options: Any) -> None:
        """As by ``call_command("resque_fork", "info")``."""
        status = program.main(args, standalone_mode=False, obj=App(preloaded=JOBS))
        if status:
            raise CommandError(f"resque-fork ended with status {status}.", returncode=status)


def _without_options_of_django(args: Sequence[str]) -> list[str]:
    """``manage.py`` has heeded these two, wherever they stand."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    end = args.index("--") if "--" in args else len(args)
    return [*parser.parse_known_args(args[:end])[1], *args[end:]]
