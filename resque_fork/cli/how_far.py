"""How far a command came before it was interrupted, or before Redis failed it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import click

from ..errors import ResqueError
from ..ops.how_far import Words
from .output import note

STATUS = 128  # and the signal's number: what a shell reports of a death by it


class Terminated(BaseException):
    """TERM came."""


@contextlib.contextmanager
def saying_how_far(words: Words) -> Iterator[None]:
    """An error says how far the command came, and so does one that Ctrl-C or TERM ends."""
    try:
        with _term_raises():
            yield
    except ResqueError as error:
        raise ResqueError(f"{error} Before that, {words(error)}") from error
    except (KeyboardInterrupt, Terminated) as error:
        note(f"\nInterrupted: {words(error)}")
        number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        raise click.exceptions.Exit(STATUS + number) from None


@contextlib.contextmanager
def _term_raises() -> Iterator[None]:
    def terminate(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only it may have handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
