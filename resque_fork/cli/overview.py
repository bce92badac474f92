"""``info``, ``pause`` and ``resume``: a Resque as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from ..errors import ResqueError
from ..text import did_you_mean
from .app import App, complete_paused, complete_queue, pass_app
from .command import Listing, command
from .output import note, print_json, say


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
    if paused := app.resque.paused_queues():
        say(f"Paused queues: {', '.join(paused)}; resque-fork resume QUEUE ends it.")


@command()
@click.argument("queues", metavar="[QUEUE]...", nargs=-1, shell_complete=complete_queue)
@pass_app
def pause(app: App, queues: Sequence[str]) -> None:
    """Stop all workers, on every host, from taking new jobs, or only those of QUEUE.

    A queue need not exist yet. Workers of Ruby and Node do not know of paused
    queues; they know of the pause of all workers.
    """
    if not queues:
        app.resque.pause()
        say("Paused: no worker takes a new job until resque-fork resume.")
        return
    known = app.resque.queues()
    for queue in queues:
        if queue not in known and re.search(r"[*?\[\],!]", queue):
            raise ResqueError(
                f"{queue!r} is not the name of a queue: name each queue that is to be paused, as "
                "in resque-fork pause mail low."
            )
    for queue in queues:
        app.resque.pause(queue)
        say(f"Paused {queue}: its jobs wait until resque-fork resume {queue}.")
        if queue not in known:
            note(f"There is no queue {queue} yet{did_you_mean(queue, known)}")


@command()
@click.argument("queues", metavar="[QUEUE]...", nargs=-1, shell_complete=complete_paused)
@pass_app
def resume(app: App, queues: Sequence[str]) -> None:
    """End a pause of all workers, or that of QUEUE."""
    if not queues:
        app.resque.resume()
        say("Resumed: workers take jobs again.")
        if paused := app.resque.paused_queues():
            names = " ".join(paused)
            note(f"Not from the queues that are paused: resque-fork resume {names} ends that.")
        return
    paused = app.resque.paused_queues()
    for queue in queues:
        if queue not in paused:
            raise ResqueError(f"The queue {queue} is not paused{did_you_mean(queue, paused)}")
    for queue in queues:
        app.resque.resume(queue)
        say(f"Resumed {queue}: workers take its jobs again.")
    if app.resque.paused():
        note("All workers are still paused: resque-fork resume ends that.")
