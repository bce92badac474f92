"""What is done around a job, such as sweeping behind it, may fail without the job.

The outcome of a job that has ended is known, and must be written, whatever goes wrong in between:
there may be no descriptor left, no memory, no /proc.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from ..errors import ResqueError

log = logging.getLogger("resque_fork")


class Shield:
    """``with shield("sweeping"): ...`` turns an error into a warning, once for each of a kind.

    What the worker raises itself passes: it has said what is wrong, and stops.
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, type[Exception], object]] = set()

    @contextlib.contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        try:
            yield
        except ResqueError:
            raise
        except Exception as error:  # the reason does not matter: the job has nothing to do with it
            kind = (what, type(error), getattr(error, "errno", None))
            if kind not in self._said:
                self._said.add(kind)
                log.warning(
                    "There was an error in %s: %s: %s. The worker goes on, and says this once",
                    what,
                    type(error).__name__,
                    error,
                )
