"""Where the worker runs: its working directory, and its umask. Every child inherits them."""

from __future__ import annotations

import logging
import os

log = logging.getLogger("resque_fork")


class Surroundings:
    """As they are when this is made; a directory that is gone or hidden by then is not kept."""

    def __init__(self) -> None:
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._said = False
        try:
            self._directory, self._inode = os.getcwd(), _inode()
        except OSError:
            self._directory = ""

    def put_back(self, who: str) -> None:
        """Undo what `who` has changed, and say so once. Raises OSError if it cannot be undone."""
        changed = []
        if os.umask(self._umask) != self._umask:
            changed.append("umask")
        if self._directory and _inode() != self._inode:
            os.chdir(self._directory)
            changed.append("working directory")
        if changed and not self._said:
            self._said = True
            log.warning(
                "%s has changed the %s of the worker, and that was put back: a job's own is set in "
                "after_fork, or in the job",
                who,
                " and the ".join(changed),
            )


def _inode() -> tuple[int, int]:
    status = os.stat(".")
    return status.st_dev, status.st_ino
