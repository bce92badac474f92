"""The child: perform a job, say how it went, leave.

It never speaks to Redis. What it has to say goes through a pipe to the parent,
which writes it to Redis; without a report there is no success.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import signal
import sys
from collections.abc import Set
from dataclasses import dataclass

from ..errors import JobKilled, UnreadablePayload, comes_of_term
from ..failure import Backends, Failure
from ..job.hooks import job_hooks, worker_hooks
from ..job.limits import NO_LIMITS, Limits
from ..job.progress import ProgressPage, running
from ..job.registry import registry
from ..job.reservation import Reservation, perform, run_failure_hooks, run_retry_hooks
from ..policies.action import Action
from ..policies.policies import decided
from ..system import leaving, process
from ..system.dispositions import Dispositions
from ..wire.procline import Procline
from . import report
from .term_switch import TermSwitch
from .usage import Meter, memory_limited

CUT_OFF = (
    b"resque-fork: the job has closed descriptors that are not its own, among them the pipe by "
    b"which its worker would be told how it went\n"
)
FATAL = frozenset(  # faulthandler shows the stack at these
    map(
        int,
        (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL),
    )
)


@dataclass(frozen=True)
class ChildContext:
    """What the parent gives a child on its way.

    `parents_fds` are the parent's alone; `outbox` and `inbox` are the child's
    ends of the pipes (no inbox: a single job). If it `waits`, it performs one job,
    and exits once its inbox is closed.
    """

    parent: int
    worker_id: str
    parents_fds: list[int]
    outbox: int
    inbox: int | None
    null: int
    stdout: int
    stderr: int
    stack: int
    dump: int
    progress: ProgressPage
    procline: Procline
    backends: Backends
    limits: Limits = NO_LIMITS
    run_at_exit_hooks: bool = False
    waits: bool = False


def main(context: ChildContext, reservation: Reservation | None = None) -> None:
    """A child's life. Without a reservation it waits for its first job.

    1. Let go of the parent: its descriptors, its signals, its session, its terminal.
    2. Run the after_fork hooks, then the job with its hooks. TERM raises
       TermException there, once, and nowhere else.
    3. Report to the parent how it went. A failure is reported at once, then handled:
       on_failure hooks and failure backends run.
    4. Take the next job, if the parent sends one.
    5. Flush, run exit hooks if asked, say that it is all done, and leave.
    """
    term = TermSwitch()
    signals = settle_in(context, term)
    running.page = context.progress
    outbox = Outbox(context.outbox)
    inbox = None if context.inbox is None else report.Inbox(context.inbox, report.LONGEST_JOB)
    following = reservation
    if following is None and inbox is not None:
        context.procline.spare()
        following = _next_job(inbox)
        if following is None:  # it was not needed, and has nothing to put in order
            process.leave(0)
    while following is not None:
        reusable = _perform_one(context, term, signals, outbox, following)
        following = _next_job(inbox) if inbox and reusable and not context.waits else None
    if context.run_at_exit_hooks:
        leaving.run_exit_functions()
    leaving.flush()
    outbox.send_last()
    if inbox and context.waits:
        _next_job(inbox)
    process.leave(0)


def handle_failure(
    context: ChildContext,
    reservation: Reservation,
    error: BaseException,
    action: Action | None = None,
) -> None:
    """The life of a child that only handles the failure of one that died."""
    settle_in(context, TermSwitch())
    outbox = Outbox(context.outbox)
    with contextlib.suppress(UnreadablePayload):
        reservation = reservation.read()
    outbox.send(failure_handled(context.backends, context.worker_id, reservation, error, action))
    leaving.flush()
    process.leave(0)


def settle_in(context: ChildContext, term: TermSwitch) -> Dispositions:
    """Become a process of one's own, in an order that leaves no gap for a signal.

    Returns how it takes signals from now on, which each job is to find.

    INT, QUIT, HUP, USR1 and USR2 are the parent's business. Its handlers, which do
    nothing, stay: ignored signals would stay so even in programs that a job starts.
    """
    process.close_inherited_fds(context.parents_fds)
    process.set_handler(signal.SIGCHLD, process.SIG_DFL)
    process.set_handler(signal.SIGCONT, process.SIG_DFL)
    os.setsid()
    process.die_with_parent(context.parent)
    listen(term)
    os.dup2(context.null, 0)
    os.dup2(context.stdout, 1)
    os.dup2(context.stderr, 2)
    process.raise_oom_score()
    if context.run_at_exit_hooks:
        leaving.forget_exit_functions()
    _arm(context, set())
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # Python reseeds its own generator, NumPy's is a copy of ours
        numpy_random.seed()
    forkserver = sys.modules.get("multiprocessing.forkserver")
    if forkserver is not None:  # that of the worker is not ours to wait for: jobs start their own
        forkserver._forkserver._forkserver_pid = None
    gevent = sys.modules.get("gevent")
    if gevent is not None:  # its loop is the parent's
        gevent.reinit()
    signals = Dispositions(functools.partial(_arm, context))
    signals.reset_in_forks()
    return signals


def _arm(context: ChildContext, changed: Set[int]) -> None:
    """Have the stack shown at crashes, and when the parent asks, whatever a job has changed."""
    if changed & FATAL:
        faulthandler.disable()
    faulthandler.enable(context.stack)
    if process.DUMP_SIGNAL in changed:
        faulthandler.unregister(process.DUMP_SIGNAL)
    faulthandler.register(process.DUMP_SIGNAL, context.dump, all_threads=True)


def listen(term: TermSwitch) -> None:
    """Hear what the parent has to say to a job by signals."""
    process.set_handler(signal.SIGTERM, term.on_term)
    process.set_handler(process.LIMIT_SIGNAL, term.out_of_limit)
    process.set_handler(process.KILL_SIGNAL, term.on_kill)
    process.unblock_signals()


class Outbox:
    """The way to the parent, as long as the job has left it open."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._owner = os.getpid()
        self._pipe, self._stderr = _inode(fd), _inode(2)

    def send(self, message: report.Report) -> None:
        """Report, or leave without a report if this is no longer ours to make.

        A job may have forked and returned twice, or closed every descriptor and
        opened others under their numbers.
        """
        if os.getpid() != self._owner:
            process.leave(0)
        if _inode(self._fd) != self._pipe:
            if self._stderr is not None and _inode(2) == self._stderr:
                process.write(2, CUT_OFF)
            process.leave(process.CRASHED)
        report.send(self._fd, report.packed(message))

    def send_last(self) -> None:
        """Tell the parent that it need not wait for the exit; it is no loss if it is not told."""
        if os.getpid() == self._owner and _inode(self._fd) == self._pipe:
            with contextlib.suppress(OSError):
                report.send(self._fd, report.EXITING)


