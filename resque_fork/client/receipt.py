"""What enqueueing returns of a tracked job."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..wire.status import Status

FIRST_PAUSE, LAST_PAUSE = 0.01, 0.5  # seconds between two looks


class Receipt:
    """A tracked job that was queued, or delayed: its `id`, and what is known of it. Always true."""

    def __init__(
        self, job_id: str, read: Callable[[str], Status], kill: Callable[[str], Status]
    ) -> None:
        self.id = job_id
        self._read = read
        self._kill = kill

    def __repr__(self) -> str:
        return f"<Receipt {self.id}>"

    def status(self) -> Status:
        """What is known of the job now."""
        return self._read(self.id)

    def kill(self) -> Status:
        """Have the job end now, wherever it is; see `Resque.kill`."""
        return self._kill(self.id)

    def wait(self, timeout: float | None = None) -> Status:
        """The status once the job has ended, or once nothing is known of it any more.

        Raises TimeoutError if that takes longer than `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_PAUSE
        while (status := self.status()) and not status.ended:
            left = pause if until is None else until - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"The job {self.id} is {status.state}: it has not ended in {timeout:g} seconds."
                )
            time.sleep(min(pause, left))
            pause = min(2 * pause, LAST_PAUSE)
        return status
