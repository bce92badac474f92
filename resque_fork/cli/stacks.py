"""``stacks``: where a running job is."""

from __future__ import annotations

from ..child.stacks import stacks_of_job
from ..ops.processes import is_elsewhere, process_of
from ..ops.rows import to_json
from .app import App, pass_app
from .command import Listing, command
from .output import note, say
from .workers import asked, worker_argument


@command(cls=Listing)
@worker_argument
@pass_app
def stacks(app: App, worker: str) -> None:
    """Show the Python stacks of a worker's running job, innermost frame first.

    The job is not disturbed. A busy worker on another host answers within
    seconds. With --json: an array of {"child", "stack"}.
    """
    if is_elsewhere(app.site, worker):
        found = asked(app, worker, "stacks")
    else:
        found = stacks_of_job(process_of(app.site, worker).pid)
    if app.json:
        say(to_json(found))
        return
    if not found:
        note(f"{worker} has no job at the moment.")
    for job in found:
        for line in job["stack"]:
            say(line)
