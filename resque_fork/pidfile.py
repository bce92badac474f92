"""A file that holds this process's id, for those who start and stop it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import ResqueError
from .identity import is_alive

CLOCK_SLACK = 2.0  # seconds by which a file's time and a process's may disagree


class Pidfile:
    """Holds our pid while entered; gone afterwards, unless somebody else has written it since.

    A file that was left behind by a dead process is taken over.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()

    def check(self) -> None:
        """Raises ResqueError if the file names a living process, or cannot be written."""
        if not os.access(self.path.parent, os.W_OK):
            raise ResqueError(f"The pidfile {self.path} cannot be written there.")
        pid = self._read()
        if pid is not None and pid != os.getpid() and self._is_writer(pid):
            raise ResqueError(
                f"The pidfile {self.path} names process {pid}, which is alive: "
                "stop that one first, or use another pidfile."
            )

    def __enter__(self) -> Self:
        """Raises ResqueError as `check` does."""
        with self._turn():
            self.check()
            ours = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            ours.write_text(f"{os.getpid()}\n")
            ours.replace(self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._read() == os.getpid():
            self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Of two that start at once only one looks and writes at a time."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> int | None:
        try:
            text = self.path.read_bytes().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() and len(text) < 10 else None

    def _is_writer(self, pid: int) -> bool:
        """Whether the process lives and is no younger than the file: pids are used again."""
        if not is_alive(pid):
            return False
        import psutil  # not for every worker: it costs memory, and so makes every fork slower

        try:
            born = psutil.Process(pid).create_time()
            return born <= self.path.stat().st_mtime + CLOCK_SLACK
        except (psutil.NoSuchProcess, FileNotFoundError):
            return False
