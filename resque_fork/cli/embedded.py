"""``redis``: a server for trying things out."""

from __future__ import annotations

import os
import signal
import socket

import click

from ..embedded import EmbeddedServerError, Server
from ..errors import ResqueError
from .app import App, pass_app
from .command import command
from .output import note

ENDS = (signal.SIGINT, signal.SIGTERM)


@command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Also listen on this port of 127.0.0.1."
)
@pass_app
def redis(app: App, port: int | None) -> None:
    """Run a Redis server in the foreground and print its URL.

    It saves nothing to disk. Ctrl-C or TERM ends it.
    """
    if port:
        _check_free(port)
    with Server(port=port) as server:
        # SIGCHLD is blocked and waited for with the rest; without a handler it would be dropped
        signal.signal(signal.SIGCHLD, lambda *_: None)
        watched = {*ENDS, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        click.echo(f"redis://127.0.0.1:{port}/0" if port else server.url)
        note("The server runs until Ctrl-C, and saves nothing to disk.")
        while signal.sigwait(watched) not in ENDS:
            if server.pid is None:
                raise EmbeddedServerError("The server has ended by itself.")


def _check_free(port: int) -> None:
    """The server would say so in the middle of its log."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ResqueError(f"Port {port} is not available: {reason}. Choose another.") from None
