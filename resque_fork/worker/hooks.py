"""Runs the application's worker hooks in the worker, which is put in order after each."""

from __future__ import annotations

import logging

from ..errors import ResqueError
from ..job.hooks import worker_hooks
from ..system.streams import HarmlessOutput
from .restorer import Restorer

log = logging.getLogger("resque_fork")


class HookRunner:
    """Hooks may print, though nobody reads it, and change what `restorer` puts back."""

    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer
        self._harmless_output = HarmlessOutput()

    def run(self, name: str, *args: object) -> None:
        """Run the hooks of one name; what they raise is raised."""
        if worker_hooks.any(name):
            try:
                with self._harmless_output:
                    worker_hooks.run(name, *args)
            finally:
                self._restorer.after(f"The hook {name}")

    def run_safely(self, name: str, *args: object) -> None:
        """Run hooks at whose failure there is no job to fail; what they raise is logged."""
        try:
            self.run(name, *args)
        except BaseException as error:  # whatever it is, it is not what ends a worker
            log.error("The hook %s raised %r", name, error)

    def announce_first_fork(self) -> None:
        """Run before_first_fork. What it raises is an error, also if it would leave."""
        try:
            self.run("before_first_fork")
        except Exception:
            raise
        except BaseException as error:  # it would end us as if all were well, or half way
            raise ResqueError(f"The hook before_first_fork raised {error!r}.") from error
