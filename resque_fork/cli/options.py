"""Options of the command line, made from the table of settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from .. import settings
from ..settings import BOOLEAN, NAMES, SIZE
from ..text import parse_seconds, shown_size
from .app import App, complete_queue

Setting = dataclasses.Field[Any]
Decorator = Callable[[Any], Any]
T = TypeVar("T")

PAGE = 1000  # rows that are read at once


def of_group(group: str) -> list[click.Option]:
    """The options of one group of settings."""
    return [_option(setting) for setting in settings.table() if setting.metadata["group"] == group]


def of_settings(*names: str) -> list[click.Option]:
    """The options of a few settings."""
    return [_option(setting) for setting in settings.table() if setting.name in names]


def common(*, hidden: bool = False, short: bool = True) -> list[click.Option]:
    """The options of the program itself; without `short` only those that begin with two dashes."""
    config = click.Option(
        ["--config"],
        metavar="FILE",
        type=click.Path(dir_okay=False),
        envvar="RESQUE_CONFIG",
        expose_value=False,
        callback=_note_config,
        help="Read settings from this TOML file.  [RESQUE_CONFIG]",
    )
    options = [*of_group("common"), config]
    for option in options:
        option.hidden = hidden
        if not short:
            option.opts = [name for name in option.opts if name.startswith("--")]
    return options


class Seconds(click.ParamType[float]):
    """Seconds, or with a unit: 90, 10m, 2h, 3d. `name` is what they are."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            return parse_seconds(value)
        except ValueError:
            self.fail(f"{value!r} is not {self.name} such as 90, 10m, 2h or 3d.", param, ctx)


def json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_note_json,
        help="Print one JSON document.",
    )


def all_of(*decorators: Decorator) -> Decorator:
    """Decorator: all of these, which help shows in this order."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def window(start: str, of: str = "jobs") -> Decorator:
    """Decorator: ``--start``, whose help is given, and ``--count``, of what is listed.

    With --json the count is None unless it was given: that is for programs, which want all.
    """
    return all_of(
        click.option("--start", type=click.IntRange(min=0), default=0, metavar="N", help=start),
        click.option(
            "--count",
            type=click.IntRange(min=1),
            default=20,
            show_default=True,
            metavar="N",
            callback=_all_for_programs,
            help=f"Number of {of} to show; with --json the default is all.",
        ),
    )


def _all_for_programs(ctx: click.Context, param: click.Parameter, value: int) -> int | None:
    by_default = ctx.get_parameter_source(str(param.name)) is ParameterSource.DEFAULT
    return None if by_default and ctx.ensure_object(App).json else value


def paged(read: Callable[[int, int], Sequence[T]], start: int, count: int | None) -> Iterator[T]:
    """What `read` has from `start` on: so many, or if `count` is None all, page by page."""
    if count is not None:
        yield from read(start, count)
        return
    while found := read(start, PAGE):
        yield from found
        start += len(found)


def check_selection(
    jobs: str,
    named_by: str,
    chosen: Sequence[object],
    everything: bool,
    which: Mapping[str, object],
) -> None:
    """Raises UsageError unless it is clear which jobs are meant."""
    narrowed = any(value is not None for value in which.values())
    ctx = click.get_current_context()
    if not chosen and not everything and not narrowed:
        raise click.UsageError(
            f"Say which {jobs}: by {named_by}, with --all, --queue NAME or --class NAME.", ctx
        )
    if chosen and (everything or narrowed):
        raise click.UsageError(f"Name {jobs} by {named_by} or by what they share, not both.", ctx)


def refuse_filters(ctx: click.Context) -> None:
    """What narrows the listing does not narrow a command after it, so it must not seem to."""
    for param in ctx.command.params:
        source = ctx.get_parameter_source(str(param.name))
        if param.expose_value and source is ParameterSource.COMMANDLINE:
            after = f"{param.opts[0]} belongs after {ctx.invoked_subcommand}."
            raise click.UsageError(after, ctx)


def shown(setting: Setting, value: Any) -> str:
    """A setting's value as people write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    if setting.metadata["kind"] is SIZE:
        return shown_size(value).removesuffix(" bytes")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _option(setting: Setting) -> click.Option:
    kind = setting.metadata["kind"]
    flag = settings.flag(setting)
    how: dict[str, Any] = {"metavar": kind.metavar, "type": str}
    names = [*setting.metadata["flags"], flag]
    if setting.name == "verbose":
        how = {"count": True, "default": 0}
    elif kind is BOOLEAN:
        names = [f"{flag}/--no-{flag.removeprefix('--')}"]
        how = {"is_flag": True}
    elif kind is NAMES:
        how["multiple"] = True
    if setting.name != "verbose":
        how["default"] = None
    if setting.name == "queues":
        how["shell_complete"] = complete_queue
    elif kind.choices:
        how["shell_complete"] = _complete_choice(kind.choices)
    return click.Option(
        [*names, setting.name], expose_value=False, callback=_note, help=_help(setting), **how
    )


def _help(setting: Setting) -> str:
    default = shown(setting, setting.default)
    notes = [", ".join(settings.variables(setting))]
    if default and setting.name != "verbose":
        notes.append(f"default: {default}")
    return f"{setting.metadata['help']}  [{'; '.join(notes)}]"


def _note(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep what was given. Options may stand before and after the command: -v adds up."""
    ctx.ensure_object(App).uses.add(str(param.name))
    if value is None or value == () or (param.name == "verbose" and not value):
        return
    app = ctx.ensure_object(App)
    if param.name == "verbose":
        value += app.flags.get("verbose", 0)
    app.flags[str(param.name)] = value


def _note_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.ensure_object(App).config = Path(value)


def _note_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).json = True


def _complete_choice(choices: tuple[str, ...]) -> Any:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from click.shell_completion import CompletionItem  # a worker needs none

        return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]

    return complete
