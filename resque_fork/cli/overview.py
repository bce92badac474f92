"""``info``, ``pause``, ``resume`` and ``config``: a Resque as a whole."""

from __future__ import annotations

import os

from .. import settings
from ..store.masking import without_secrets
from ..system import pinned_pages
from .app import App, pass_app
from .command import Listing, command
from .options import shown
from .output import Column, Row, listing, note, print_json, say


@command(cls=Listing)
@pass_app
def info(app: App) -> None:
    """Show the numbers of pending, processed and failed jobs, of queues and workers.

    With --json: an object with these numbers and the URLs of the servers.
    """
    numbers = app.resque.info()
    if app.json:
        print_json(numbers)
        return
    for name, value in numbers.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        say(f"{name + ':':<11} {text}")
    if app.resque.paused():
        say("All workers are paused; resque-fork resume ends it.")


@command()
@pass_app
def pause(app: App) -> None:
    """Stop all workers, on every host, from taking new jobs."""
    app.resque.pause()
    say("Paused: no worker takes a new job until resque-fork resume.")


@command()
@pass_app
def resume(app: App) -> None:
    """End a pause of all workers."""
    app.resque.resume()
    say("Resumed: workers take jobs again.")


@command(cls=Listing)
@pass_app
def config(app: App) -> int:
    """Show each setting, its value and where it came from.

    Values that are not valid are marked, and the exit status is then 2. Passwords
    are hidden. With --json: an array of {"name", "value", "source", "problem"}.
    """
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


def _red_if_wrong(row: Row) -> dict[str, str]:
    return {"fg": "red"} if row["problem"] else {}
