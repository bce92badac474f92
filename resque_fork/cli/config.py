"""``config``: the settings, or a file to begin with."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import click

from .. import settings
from ..ops.rows import Row
from ..store.masking import without_secrets
from ..system import pinned_pages
from . import examples
from .app import App, pass_app
from .command import Listing, command
from .options import all_of, shown
from .output import Column, listing, note, say

# What `config` prints instead of settings, by its option.
FILES: dict[str, tuple[Callable[[], str], str]] = {
    "example": (examples.config_file, "a config file with every setting"),
    "systemd": (examples.unit_of_here, "a systemd unit for this directory and user"),
    "systemd-template": (
        partial(examples.unit_of_here, template=True),
        "a systemd unit with one instance for each queue",
    ),
    "procfile": (lambda: examples.PROCFILE, "a Procfile"),
}


@command(cls=Listing)
@all_of(
    *(
        click.option(f"--{name}", "file", flag_value=name, help=f"Print {what} instead.")
        for name, (_, what) in FILES.items()
    )
)
@pass_app
def config(app: App, file: str | None) -> int:
    """Show each setting, its value and where it came from.

    Values that are not valid are marked, and the exit status is then 2. Passwords
    are hidden. With --json: an array of {"name", "value", "source", "problem"}.

    Or print a file to begin with:

    \b
      resque-fork config --example > resque-fork.toml
      resque-fork config --systemd | sudo tee /etc/systemd/system/resque-fork.service
    """
    if file:
        return _print_file(app, file)
    texts = {}
    rows = []
    found = app.all_settings()
    for setting in settings.table():
        one = found[setting.name]
        value = without_secrets(one.value) if setting.name == "redis" else one.value
        texts[setting.name] = str(value) if one.problem else shown(setting, value)
        problem = str(one.problem) if one.problem else None
        rows.append(
            {"name": setting.name, "value": value, "source": one.source, "problem": problem}
        )
    columns = [
        Column("SETTING", lambda row: row["name"]),
        Column("VALUE", lambda row: texts[row["name"]], style=_red_if_wrong),
        Column("FROM", lambda row: row["problem"] or row["source"], style=_red_if_wrong),
    ]
    listing(app, rows, columns, "")
    if found["pin_pages"].value is True and (why := pinned_pages.why_not()):
        note(f"pin_pages has no effect here: {why}.")
    if any(row["problem"] for row in rows):
        note("A command that uses a setting that is not valid does not run.")
        return 2
    settings.load(app.flags, os.environ, app.config)  # they may contradict each other
    return 0


def _print_file(app: App, name: str) -> int:
    if app.json:
        raise click.UsageError(
            f"--{name} prints a file, which has no JSON.", click.get_current_context()
        )
    make, _ = FILES[name]
    say(make().rstrip("\n"))
    if name.startswith("systemd") and os.getuid() == 0:
        note("User=root: jobs would run as root. Change it to the user of the application.")
    return 0


def _red_if_wrong(row: Row) -> dict[str, str]:
    return {"fg": "red"} if row["problem"] else {}
