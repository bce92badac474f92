"""What a worker asks of whoever performs its jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..job.progress import ProgressPage
from ..job.reservation import Reservation
from ..policies import Action, Outcome


class Performer:
    """Performs one job at a time. What a kind of performer has nothing to do for, it leaves out.

    On `progress` the jobs say how far they are.
    """

    progress: ProgressPage

    def perform(
        self, reservation: Reservation, read: Callable[[Reservation], None], *, more: bool = False
    ) -> Outcome:
        """Perform one job, and wait until all has been reported about it.

        `more` says that others wait in its queue. Once a child has read a payload that was too
        large for the worker, `read` gets the job.
        """
        raise NotImplementedError

    def handle_failure(
        self, reservation: Reservation, error: BaseException, action: Action | None = None
    ) -> bool:
        """Run on_failure hooks and other backends for a job whose process is dead.

        With the action to retry it later, run on_retry hooks instead. Whether all backends
        took the failure.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Make the running job end."""
        raise NotImplementedError

    def kill_job(self) -> None:
        """Have the running job killed, as somebody has asked."""

    def open(self) -> None:
        """Get ready for jobs. May be called again."""

    def settle_memory(self) -> None:
        """What is in memory now stays there."""

    def become_idle(self) -> None:
        """There is no job for the moment."""

    def retire_child(self) -> None:
        """There is no job any more."""

    def run_in_subprocess(self, work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        """Do work that may block for long; `wait` is called until it is done."""
        return work()

    def reap(self) -> None:
        """A child of this process may have ended."""

    def say_what_holds(self) -> None:
        """Say why the end of the running job may have to be waited for in vain."""

    def discard_spare(self) -> None:
        """Something of the worker's is new, such as a log file: no child of before takes a job."""

    def close(self) -> None:
        """End whatever still runs, and let go of everything."""
