"""The shapes that commands come in, beside click's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import click

from . import options
from .app import App


class _Placed(click.Command):
    """Takes `more` options too. Its errors name its own help, which click leaves out of some."""

    more: ClassVar[Sequence[click.Parameter]] = ()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own, all_own = self.params, super().get_params(ctx)
        return [*own, *self.more, *all_own[len(own) :]]  # as help shows them: --help last

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


class Command(_Placed):
    """Takes the options of the program itself too."""

    more: ClassVar[Sequence[click.Parameter]] = options.common(hidden=True)


class Listing(Command):
    """A command that prints a listing, and so takes --json."""

    more = (options.json_option(), *Command.more)


class ListingGroup(_Placed, click.Group):
    """A listing with commands of its own."""

    more = Listing.more


class TakesArguments(_Placed):
    """QUEUE CLASS [ARG...], where an argument may begin with a dash.

    The options that it knows are options wherever they stand; after ``--``
    everything is an argument.
    """

    more = options.common(hidden=True, short=False)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = True
        end = args.index("--") if "--" in args else len(args)
        # if -v were an option, click would also find it inside of -5v
        loud = [arg for arg in args[:end] if re.fullmatch("-v+", arg)]
        flags = ctx.ensure_object(App).flags
        flags["verbose"] = flags.get("verbose", 0) + sum(len(arg) - 1 for arg in loud)
        rest = super().parse_args(ctx, [arg for arg in args[:end] if arg not in loud] + args[end:])
        if end == len(args):
            for name in ("queue", "class_name"):
                if str(ctx.params.get(name) or "").startswith("-"):
                    raise click.NoSuchOption(ctx.params[name], ctx=ctx)
        return rest


def command(
    name: str | None = None, *, cls: type[click.Command] = Command, **how: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Decorator: make a command of a function, whose docstring is the help."""
    return click.command(name, cls=cls, **how)
