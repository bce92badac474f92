"""Failures as log lines."""

from __future__ import annotations

import logging

from ..text import printable
from .base import Backend, Failure

log = logging.getLogger("resque_fork")


class LogBackend(Backend):
    """Logs each failure as one ERROR line, with its backtrace at DEBUG."""

    def save(self) -> None:
        failure = Failure.of(self.exception)
        log.error(
            "%s on %s (%s) failed: %s: %s",
            self.payload.get("class"),
            printable(self.queue),
            self.worker,
            failure.exception,
            failure.error,
        )
        for line in failure.backtrace:
            log.debug("    %s", line)
