"""``clock``: what is due goes to its queue, without a worker."""

from __future__ import annotations

from .. import logs
from ..clock.alone import ClockAlone
from ..failure import Backends, FailedEntries
from . import options
from .app import App, pass_app
from .command import command


@command(params=options.of_settings("scheduler_lock_prefix", "failure_backend", "log_format"))
@pass_app
def clock(app: App) -> int:
    """Move delayed jobs that are due to their queues, and keep schedules.

    Every worker does this beside its jobs, so you need it only where all workers
    are of another language, or run with --no-clock. Several may run: one of
    them works, the others take over when it ends. While Ruby's scheduler runs, it moves
    delayed jobs, and this waits. TERM, INT and QUIT end it.
    """
    settings = app.settings
    logs.set_up(settings.log_format, settings.verbose)
    keys = app.resque.key_names
    entries = FailedEntries(Backends.named(settings.failure_backend), keys)
    return ClockAlone(settings, app.resque.server, keys, entries).run()
