"""``doctor``: what commonly goes wrong, each thing looked at."""

from __future__ import annotations

from typing import Any

import click

from ..ops.checks import FAIL, OK, WARN
from ..ops.checkup import check_up
from . import options
from .app import App, pass_app
from .checks_of_host import look_at_host
from .command import Listing, command
from .output import Column, listing

STYLES: dict[str, dict[str, Any]] = {
    OK: {"fg": "green"},
    WARN: {"fg": "yellow"},
    FAIL: {"fg": "red", "bold": True},
}


@command(
    cls=Listing,
    params=options.of_settings(
        "require",
        "procline_prefix",
        "heartbeat_interval",
        "prune_interval",
        "scheduler_lock_prefix",
    ),
)
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning too.")
@pass_app
def doctor(app: App, /, strict: bool) -> int:
    """Check for common problems of the server, the workers and this host.

    With --require the application is loaded too, to check whether it starts
    threads or opens connections. The exit status is 1 if a check fails, and with
    --strict also if there is a warning. With --json: an array of {"check", "result"
    (ok, warn or fail), "message"}.
    """
    findings = [*check_up(app.site), *look_at_host(app)]
    columns = [
        Column("RESULT", lambda row: row["result"], style=lambda row: STYLES[row["result"]]),
        Column("CHECK", lambda row: row["check"]),
        Column("", lambda row: row["message"]),
    ]
    rows = [vars(finding) for finding in findings]
    listing(app, rows, columns, "", wrap=True)
    bad = (FAIL, WARN) if strict else (FAIL,)
    return int(any(finding.result in bad for finding in findings))
