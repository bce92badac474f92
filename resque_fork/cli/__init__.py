"""The command line, and the one home of click.

`program` knows every command by name and loads the module of the one that is
called; `app` is what a command knows of its call; `options` come from the table
of settings; everything that is printed goes through `output`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from ..wire.procline import make_room
from .app import App
from .program import program

__all__ = ["main", "program"]


def _open_missing() -> None:
    """Whoever starts us with a closed standard stream gets none of our files or sockets in it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main(args: Sequence[str] | None = None, *, preloaded: Sequence[str] = ()) -> None:
    """What ``resque-fork`` runs. Ends the process. For `preloaded` see `App`."""
    _open_missing()
    args = sys.argv[1:] if args is None else args
    works = program.named_by(args) == "work" and hasattr(os, "fork")
    if works:
        from . import starting  # no other command needs it

        starting.hold_signals()  # before anybody can know this process by its title
        make_room()  # early: it may start this program anew
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        program.main(args, obj=App(preloaded))
    except SystemExit as end:
        if works and isinstance(end.code, int):
            starting.leave(end.code)
        raise
