"""A file that holds this process's id, for those who start and stop it.

The folder may belong to others. So a file is always made anew (O_EXCL), no symbolic link is
followed, and only a regular file is opened. Processes that start at the same time take turns with
a lock file, ``<pidfile>.lock``. No other user may open it, and it is removed after each turn. If
somebody holds it all the same, the start fails after a few seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from ..errors import ResqueError
from .identity import is_alive

CLOCK_SLACK = 2.0  # seconds by which a file's time and a process's may disagree
LOCK_SECONDS = 5.0  # the longest wait for others that start at the same time
LOCK_PAUSE = 0.01  # seconds between two tries
LONGEST_PID = 10  # digits

KINDS = {
    stat.S_ISLNK: "symbolic link",
    stat.S_ISDIR: "directory",
    stat.S_ISFIFO: "FIFO",
    stat.S_ISSOCK: "socket",
    stat.S_ISCHR: "device",
    stat.S_ISBLK: "device",
}

log = logging.getLogger("resque_fork")


class _Content(NamedTuple):
    """What a pidfile says, and when it was written."""

    pid: int | None
    written: float


class Pidfile:
    """Holds our pid while entered; gone afterwards, unless somebody else has written it since.

    A file that was left behind by a dead process is taken over.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = Path(path).absolute()
        self._lock = self.path.with_name(f"{self.path.name}.lock")
        self._lock_seconds = lock_seconds

    def check(self) -> None:
        """Raises ResqueError if the file names a living process, or cannot be written."""
        with self._saying("written"), self._turn():
            self._refuse_others()

    def pid(self) -> int | None:
        """The process that the file names; None if it names none, or is not there.

        Raises ResqueError if the file cannot be read.
        """
        with self._saying("read"):
            found = self._read()
        return found and found.pid

    def __enter__(self) -> Self:
        """Raises ResqueError as `check` does."""
        with self._saying("written"), self._turn():
            self._refuse_others()
            self._write()
        return self

    def __exit__(self, *exception: object) -> None:
        """An error is only logged: the process is leaving, for better reasons."""
        try:
            with self._saying("removed"):
                found = self._read()
                if found and found.pid == os.getpid():
                    self.path.unlink(missing_ok=True)
        except ResqueError as problem:
            log.error("%s", problem)

    def _refuse_others(self) -> None:
        found = self._read()
        pid = found and found.pid
        if found and pid and pid != os.getpid() and _is_older(pid, found.written):
            raise ResqueError(
                f"The pidfile {self.path} names process {pid}, which is alive: "
                "stop that one first, or use another pidfile."
            )

    def _read(self) -> _Content | None:
        """None if there is no file. Raises ResqueError for what is no regular file."""
        try:
            fd = _open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(fd)
            text = os.read(fd, 64).strip()
        finally:
            os.close(fd)
        is_pid = text.isdigit() and len(text) < LONGEST_PID
        return _Content(int(text) if is_pid else None, status.st_mtime)

    def _write(self) -> None:
        """Under another name first, so that nobody ever reads half of it."""
        ours = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        ours.unlink(missing_ok=True)  # left behind by one of our pid, as in a restarted container
        fd = _open(ours, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            try:
                os.write(fd, f"{os.getpid()}\n".encode())
            finally:
                os.close(fd)
            ours.replace(self.path)
        except OSError:
            ours.unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Only one process at a time looks and writes; the others wait here."""
        deadline = time.monotonic() + self._lock_seconds
        while (fd := self._try_lock()) is None:
            if time.monotonic() > deadline:
                raise ResqueError(
                    f"Another process has held {self._lock} for {self._lock_seconds:g} seconds: "
                    "stop it, or use another pidfile."
                )
            time.sleep(LOCK_PAUSE)
        try:
            yield
        finally:
            self._lock.unlink(missing_ok=True)
            os.close(fd)

    def _try_lock(self) -> int | None:
        """The descriptor that holds the lock, or None if somebody else has it."""
        fd = _open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.lstat(self._lock)):
                return fd
        except (BlockingIOError, FileNotFoundError):  # or its holder has just removed it
            pass
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        return None

    @contextlib.contextmanager
    def _saying(self, done: str) -> Iterator[None]:
        """Errors of the operating system as a sentence that has its reason."""
        try:
            yield
        except OSError as error:
            at_fault = f" ({self._lock})" if os.path.lexists(self._lock) else ""
            raise ResqueError(
                f"The pidfile {self.path} cannot be {done}: {error.strerror}{at_fault}."
            ) from error


def _is_older(pid: int, written: float) -> bool:
    """Whether the process lives and is no younger than the file: pids are used again."""
    if not is_alive(pid):
        return False
    import psutil  # not for every worker: it costs memory, and so makes every fork slower

    try:
        return bool(psutil.Process(pid).create_time() <= written + CLOCK_SLACK)
    except psutil.NoSuchProcess:
        return False


def _open(path: Path, flags: int, mode: int = 0) -> int:
    """Open a regular file. Raises ResqueError for whatever else bears its name, links included.

    Something else that takes its place just now is opened without following or waiting for it.
    """
    with contextlib.suppress(FileNotFoundError):
        _refuse_unless_file(path, os.lstat(path).st_mode)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)


def _refuse_unless_file(path: Path, mode: int) -> None:
    for is_it, kind in KINDS.items():
        if is_it(mode):
            raise ResqueError(
                f"{path} is a {kind} and cannot be a pidfile: remove it, or use another pidfile."
            )
