"""Performs jobs in the worker's own process, for debugging: a debugger can read the terminal.

There and only there a thread sends the heartbeats, and TERM raises in the job.
Nothing isolates a job: if it dies, the worker dies, and is rescued by others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..child.main import TermSwitch, has_aftermath
from ..errors import comes_of_term
from ..failure import Backends, Failure
from ..job.registry import registry
from ..job.reservation import Reservation, perform, run_failure_hooks
from ..policies.outcome import DONE, FAILED, NOT_STARTED, STOPPED, Outcome
from ..policies.policies import decided
from ..system.dispositions import Dispositions
from ..system.signals import Handler
from ..wire.procline import Procline


class InPlacePerformer:
    """`beat` sends one heartbeat from the thread, on a connection of its own.

    While `raising` is entered, the signals that stop the worker also call what it is given,
    which raises TermException in the job. `come_back` undoes what a job may have changed of
    the worker, and has signals that came meanwhile take their effect on it.
    """

    def __init__(
        self,
        backends: Backends,
        worker_id: str,
        procline: Procline,
        beat: Callable[[], None],
        beat_interval: float,
        raising: Callable[[Handler], AbstractContextManager[None]],
        come_back: Callable[[], None],
    ) -> None:
        self.busy = False
        self.idle_since = 0.0
        self._backends = backends
        self._worker_id = worker_id
        self._procline = procline
        self._beat = beat
        self._beat_interval = beat_interval
        self._raising = raising
        self._come_back = come_back
        self._stopped = False

    def perform(
        self, reservation: Reservation, told: Callable[[Reservation], None], *, more: bool = False
    ) -> Outcome:
        """Perform one job here and now."""
        self._procline.processing(reservation.queue, reservation.class_name)
        term, signals = TermSwitch(), Dispositions()
        over = threading.Event()
        thread = threading.Thread(
            target=self._beat_until, args=[over], name="heartbeat", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # there is no process to be had, of which threads are a kind
            return Outcome(NOT_STARTED, error=error)
        self.busy, self._stopped = True, False
        try:
            raised = self._run(reservation, term, signals)
            ended = self._ended(reservation, raised) if raised else None
        finally:
            self.busy = False
            over.set()
            thread.join()
            self._restore(signals)
        if ended is not None:
            return ended
        text = f"{reservation} was sent TERM and returned: it is done"
        return Outcome(DONE, warning=text if term.raised else "")

    def _ended(self, job: Reservation, raised: BaseException) -> Outcome:
        """What became of a job that has raised; its failure is handled unless a policy says so."""
        if comes_of_term(raised) or (self._stopped and not isinstance(raised, Exception)):
            failure, saved = self._handled(job, raised)
            return Outcome(STOPPED, failure, saved=saved)
        action, raised = decided(job, raised)
        if action:
            return Outcome(FAILED, Failure.of(raised), action=action)
        failure, saved = self._handled(job, raised)
        return Outcome(FAILED, failure, saved=saved)

    def _run(
        self, reservation: Reservation, term: TermSwitch, signals: Dispositions
    ) -> BaseException | None:
        """Perform it; what it raised."""
        try:
            with self._raising(term.thrown), term:
                perform(registry.find(reservation.class_name), reservation.args)
            self._restore(signals)  # at once: a timer of the job's could still raise
        # Whatever a job raises is its failure, SystemExit and all.
        except BaseException as error:
            self._restore(signals)
            return error
        return None

    def _restore(self, signals: Dispositions) -> None:
        self._come_back()
        signals.put_back()

    def _handled(self, reservation: Reservation, error: BaseException) -> tuple[Failure, bool]:
        declaration = registry.get(reservation.class_name)
        if declaration is not None:
            error = run_failure_hooks(declaration, error, reservation.args)
        saved = self._backends.save(error, self._worker_id, reservation.queue, reservation.redacted)
        return Failure.of(error), saved

    def handle_failure(self, reservation: Reservation, error: BaseException) -> bool:
        """Run on_failure hooks and other backends; whether all backends took the failure."""
        return has_aftermath(reservation, self._backends) and self._handled(reservation, error)[1]

    def stop(self) -> None:
        """A job here can only be stopped by raising in it, which the signal has done."""
        self._stopped = True

    def say_what_holds(self) -> None:
        """A job here is stopped together with the worker."""

    def rest(self) -> None:
        """There is nothing to put away."""

    def refresh(self) -> None:
        """Nothing was made ahead."""

    def apart(self, work: Callable[[], Any], wait: Callable[[], None]) -> Any:
        """Work that may block is done here, and blocks."""
        return work()

    def look_around(self) -> None:
        """There is nothing to keep an eye on."""

    def reap(self) -> None:
        """Children here are the job's own business."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def _beat_until(self, over: threading.Event) -> None:
        while not over.wait(self._beat_interval):
            self._beat()
