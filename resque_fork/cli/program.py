"""The program: its commands by name, and how each call of it ends."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from ..errors import NO_FORK, RedisUnavailable, ResqueError, SettingsError
from ..text import printable
from ..version import __version__
from . import application, options
from .app import App

PROGRAM = "resque-fork"
INTERRUPTED, PIPE_CLOSED = 130, 141  # what a shell reports of a death by SIGINT, by SIGPIPE

# Each command: where it is, and what it does in a few words.
COMMANDS = {
    "work": ("work:work", "Run a worker."),
    "enqueue": ("enqueue:enqueue", "Queue a job, or many."),
    "list": ("workers:list_workers", "Show workers and their jobs."),
    "kill": ("workers:kill", "Kill a worker of this host."),
    "remove": ("workers:remove", "Remove a worker from Redis."),
    "queues": ("queues:queues", "Show, look into, clear or remove queues."),
    "dequeue": ("enqueue:dequeue", "Remove jobs from a queue."),
    "failed": ("failed:failed", "Show, requeue or remove failed jobs."),
    "retries": ("retries:retries", "Show, queue or remove jobs that wait for a retry."),
    "delayed": ("delayed:delayed", "Show, queue or remove jobs that wait for their time."),
    "schedule": ("schedule:schedule", "Show, run, pause, resume or remove schedules."),
    "status": ("status:status", "Show what has become of a tracked job."),
    "top": ("top:top", "Show queues and workers, refreshed every two seconds."),
    "info": ("overview:info", "Show the numbers of jobs, queues and workers."),
    "metrics": ("metrics:metrics", "Print all numbers for Prometheus."),
    "health": ("health:health", "Check whether this host has a worker that is alive."),
    "pause": ("overview:pause", "Stop all workers from taking jobs."),
    "resume": ("overview:resume", "End a pause."),
    "clock": ("clock:clock", "Move delayed jobs that are due, and keep schedules."),
    "prune": ("workers:prune", "Rescue the jobs of dead workers now."),
    "stacks": ("stacks:stacks", "Show where a running job is."),
    "config": ("config:config", "Show every setting and where it came from."),
    "redis": ("embedded:redis", "Run a Redis server in the foreground."),
    "web": ("web:web", "Serve the dashboard."),
    "doctor": ("doctor:doctor", "Check for common problems."),
}


class Program(click.Group):
    """Loads a command when it is called, and turns every end into an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if name == "work" and not hasattr(os, "fork"):
            raise ResqueError(NO_FORK)
        module, attribute = COMMANDS[name][0].split(":")
        found: click.Command = getattr(
            importlib.import_module(f".{module}", __package__), attribute
        )
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            import difflib  # a worker needs none

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if near:
                ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def named_by(self, args: Sequence[str]) -> str:
        """The name of the command that these arguments call; empty if there is none."""
        ctx = click.Context(self, resilient_parsing=True)
        rest = self.make_parser(ctx).parse_args([*args])[1]
        return rest[0] if rest else ""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # the reader has left; the rest of the output goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise click.exceptions.Exit(PIPE_CLOSED) from None

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        app = extra.setdefault("obj", App())
        extra["prog_name"] = PROGRAM
        try:
            status = super().main(args, standalone_mode=False, **extra) or 0
        except click.Abort:
            status = INTERRUPTED
        except Exception as error:  # the edge of the program: every error becomes a sentence
            status = _report(error, app)
        finally:
            app.close()
        if standalone_mode:
            sys.exit(_written(status))
        return status


def _written(status: int) -> int:
    """See that all output is written; the exit status, which is another if it cannot be."""
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError as error:
            # the interpreter would try once more, and end with a status of its own
            os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
            if fd == 1 and isinstance(error, BrokenPipeError):
                status = PIPE_CLOSED
            elif fd == 1 and status == 0:
                click.echo(f"{PROGRAM}: {error.strerror}.", err=True)
                status = 1
    return status


def _report(error: Exception, app: App) -> int:
    """Say what went wrong on stderr; returns the exit status."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if app.wants_tracebacks() and not isinstance(error, click.ClickException):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    status, sentence = _sentence(error, app)
    # a relative path is missing too if the working directory is gone
    if os.strerror(errno.ENOENT) in sentence:
        gone = application.directory_problem()
        sentence += f" {gone}" if gone not in sentence else ""
    lines = "\n".join(printable(line) for line in sentence.splitlines())
    click.echo(f"{PROGRAM}: {lines}", err=True)
    return status


def _sentence(error: Exception, app: App) -> tuple[int, str]:
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else PROGRAM
        message = re.sub(r"\((Did you mean .*\?)\)$", r"\1", error.format_message())
        stop = "" if message.endswith((".", "?")) else "."
        return error.exit_code, f"{message}{stop} See {path} --help."
    if isinstance(error, click.ClickException):
        return error.exit_code, error.format_message()
    if isinstance(error, SettingsError):
        return 2, str(error)
    if type(error) is RedisUnavailable and "does not answer" in str(error):
        return 1, f"{error} Start it, or name another with --redis or RESQUE_REDIS."
    if isinstance(error, ResqueError):
        return 1, str(error)
    if isinstance(error, UnicodeError) and "idna" in str(error):
        return 2, "The host name in the Redis URL is not valid: a part of it is empty or too long."
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return 1, f"{where}{error.strerror or error}."
    return 1, f"Unexpected {type(error).__name__}: {error}. The option -vv shows where."


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


program = Program(
    name=PROGRAM,
    help="Resque for Python: a worker forks one child per job.",
    epilog=f"Options of a command: {PROGRAM} COMMAND --help. "
    "The options above also work after the command.",
    params=[
        *options.common(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version.",
        ),
    ],
)
