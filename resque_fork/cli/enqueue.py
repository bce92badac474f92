"""``enqueue`` and ``dequeue``: jobs in, jobs out."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import click

from ..errors import ArgumentsError, NoClassError, ResqueError
from ..ops.how_far import of_changes
from ..ops.rows import readable
from ..text import counted, duration
from ..wire.job import Payload
from .app import App, complete_queue, pass_app
from .command import TakesArguments, command
from .how_far import saying_how_far
from .options import Seconds
from .output import note, progress, say
from .queues import refuse_unknown


def _named(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if ctx.resilient_parsing:  # somebody is still typing
        return value
    if not value.strip():
        raise NoClassError()
    if not _is_utf8(value):
        raise NoClassError(f"The class {value} is not UTF-8.")
    return value


def _is_utf8(text: str) -> bool:
    """Whether it was given so: other bytes come as surrogates."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


class When(click.ParamType[datetime.datetime]):
    """A time with its zone, such as 2027-01-31T09:00:00+01:00."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime.datetime:
        try:
            when = datetime.datetime.fromisoformat(str(value))
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            self.fail(
                f"{value!r} is not a time with its zone, such as 2027-01-31T09:00:00+01:00.",
                param,
                ctx,
            )
        return when


queue_argument = click.argument("queue", shell_complete=complete_queue)
class_argument = click.argument("class_name", metavar="CLASS", callback=_named)
rest = click.argument("args", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)


@command(cls=TakesArguments)
@queue_argument
@class_argument
@rest
@click.option("--stdin", "from_stdin", is_flag=True, help="Read one JSON array of args per line.")
@click.option(
    "--in",
    "delay",
    metavar="TIME",
    type=Seconds("a time"),
    help="Queue it after this time: 90, 10m.",
)
@click.option(
    "--at",
    "when",
    metavar="TIME",
    type=When(),
    help="Queue it at this time: 2027-01-31T09:00:00+01:00.",
)
@pass_app
def enqueue(
    app: App,
    queue: str,
    class_name: str,
    args: tuple[str, ...],
    from_stdin: bool,
    delay: float | None,
    when: datetime.datetime | None,
) -> None:
    """Queue a job for the workers that know CLASS.

    An ARG that is not JSON is plain text: 7, '{"id": 7}' and ada@example.com are
    all valid. To pass a number as text, write '"7"'. A word that begins with a
    dash is an ARG, unless it is an option of this command; after -- every word is.

    With --stdin each line has the arguments of one job, such as [7, "ada"].
    """
    if from_stdin and args:
        raise click.UsageError("Give arguments either here or with --stdin.")
    if (from_stdin and (delay is not None or when is not None)) or (delay is not None and when):
        raise click.UsageError("Give only one of --in, --at and --stdin.")
    if from_stdin:
        _enqueue_lines(app, queue, class_name)
        return
    if delay is not None:
        app.resque.enqueue_in_to(queue, delay, class_name, *_arguments(class_name, args))
        say(f"{class_name} goes to {queue} in {duration(delay)}.")
        return
    if when is not None:
        app.resque.enqueue_at_to(queue, when, class_name, *_arguments(class_name, args))
        say(f"{class_name} goes to {queue} at {when.isoformat()}.")
        return
    app.resque.enqueue_to(queue, class_name, *_arguments(class_name, args))
    say(f"Queued {class_name} on {queue}.")


@command(cls=TakesArguments)
@queue_argument
@class_argument
@rest
@pass_app
def dequeue(app: App, queue: str, class_name: str, args: tuple[str, ...]) -> None:
    """Remove the jobs of CLASS from a queue: those with these ARGs, or all if none are given.

    An ARG that is not JSON is plain text, as for enqueue.
    """
    wanted = _arguments(class_name, args)
    jobs = app.resque.size(queue)
    if not jobs:
        refuse_unknown(app, queue)
    with saying_how_far(of_changes("job", "removed")), progress("Looking", jobs) as update:
        removed = app.resque.dequeue(class_name, *wanted, queue=queue, progress=update)
    say(f"Removed {counted(removed, 'job')} from {queue}.")


def _arguments(class_name: str, texts: Iterable[str]) -> list[Any]:
    """Each text as JSON, or else as itself. Raises ArgumentsError for what is nearly JSON."""
    found = []
    for position, text in enumerate(texts, 1):
        if not _is_utf8(text):
            raise ArgumentsError(f"{class_name}: argument {position} is not UTF-8.")
        try:
            found.append(_from_json(text))
        except json.JSONDecodeError:
            if text.lstrip().startswith(("{", "[", '"')):
                note(f"{readable(text)} is not JSON, so it is passed as text.")
            found.append(text)
        except ValueError as problem:
            hint = f"; as text it is written '{json.dumps(text)}'" if len(text) <= 50 else ""
            raise ArgumentsError(f"{class_name}: argument {position} {problem}{hint}.") from None
    return found


def _from_json(text: str) -> Any:
    words: list[str] = []
    try:
        value = json.loads(text, parse_constant=words.append)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # all that is left
        raise ValueError("has a number of too many digits") from None
    if words:  # and not sooner: NaNcy is a name
        raise ValueError(f"has {words[0]}, which JSON cannot express")
    return value


# --- in bulk


def _enqueue_lines(app: App, queue: str, class_name: str) -> None:
    lines = Lines(class_name, sys.stdin.buffer)
    done = 0

    def words(error: BaseException) -> str:
        if isinstance(error, ResqueError):
            return f"{counted(getattr(error, 'enqueued', 0), 'job')} had been queued."
        return f"at least {counted(done, 'job')} had been queued."  # a batch may be on its way

    with saying_how_far(words), progress("Queueing") as update:

        def note_batch(size: int) -> None:
            nonlocal done
            done += size
            update(size)

        queued = app.resque.enqueue_many(class_name, lines, queue=queue, progress=note_batch)
    if lines.problem:
        raise ResqueError(f"{lines.problem} Before it, {counted(queued, 'job')} had been queued.")
    say(f"Queued {counted(queued, 'job')} on {queue}.")


class Lines:
    """The arguments on each line; ends before the first bad line, of which `problem` tells."""

    def __init__(self, class_name: str, lines: Iterable[bytes]) -> None:
        self.problem = ""
        self._class_name = class_name
        self._lines = lines

    def __iter__(self) -> Iterator[list[Any]]:
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            try:
                yield self._read(line)
            except ValueError as error:
                self.problem = (
                    f"Line {number} {error}. Neither it nor the lines after it were queued."
                )
                return
            except ArgumentsError as error:
                self.problem = f"Line {number} was not queued, nor were the lines after it: {error}"
                return

    def _read(self, line: bytes) -> list[Any]:
        try:
            args = _from_json(line.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON ({error.msg}, at character {error.pos + 1})") from None
        if not isinstance(args, list):
            raise ValueError('is not a JSON array of arguments, such as [7, "ada"]')
        Payload.of(self._class_name, args)  # raises where the line can still be named
        return args
