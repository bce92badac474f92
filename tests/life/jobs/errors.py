"""Jobs that raise what is hard to write into a failed entry."""

import os
import sys

from resque_fork import job


@job(queue="jobs")
def exit_with(status):
    sys.exit(status)


class Unusual(BaseException):
    """No Exception at all."""


@job(queue="jobs")
def raise_base_exception():
    raise Unusual("not an Exception")


@job(queue="jobs")
def unspeakable():
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise Unspeakable


@job(queue="jobs")
def long_message(megabytes):
    raise ValueError("x" * megabytes * 1024 * 1024)


@job(queue="jobs")
def recursion():
    return recursion()


@job(queue="jobs")
def recursive_error():
    """An exception whose text and context run in circles."""
    loop = []
    loop.append(loop)
    raise ValueError(loop, "\ud800", b"\xff")


@job(queue="jobs")
def surrogate_error():
    raise ValueError("a lone \udc80 surrogate, a nul \0 and an escape \x1b[0m")


@job(queue="jobs")
def surrogate_class():
    raise type("Odd\udc80Name", (Exception,), {})("of an odd class")


@job(queue="jobs")
def hostile_class():
    class Hostile(Exception):
        wire_name = property(lambda self: 1 / 0)

        def __repr__(self):
            os._exit(9)

    raise Hostile("hostile")


@job(queue="jobs")
def chained():
    try:
        raise KeyError("first")
    except KeyError as error:
        error.__cause__ = error
        raise RuntimeError("second") from error


@job(queue="jobs")
def group():
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("more", [TypeError(2)])])
