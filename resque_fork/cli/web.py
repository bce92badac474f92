"""``web``: the dashboard, in a server of its own."""

from __future__ import annotations

import importlib
import ipaddress
import os
import signal
import socket
from pathlib import Path
from typing import Any

import click

from .. import logs
from ..errors import ResqueError, SettingsError
from ..logs import lifecycle
from . import options
from .app import App, pass_app
from .command import command
from .output import note

LOOPBACK = "127.0.0.1"
PORT = 5678  # resque-web's


@command(params=options.of_settings("prune_interval", "scheduler_lock_prefix", "log_format"))
@click.option("--host", default=LOOPBACK, show_default=True, help="Listen on this address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Listen on this port; 0 takes any that is free.",
)
@click.option(
    "--allow-host",
    "names",
    metavar="NAME",
    multiple=True,
    help="A name under which browsers reach it, besides localhost and addresses.",
)
@click.option(
    "--password-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Let in whoever knows a name and password of this file; each line is name:password.",
)
@click.option(
    "--trusted-header",
    metavar="NAME",
    help="Let in whoever a proxy has let in and named in this header.",
)
@click.option("--read-only", is_flag=True, help="Leave out everything that changes something.")
@pass_app
def web(
    app: App,
    /,
    host: str,
    port: int,
    names: tuple[str, ...],
    password_file: Path | None,
    trusted_header: str | None,
    read_only: bool,
) -> None:
    """Serve the dashboard until Ctrl-C or TERM.

    Without --password-file or --trusted-header it listens on this host only. With
    --trusted-header, let nobody but the proxy reach it: anyone else could set the header.
    """
    made = _web()
    if password_file and trusted_header:
        raise SettingsError("Give --password-file or --trusted-header, and not both.")
    if password_file:
        access = made.access.Passwords(password_file)
    elif trusted_header:
        access = made.access.TrustedHeader(trusted_header)
    elif _is_loopback(host):
        access = made.access.everybody
    else:
        raise SettingsError(
            f"On {host} others can reach the dashboard: give --password-file, or behind a proxy "
            "that lets people in, --trusted-header."
        )
    settings = app.settings
    logs.set_up(settings.log_format, settings.verbose)
    dashboard = made.dashboard(
        app.resque, access=access, hosts=names, read_only=read_only, settings=settings
    )
    with _listening(host, port) as listening:
        address = listening.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        note(f"The dashboard is at http://{shown}:{address[1]}/ until Ctrl-C.")
        _serve(dashboard, listening)
    lifecycle.info("The dashboard has ended")


def _web() -> Any:
    """The package of the dashboard. Raises ResqueError if what it needs is not installed."""
    try:
        return importlib.import_module("resque_fork.web")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("resque_fork"):
            raise
        missing = error.name.partition(".")[0]
        raise ResqueError(
            f"The dashboard needs {missing}, which is not installed: "
            "pip install 'resque-fork[web]'."
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ResqueError(f"{host}, port {port} is not available: {reason}.") from None
    # named as TCP, or asyncio does not turn off Nagle's delay, of 40 ms for each page
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())


def _serve(dashboard: Any, listening: socket.socket) -> None:
    import uvicorn  # an extra

    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn sends itself again what ended it
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        dashboard,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listening])