def _inode(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _perform_one(
    context: ChildContext,
    term: TermSwitch,
    signals: Dispositions,
    outbox: Outbox,
    reservation: Reservation,
) -> bool:
    """Perform and report one job; whether this process is fit for another."""
    context.procline.processing(reservation.queue, reservation.class_name or "?")
    meter = Meter()
    try:
        if not reservation.payload.decoded:
            reservation = _read(context, term, outbox, reservation)
        declaration = registry.get(reservation.class_name)
        limits = declaration.limits.or_else(context.limits) if declaration else context.limits
        running.job = reservation
        results: list[str] = []
        term.begin_job(limits)
        with signals, memory_limited(limits), term:
            if worker_hooks.any("after_fork"):
                worker_hooks.run("after_fork", reservation)
                process.die_with_parent(context.parent)  # a change of user has cleared it
            found = registry.find(reservation.class_name)
            perform(found, reservation.args, results.append)
    # Whatever a job raises is its failure and not ours, SystemExit and all.
    except BaseException as error:
        signals.put_back()
        _report_failure(context, signals, outbox, reservation, error, meter)
        fit = _is_fit_after(error)
    else:
        outbox.send(report.Done(meter.read(), "".join(results[-1:])))
        fit = True
    meter.leave_clean()
    return fit


def _read(
    context: ChildContext, term: TermSwitch, outbox: Outbox, reservation: Reservation
) -> Reservation:
    """Read a payload that is too large for the parent, and tell the parent what it is.

    Raises UnreadablePayload.
    """
    term.begin_job(context.limits)
    with memory_limited(context.limits), term:
        reservation = reservation.read()
        name, portable = reservation.class_name, reservation.payload.portable
    context.procline.processing(reservation.queue, name)
    outbox.send(report.Read(name, portable))
    return reservation


def _report_failure(
    context: ChildContext,
    signals: Dispositions,
    outbox: Outbox,
    reservation: Reservation,
    error: BaseException,
    meter: Meter,
) -> None:
    action = None
    killed, by_term = isinstance(error, JobKilled), comes_of_term(error)
    left_to_worker = by_term and reservation.retry is not None
    if not by_term and not killed:
        with signals:
            action, error = decided(reservation, error)
    final = left_to_worker or killed or not has_aftermath(reservation, context.backends, action)
    outbox.send(
        report.Failed(
            Failure.of(error),
            meter.read(),
            leaving=not _is_fit_after(error),
            after_term=by_term,
            final=final,
            action=action,
            left_to_worker=left_to_worker,
        )
    )
    if not final:
        with signals:
            message = failure_handled(
                context.backends, context.worker_id, reservation, error, action
            )
        outbox.send(message)


def _is_fit_after(error: BaseException) -> bool:
    """Whether a process can perform another job after one that ended so."""
    return isinstance(error, Exception)


def has_aftermath(
    reservation: Reservation, backends: Backends, action: Action | None = None
) -> bool:
    """Whether there is more to do about a failure of this job than what the worker writes."""
    declaration = registry.get(reservation.class_name)
    owners = declaration.hook_owners if declaration else ()
    if action is not None:
        return action.verb == "later" and bool(job_hooks(owners, "on_retry"))
    return bool(backends.savers or job_hooks(owners, "on_failure"))


def failure_handled(
    backends: Backends,
    worker_id: str,
    reservation: Reservation,
    error: BaseException,
    action: Action | None = None,
) -> report.Handled:
    """Run on_failure hooks and failure backends; what is then to be recorded.

    If it is retried later, on_retry hooks run instead.
    """
    declaration = registry.get(reservation.class_name)
    if action is not None:
        if declaration is not None:
            run_retry_hooks(declaration, error, action.seconds, reservation.args)
        return report.Handled(Failure.of(error), saved=False)
    if declaration is not None:
        error = run_failure_hooks(declaration, error, reservation.args)
    attempt = reservation.failures + 1
    saved = backends.save(error, worker_id, reservation.queue, reservation.redacted, attempt)
    return report.Handled(Failure.of(error), saved)


def _next_job(inbox: report.Inbox) -> Reservation | None:
    while not inbox.closed:
        for message in inbox.read():
            return report.read_job(message)
    return None
