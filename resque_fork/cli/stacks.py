"""``stacks``: where a running job is."""

from __future__ import annotations

from ..child.stacks import children_with_jobs, stacks_of
from .app import App, pass_app
from .command import Listing, command
from .output import note, say, to_json
from .workers import process_of, worker_argument


@command(cls=Listing)
@worker_argument
@pass_app
def stacks(app: App, worker: str) -> None:
    """Show the Python stacks of a worker's running job, innermost frame first.

    The job is not disturbed. Run this on the worker's own host. With --json: an
    array of {"child", "stack"}.
    """
    children = children_with_jobs(process_of(app, worker).pid)
    found = [(child, stacks_of(child)) for child in children]
    if app.json:
        say(to_json([{"child": child, "stack": stack} for child, stack in found]))
        return
    if not found:
        note(f"{worker} has no job at the moment.")
    for _, stack in found:
        for line in stack:
            say(line)
