"""``status``: what has become of a tracked job."""

from __future__ import annotations

import json
import time

import click

from ..errors import ResqueError
from ..ops.statuses import nothing_known, shown_moment, status_row
from ..text import printable
from ..wire.status import COMPLETED, KILLED, WORKING, Status
from .app import App, pass_app
from .command import Listing, command
from .output import note, print_json, say

PAUSE = 0.2  # seconds between two looks
BAR = 30  # characters


@command(cls=Listing)
@click.argument("id", metavar="ID")
@click.option("--follow", is_flag=True, help="Show each change, until the job has ended.")
@click.option("--kill", is_flag=True, help="Kill the job, wherever it is.")
@pass_app
def status(app: App, /, id: str, follow: bool, kill: bool) -> int:
    """Show what has become of a tracked job, by the id of its receipt.

    With --kill, the job is taken out of its queue or the delayed set. If it runs,
    its worker ends it within seconds. The exit status is 1 if nothing is known of the
    job. With --follow it is 0 only if the job was completed or, with --kill, killed.
    With --json: an object of {"id", "state", "class", "queue", "message", "num",
    "total", "percent", "result", "created_at", "due_at"}, and with --follow one for
    each change.
    """
    found = app.resque.kill(id) if kill else app.resque.status(id)
    if not found:
        raise ResqueError(nothing_known(id))
    _show(app, found)
    if kill and found.ended and found.state != KILLED:
        note("The job had ended already: nothing was done.")
    if kill and not follow and found.state == WORKING:
        note("Its worker ends the job within seconds; status --follow shows when.")
    while follow and found and not found.ended:
        time.sleep(PAUSE)
        before, found = found, app.resque.status(id)
        if found != before:
            _show(app, found)
    return 1 if follow and found.state != (KILLED if kill else COMPLETED) else 0


def _show(app: App, found: Status) -> None:
    if app.json:
        print_json(status_row(found))
        return
    has_result = found.state == COMPLETED and "result" in found.raw
    lines = {
        "id": found.id,
        "state": found.state,
        "class": found.name,
        "queue": found.queue,
        "progress": _bar(found),
        "message": found.message,
        "result": json.dumps(found.result, ensure_ascii=False) if has_result else "",
        "created at": shown_moment(found.created),
        "due at": shown_moment(found.due),
    }
    for name, value in lines.items():
        if value:
            say(f"{name + ':':<12} {printable(value)}")


def _bar(found: Status) -> str:
    if found.percent is None:
        return ""
    filled = BAR * found.percent // 100
    bar = "#" * filled + "." * (BAR - filled)
    return f"[{bar}] {found.percent} %, {found.num:g} of {found.total:g}"
