"""``status``: what has become of a tracked job."""

from __future__ import annotations

import datetime
import time

import click

from ..errors import ResqueError
from ..ops.rows import Row
from ..text import printable
from ..wire.status import COMPLETED, Status
from ..wire.times import run_time
from .app import App, pass_app
from .command import Listing, command
from .output import print_json, say

PAUSE = 0.2  # seconds between two looks


@command(cls=Listing)
@click.argument("id", metavar="ID")
@click.option("--follow", is_flag=True, help="Show each change, until the job has ended.")
@pass_app
def status(app: App, /, id: str, follow: bool) -> int:
    """Show what has become of a tracked job, by the id of its receipt.

    The exit status is 1 if nothing is known of the job, and with --follow also if
    it has ended without being completed. With --json: an object of {"id", "state",
    "class", "queue", "message", "created_at", "due_at"}, and with --follow one for
    each change.
    """
    found = app.resque.status(id)
    if not found:
        raise ResqueError(
            f"Nothing is known of a job {id}: it is not tracked, or it has ended and its status "
            "has expired."
        )
    _show(app, found)
    while follow and found and not found.ended:
        time.sleep(PAUSE)
        before, found = found, app.resque.status(id)
        if found != before:
            _show(app, found)
    return 1 if follow and found.state != COMPLETED else 0


def _show(app: App, found: Status) -> None:
    row = _row(found)
    if app.json:
        print_json(row)
        return
    for name, value in row.items():
        if value:
            say(f"{name.replace('_', ' ') + ':':<12} {printable(value)}")


def _row(found: Status) -> Row:
    return {
        "id": found.id,
        "state": found.state,
        "class": found.name,
        "queue": found.queue,
        "message": found.message,
        "created_at": _moment(found.created),
        "due_at": _moment(found.due),
    }


def _moment(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else run_time(moment.timestamp())
