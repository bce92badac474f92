"""Performs jobs in the worker's own process, for debugging: a debugger can read the terminal.

There and only there a thread sends the heartbeats, and TERM raises in the job.
Nothing isolates a job: if it dies, the worker dies, and is rescued by others.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

from ..child.main import failure_handled, has_aftermath
from ..child.performer import Performer
from ..child.term_switch import TermSwitch
from ..errors import comes_of_term
from ..failure import Backends, Failure
from ..job.progress import ProgressPage, running
from ..job.registry import registry
from ..job.reservation import Reservation, perform
from ..policies.action import Action
from ..policies.outcome import DONE, FAILED, NOT_STARTED, STOPPED, Outcome
from ..policies.policies import decided
from ..settings import Settings
from ..system.dispositions import Dispositions
from ..wire.procline import Procline
from .restorer import Restorer


class InPlacePerformer(Performer):
    """`beat` sends one heartbeat from the thread, on a connection of its own.

    `restorer` undoes what a job may have changed of the worker.
    """

    def __init__(
        self,
        settings: Settings,
        backends: Backends,
        worker_id: str,
        beat: Callable[[], None],
        restorer: Restorer,
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._worker_id = worker_id
        self._beat = beat
        self._restorer = restorer
        self._procline = Procline(settings.procline_prefix)
        self.progress = ProgressPage()
        self._stopped = False

    def perform(
        self, reservation: Reservation, read: Callable[[Reservation], None], *, more: bool = False
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
        self._stopped = False
        started = time.monotonic()
        results: list[str] = []
        try:
            raised = self._run(reservation, term, signals, results.append)
            ended = None if raised is None else self._ended(reservation, raised)
        finally:
            over.set()
            thread.join()
            self._restore(signals)
        if ended is not None:
            return ended
        text = f"{reservation} was sent TERM and returned: it is done"
        used = {"wall_ms": round((time.monotonic() - started) * 1000)}
        warning = text if term.raised else ""
        return Outcome(DONE, warning=warning, used=used, result="".join(results[-1:]))

    def _ended(self, job: Reservation, raised: BaseException) -> Outcome:
        """What became of a job that has raised. Its failure is handled here, but for a stopped
        job that is retried: whether the worker stops too is not yet known."""
        kind, action, by_term = FAILED, None, comes_of_term(raised)
        if by_term or (self._stopped and not isinstance(raised, Exception)):
            kind = STOPPED
            if job.retry is not None:
                return Outcome(kind, Failure.of(raised), raised, by_term=by_term)
        else:
            action, raised = decided(job, raised)
            if not has_aftermath(job, self._backends, action):
                return Outcome(FAILED, Failure.of(raised), action=action)
        handled = failure_handled(self._backends, self._worker_id, job, raised, action)
        return Outcome(kind, handled.failure, saved=handled.saved, action=action)

    def _run(
        self,
        reservation: Reservation,
        term: TermSwitch,
        signals: Dispositions,
        keep: Callable[[str], object],
    ) -> BaseException | None:
        """Perform it; what it raised. `keep` gets its result."""
        running.page, running.job = self.progress, reservation
        try:
            with self._restorer.signals.raising(self._stopping_signals(), term.on_term), term:
                perform(registry.find(reservation.class_name), reservation.args, keep)
            self._restore(signals)  # at once: a timer of the job's could still raise
        # Whatever a job raises is its failure, SystemExit and all.
        except BaseException as error:
            self._restore(signals)
            return error
        return None

    def _restore(self, signals: Dispositions) -> None:
        running.page = running.job = None
        self._restorer.after_job()
        signals.put_back()

    def handle_failure(
        self, reservation: Reservation, error: BaseException, action: Action | None = None
    ) -> bool:
        """Hooks and backends run here."""
        if not has_aftermath(reservation, self._backends, action):
            return False
        return failure_handled(self._backends, self._worker_id, reservation, error, action).saved

    def stop(self) -> None:
        """A job here can only be stopped by raising in it, which the signal has done."""
        self._stopped = True

    def _stopping_signals(self) -> list[signal.Signals]:
        """Those that stop the worker at once also raise TermException in the job."""
        graceful = self._settings.graceful_term
        return [signal.SIGINT] if graceful else [signal.SIGTERM, signal.SIGINT]

    def _beat_until(self, over: threading.Event) -> None:
        while not over.wait(self._settings.heartbeat_interval):
            self._beat()
