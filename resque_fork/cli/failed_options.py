"""How failed jobs are named on the command line: by index, by what they have in common, by list."""

from __future__ import annotations

import re
from typing import Any

import click

from .app import complete_failed_list, complete_queue
from .options import Seconds, all_of

LIST = "resque_fork.failed_list"  # in the notes that click keeps for a command and its group


class Which(click.ParamType[tuple[int, str | None]]):
    """A failed job by its index, or by index and id as in 3:5f1c09ab."""

    name = "which"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, str | None]:
        parts = re.fullmatch(r"([0-9]{1,18})(?::([0-9a-f]{8}))?", str(value).strip().lower())
        if not parts:
            self.fail(
                f"{value!r} is not the index of a failed job, such as 3, "
                "nor index and id, such as 3:5f1c09ab.",
                param,
                ctx,
            )
        return int(parts[1]), parts[2]


def _note_list(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta[LIST] = value


which_list = click.option(
    "--list",
    metavar="NAME",
    expose_value=False,
    callback=_note_list,
    shell_complete=complete_failed_list,
    help="The list of failed jobs; redis_multi_queue has lists such as mail_failed.",
)

filters = all_of(
    click.option(
        "--class",
        "class_name",
        metavar="NAME",
        help="Only jobs of this class.",
    ),
    click.option(
        "--queue",
        metavar="NAME",
        shell_complete=complete_queue,
        help="Only jobs from this queue.",
    ),
    click.option(
        "--exception",
        metavar="NAME",
        help="Only jobs that failed with this exception.",
    ),
    click.option(
        "--older-than",
        type=Seconds("an age"),
        metavar="AGE",
        help="Only jobs that failed longer ago than AGE.",
    ),
    click.option(
        "--newer-than",
        type=Seconds("an age"),
        metavar="AGE",
        help="Only jobs that failed within AGE.",
    ),
)

selectors = all_of(
    click.argument("chosen", metavar="[N[:ID]]...", nargs=-1, type=Which()),
    click.option("--all", "everything", is_flag=True, help="All failed jobs."),
    click.option(
        "--yes",
        is_flag=True,
        help="Do not ask to confirm the jobs at N.",
    ),
    filters,
)
