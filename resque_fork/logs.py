"""How log lines look, and where they go.

Two loggers: ``resque_fork`` speaks at Resque's points and levels;
``resque_fork.life`` (starts, stops, pauses) is seen even without ``-v``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from select import select  # now: libraries such as eventlet replace it

from .errors import ResqueError
from .text import printable

LONGEST_WAIT = 1.0  # seconds for a stderr that nobody reads
PIECE = 1000  # characters: at most 4,000 bytes, which a pipe takes if it takes any

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)  # by number of -v

# Those of syslog, by the lowest level that has them.
PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))

log = logging.getLogger("resque_fork")
lifecycle = logging.getLogger("resque_fork.life")


def _backtrace(record: logging.LogRecord, before: str = "") -> str:
    """The lines below the message, if it has any."""
    lines = getattr(record, "backtrace", ())
    return "".join(f"\n{before}    {printable(line)}" for line in lines)


class TextFormatter(logging.Formatter):
    """``2026-11-23 06:51:50 [23004] INFO: got: ...``"""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s [%(process)d] %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record) + _backtrace(record)


class RubyFormatter(logging.Formatter):
    """``D, [2020-10-20T15:14:17.652536 #21501] DEBUG -- : Checking send_mail``"""

    def __init__(self) -> None:
        super().__init__("%(letter)s, [%(moment)s #%(process)d] %(severity)5s -- : %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        severity = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(record.levelname, record.levelname)
        record.severity, record.letter = severity, severity[:1]
        record.moment = datetime.fromtimestamp(record.created).isoformat(timespec="microseconds")
        record.message = printable(record.message)
        return super().formatMessage(record) + _backtrace(record)


class JsonFormatter(logging.Formatter):
    """``{"time":"...","level":"INFO","pid":23004,"message":"..."}``, one object a line.

    A record may bring `fields` of its own, and a `backtrace`.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "pid": record.process,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if lines := getattr(record, "backtrace", ()):
            line["backtrace"] = [*lines]
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class JournalFormatter(TextFormatter):
    """``<6>got: ...``: the journal has the time and the process, and takes priorities so."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in PRIORITIES if record.levelno >= level)
        return f"<{priority}>{printable(record.message)}{_backtrace(record, f'<{priority}>')}"


FORMATS = {"text": TextFormatter, "ruby": RubyFormatter, "json": JsonFormatter}


def set_up(log_format: str = "text", verbose: int = 0) -> None:
    """Send our log lines to stderr. For programs: libraries leave logging alone.

    In a terminal each job is shown, as with -v.
    """
    handler = StderrHandler()
    handler.setFormatter(
        JournalFormatter() if log_format == "text" and _is_journal(2) else FORMATS[log_format]()
    )
    verbose = max(verbose, int(sys.stderr.isatty()))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(LEVELS[min(verbose, 2)])
    lifecycle.setLevel(min(logging.INFO, log.level))


def _is_journal(fd: int) -> bool:
    """Whether systemd has connected this to its journal."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """No log lines of ours meanwhile: for who shows in another way all that they would say."""
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


class StderrHandler(logging.Handler):
    """Writes to stderr, but drops a line rather than wait long for a reader that is stuck.

    A worker that hung in a log line would hear no signal and send no heartbeat.
    """

    _patience = LONGEST_WAIT

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            for start in range(0, len(line), PIECE):
                if not select([], [2], [], self._patience)[1]:
                    self._patience = 0.0
                    return
                self._patience = LONGEST_WAIT
                sys.stderr.write(line[start : start + PIECE])
                sys.stderr.flush()
        except Exception:  # as every handler does
            self.handleError(record)


class Once:
    """Logs each text once, or again after a thousand others."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._said: set[str] = set()

    def log(self, message: str, *args: object) -> None:
        text = message % args
        if len(self._said) > 1000:
            self._said.clear()
        if text not in self._said:
            self._said.add(text)
            logging.getLogger("resque_fork").log(self._level, "%s", text)


class LogFiles:
    """The files that log lines go to, opened anew after they were moved away.

    These are stdout and stderr, where they are `logfile` or other regular files, and the files
    of the application's own logging handlers. Make it before anyone moves them: a process that is
    forked later inherits where they were.
    """

    def __init__(self, logfile: str | None = None) -> None:
        paths = {fd: logfile or _regular_file(fd) for fd in (1, 2)}
        self._outputs = {fd: path for fd, path in paths.items() if path}

    def reopen(self) -> None:
        """What cannot be opened goes on as it was, and that is said."""
        for fd, path in self._outputs.items():
            with _saying(path):
                _append(path, fd)
        for handler in _file_handlers():
            with _saying(handler.baseFilename):
                if handler.stream is not None and (old := handler.setStream(handler._open())):
                    old.close()


def append_output_to(path: str) -> None:
    """Make `path` our stdout and stderr. Raises OSError."""
    _append(path, 1)
    _append(path, 2)


def check_writable(path: str) -> None:
    """Raises ResqueError, with the system's reason, if `path` cannot be opened for output."""
    try:
        os.close(_open(path))
    except OSError as error:
        text = f"The logfile {path} cannot be written: {error.strerror}."
        raise ResqueError(text) from error


def _append(path: str, fd: int) -> None:
    opened = _open(path)
    os.dup2(opened, fd)
    os.close(opened)


def _open(path: str) -> int:
    """A FIFO that nobody reads is an error, where it would else keep us waiting."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK, 0o644)
    os.set_blocking(fd, True)
    return fd


@contextlib.contextmanager
def _saying(path: str) -> Iterator[None]:
    """One file that cannot be opened keeps no other from it; a handler may be anybody's code."""
    try:
        yield
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        log.error("A log file cannot be opened anew: %s: %s", path, reason)


def _regular_file(fd: int) -> str | None:
    """Where it is, or was before it was removed; None if it is no file."""
    try:
        status = os.fstat(fd)
        path = os.readlink(f"/dev/fd/{fd}") if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None
    return path.removesuffix(" (deleted)") if path and status.st_nlink == 0 else path


def _file_handlers() -> list[logging.FileHandler]:
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    handlers = {id(h): h for logger in [logging.root, *loggers] for h in logger.handlers}
    return [h for h in handlers.values() if isinstance(h, logging.FileHandler)]
