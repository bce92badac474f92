"""``work``: a worker, or several under a supervisor."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from .. import logs
from ..client.resque import Resque
from ..errors import NoQueueError, RedisUnavailable, ResqueError
from ..failure import Backends
from ..job.registry import registry
from ..pool import Pool
from ..reload.reloader import Reloader
from ..settings import Settings
from ..store.connecting import ping
from ..system.closers import closers
from ..system.pidfile import Pidfile
from ..system.process import daemonize
from ..wire.queue_list import QueueList
from ..worker.sockets import ConnectionCheck, open_sockets
from ..worker.worker import Worker
from . import application, options
from .app import App, pass_app
from .command import Command, command
from .output import note
from .schedule_file import declare_schedules
from .starting import Starting

log = logging.getLogger("resque_fork")

RELOAD = "--reload"
QUOTE_IT = "If the shell has made files of a star, quote it: --queues='*'."


class Work(Command):
    """Tells those whose shell has expanded a star."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        files = [arg for arg in args if os.path.exists(arg)]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if files and "unexpected extra argument" in error.message:
                raise click.UsageError(f"{error.message}. {QUOTE_IT}", ctx) from None
            raise


def reload_option() -> click.Option:
    return click.Option(
        [RELOAD],
        is_flag=True,
        help="Start again when a Python file below the current directory changes, after the "
        "running job. For development; needs the extra reload.",
    )


@command(cls=Work, params=[*options.of_group("work"), reload_option()])
@pass_app
def work(app: App, reload: bool) -> int:
    """Run a worker, which forks a child for each job until it is told to stop.

    \b
      resque-fork work --queues=urgent,mail --require=app
      resque-fork work --queues='*' --require=app --count=4

    The worker serves its queues in the order given. '*', '?' and '[..]' are
    globs, and '!name' excludes a queue. The application is imported from the
    current directory.

    TERM and INT stop the worker now, QUIT stops it after the running job. USR2
    pauses it, CONT resumes it, USR1 stops the running job, HUP reopens log files.
    In a terminal the first Ctrl-C finishes the running job, the second stops it.
    """
    settings = app.settings
    if reload:
        return _reload(settings)
    with Starting() as starting:
        return _work(app, settings, starting)
    return 0  # it was told to stop before there was a worker


def _reload(settings: Settings) -> int:
    if settings.daemon:
        raise click.UsageError(
            "--reload is for a terminal, and does not go with --daemon.",
            click.get_current_context(),
        )
    if find_spec("watchfiles") is None:
        raise ResqueError("--reload needs watchfiles: pip install 'resque-fork[reload]'.")
    application.check_directory()
    logs.set_up(settings.log_format, settings.verbose)
    program = [arg for arg in sys.orig_argv[1:] if arg != RELOAD]
    return Reloader([sys.executable, *program], settings).run()


def _work(app: App, settings: Settings, starting: Starting) -> int:
    application.check_directory()
    # an application may change the directory
    logfile = str(Path(settings.logfile).absolute()) if settings.logfile else None
    config = app.config and app.config.absolute()
    pidfile = Pidfile(settings.pidfile) if settings.pidfile else None
    _check(settings, pidfile)
    with starting.interruptible():
        _check_redis(app)
        detach = daemonize() if settings.daemon else None
    if logfile and not detach:
        logs.append_output_to(logfile)
    logs.set_up(settings.log_format, settings.verbose)
    log_files = logs.LogFiles(logfile)
    with pidfile or contextlib.nullcontext():
        with starting.interruptible():
            application.prepare(settings)
            # of an application that is loaded already there may be some among them
            connections = ConnectionCheck(known=() if app.preloaded else open_sockets())
            application.load(settings)
            declare_schedules(config)
            # one that cannot be loaded is found here, not in each worker
            Backends.named(settings.failure_backend)
        if not registry.names():
            log.warning("No job is declared, so every job will fail: --require the application")
        starting.hand_over()
        if detach:
            detach()
            if logfile:
                logs.append_output_to(logfile)
            log_files = logs.LogFiles(logfile)
        return _run(settings, log_files, connections)


def _check(settings: Settings, pidfile: Pidfile | None) -> None:
    """Raises what can be known to be wrong while there is still a terminal to say it on."""
    try:
        QueueList(settings.queues)
    except NoQueueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    if [*settings.queues] == _files_here():
        note(f"The only queue is named like the only file here, {settings.queues[0]}. {QUOTE_IT}")
    if pidfile:
        pidfile.check()
    if settings.logfile:
        logs.check_writable(settings.logfile)
    elif settings.daemon:
        note("In the background nothing that goes wrong can be seen: give it a --logfile.")


def _files_here() -> list[str]:
    """Those that a star stands for."""
    try:
        return [name for name in os.listdir() if not name.startswith(".")]
    except OSError:
        return []


def _check_redis(app: App) -> None:
    """A server that was named may come later; where none was named, there must be one."""
    try:
        ping(app.resque.server)
    except RedisUnavailable as error:
        absent = not (error.sent or error.code)
        if absent and app.sources["redis"] == "default":
            raise RedisUnavailable(
                f"There is no Redis at {app.settings.redis}: start one (resque-fork redis --port "
                "6379 runs one for trying things out), or name yours with --redis or RESQUE_REDIS."
            ) from error


def _run(settings: Settings, log_files: logs.LogFiles, connections: ConnectionCheck) -> int:
    def make_worker() -> Worker:
        resque = Resque(settings.redis, namespace=settings.namespace)
        return Worker(
            *settings.queues,
            resque=resque,
            settings=settings,
            log_files=log_files,
            connections=connections,
        )

    if settings.count > 1:
        closers.run()
        connections.warn_supervisor()
        return Pool(make_worker, settings, log_files).run()
    return make_worker().run()
