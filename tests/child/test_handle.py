"""The parent's handle of a child, tested by histories: reports and times in, signals out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from clock import Clock

from resque_fork.child import report
from resque_fork.child.handle import (
    DUMP_SECONDS,
    FIRST_LOOK,
    LAST_LOOK,
    LATE,
    LEAVE_SECONDS,
    LIMIT,
    STOP,
    WAIT_SECONDS,
    ChildHandle,
)
from resque_fork.child.limit_watch import MEMORY_CHECK
from resque_fork.child.report import Done, Exiting, Failed, Handled, Report
from resque_fork.failure import Failure
from resque_fork.job.limits import Limits
from resque_fork.job.reservation import Reservation
from resque_fork.settings import Settings
from resque_fork.system.loop import Loop
from resque_fork.system.process import DUMP_SIGNAL
from resque_fork.wire.job import Payload

USED = {"rss_growth_kb": 0, "user_ms": 1, "system_ms": 2, "wall_ms": 3}
FAILURE = Failure("E", "e", [])
PERFORMED = Done(USED)
FAILED = Failed(FAILURE, USED)
UNHANDLED = replace(FAILED, final=False)
HANDLED = Handled(FAILURE, saved=True)
JOB = report.packed_job(Reservation("q", Payload.undecoded(b"{}")))

# Says which of these signals it got, in their order, and goes on; it is its own group, as children
# are. It waits for them, for handlers may run in another order than the signals came in. After
# USR1 it has 32 MB more.
STUBBORN = """
import mmap, os, signal
kept = []
more = [signal.SIGRTMIN + 5, signal.SIGRTMIN + 6, signal.SIGRTMAX]
waited_for = {signal.SIGUSR1, signal.SIGTERM, *more}
signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
print("ready", flush=True)
while True:
    number = signal.sigwait(waited_for)
    if number == signal.SIGUSR1:
        kept.append(mmap.mmap(-1, 32 << 20))
        kept[-1].write(b"x" * (32 << 20))
    os.write(1, b"%d\\n" % number)
"""


class Child:
    """A child that lives, the clock that its parent goes by, and the pipes between them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.process = subprocess.Popen(
            [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, process_group=0
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self._heard: list[int] = []
        self._gone = False
        self.outbox = -1
        self.inbox: int | None = None
        self.settings = Settings(**settings)

    def handle(self, *, reuse: bool = False) -> ChildHandle:
        reports, self.outbox = os.pipe()
        jobs: int | None = None
        if reuse:
            self.inbox, jobs = os.pipe()
        os.set_blocking(reports, False)
        return ChildHandle(self.loop, self.settings, self.process.pid, reports, jobs)

    def say(self, *reports: Report) -> None:
        for each in reports:
            report.send(self.outbox, report.packed(each))
        self.loop.poll()

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.loop.poll()

    def got(self) -> list[int]:
        """The signals that it has got since the last time."""
        heard, self._heard = self._listen(), []
        return heard

    def is_dead(self) -> bool:
        self._listen()
        return self._gone

    def _listen(self) -> list[int]:
        """Signals come in before the last of them all, and none comes to the dead."""
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGRTMAX)
        while not self._gone:
            line = self.process.stdout.readline()
            self._gone = not line
            if line == b"%d\n" % signal.SIGRTMAX:
                break
            self._heard += map(int, line.split())
        return self._heard

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for fd in (self.outbox, self.inbox):
            if fd is not None and fd >= 0:
                os.close(fd)


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(**settings: Any) -> Child:
        made.append(Child(**settings))
        return made[-1]

    yield make
    for child in made:
        child.close()


# --- stopping


def test_term_and_after_the_grace_kill(start: Callable[..., Child]) -> None:
    """TERM at once, KILL after term_timeout and not before."""
    child = start(term_timeout=4.0)
    handle = child.handle()
    handle.stop()
    assert child.got() == [signal.SIGTERM]
    child.later(3.9)
    assert not child.is_dead()
    assert not handle.killed
    child.later(0.2)
    assert child.is_dead()
    assert handle.signals_sent[STOP] == ["TERM", "KILL"]
    assert handle.killed


def test_pre_shutdown_comes_first(start: Callable[..., Child]) -> None:
    """The child has that long to finish before it hears of anything."""
    child = start(term_timeout=4.0, pre_shutdown_timeout=10.0)
    child.handle().stop()
    child.later(9.9)
    assert child.got() == []
    child.later(0.2)
    assert child.got() == [signal.SIGTERM]
    child.later(4.1)
    assert child.is_dead()


def test_no_term_child(start: Callable[..., Child]) -> None:
    """Killed outright, which is not the same as after a grace."""
    child = start(term_child=False)
    handle = child.handle()
    handle.stop()
    assert child.is_dead()
    assert handle.killed
    assert handle.signals_sent[STOP] != ["TERM", "KILL"]


def test_stopping_twice_is_stopping_once(start: Callable[..., Child]) -> None:
    """Neither is a second TERM sent, nor does the grace begin anew."""
    child = start(term_timeout=4.0)
    handle = child.handle()
    handle.stop()
    child.later(3.0)
    handle.stop()
    assert child.got() == [signal.SIGTERM]
    child.later(1.1)
    assert child.is_dead()


def test_a_report_ends_the_grace(start: Callable[..., Child]) -> None:
    """A job that answers in time is not killed; its process has its time to leave."""
    child = start(term_timeout=4.0)
    handle = child.handle()
    handle.stop()
    child.later(3.0)
    child.say(PERFORMED)
    child.later(1.5)
    assert not child.is_dead()
    child.later(LEAVE_SECONDS)
    assert child.is_dead()
    assert handle.signals_sent[LATE] == ["KILL"]
    assert handle.signals_sent[STOP] != ["TERM", "KILL"]


def test_stopping_what_has_answered(start: Callable[..., Child]) -> None:
    """No TERM any more: it is on its way out."""
    child = start()
    handle = child.handle()
    child.say(PERFORMED)
    handle.stop()
    assert child.got() == []
    child.later(LEAVE_SECONDS + 0.1)
    assert child.is_dead()


# --- leaving


def test_a_child_that_does_not_leave(start: Callable[..., Child]) -> None:
    """After its report it has so long, and no longer."""
    child = start()
    handle = child.handle()
    child.say(PERFORMED)
    child.later(LEAVE_SECONDS - 0.1)
    assert not child.is_dead()
    child.later(0.2)
    assert child.is_dead()
    assert handle.signals_sent[LATE] == ["KILL"]


def test_a_job_has_all_the_time_it_wants(start: Callable[..., Child]) -> None:
    """Without a report there is no deadline."""
    child = start()
    child.handle()
    child.later(10_000_000)
    assert not child.is_dead()


def test_handling_a_failure_has_its_time_too(start: Callable[..., Child]) -> None:
    """From the failure until it is handled, and again from then until the end."""
    child = start()
    handle = child.handle()
    child.say(UNHANDLED)
    assert not handle.answered
    child.later(LEAVE_SECONDS - 1)
    child.say(HANDLED)
    assert handle.answered
    assert handle.report == UNHANDLED
    assert handle.handled == HANDLED
    child.later(LEAVE_SECONDS - 1)
    assert not child.is_dead()
    child.later(2)
    assert child.is_dead()


def test_handling_a_failure_that_hangs(start: Callable[..., Child]) -> None:
    """A hook or backend that does not come back is cut off."""
    child = start()
    handle = child.handle()
    child.say(UNHANDLED)
    child.later(LEAVE_SECONDS + 0.1)
    assert child.is_dead()
    assert handle.signals_sent[LATE] == ["KILL"]
    assert not handle.answered


@pytest.mark.parametrize("told", [[PERFORMED], [FAILED], [UNHANDLED, HANDLED]])
def test_the_last_word(start: Callable[..., Child], told: list[Report]) -> None:
    """How the child exits after it does not count, unless its exit is waited for."""
    for overlap in (True, False):
        child = start(overlap=overlap)
        handle = child.handle()
        child.say(*told)
        assert not handle.finished
        child.say(Exiting())
        assert handle.finished is overlap
        child.later(LEAVE_SECONDS - 0.1)
        assert not child.is_dead()
        child.process.kill()
        os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
        handle.reap()
        assert handle.ending("a job").wait_status == (0 if overlap else signal.SIGKILL)
        assert handle.broken == ""


@pytest.mark.parametrize("told", [[], [UNHANDLED], [PERFORMED, Exiting()]])
def test_no_last_word(start: Callable[..., Child], told: list[Report]) -> None:
    """Neither before all is said of the job, nor twice."""
    child = start()
    handle = child.handle()
    child.say(*told, Exiting())
    assert child.is_dead()
    assert handle.broken.startswith("'exiting' after ")


def test_a_child_that_waits_to_be_let_go(start: Callable[..., Child]) -> None:
    """It exits when it is told to, or after a second; either way it has its time to leave."""
    for let_go in (True, False):
        child = start()
        handle = child.handle(reuse=True)
        handle.waits = handle.leaving = True
        child.say(PERFORMED, Exiting())
        child.later(WAIT_SECONDS - 0.1)
        assert handle.waits
        if let_go:
            handle.close_job_pipe()
        else:
            child.later(0.2)
        assert not handle.waits
        assert child.inbox is not None
        assert os.read(child.inbox, 10) == b""
        child.later(LEAVE_SECONDS - 0.1)
        assert not child.is_dead()
        child.later(0.2)
        assert child.is_dead()


# --- several jobs


def test_reusable_only_after_an_answer(start: Callable[..., Child]) -> None:
    """And not once it is to stop, has ended, or is leaving by itself."""
    child = start()
    handle = child.handle(reuse=True)
    assert not handle.reusable
    child.say(UNHANDLED)
    assert not handle.reusable
    child.say(HANDLED)
    assert handle.reusable
    assert handle.send_job(JOB)
    assert not handle.reusable
    child.say(replace(FAILED, leaving=True))
    assert not handle.reusable


def test_one_job_to_a_child_is_never_reusable(start: Callable[..., Child]) -> None:
    """It leaves by itself."""
    child = start()
    handle = child.handle()
    assert handle.leaving
    child.say(PERFORMED)
    assert not handle.reusable


def test_waiting_for_a_job_has_no_deadline(start: Callable[..., Child]) -> None:
    """A child that may have another job is not hurried."""
    child = start()
    handle = child.handle(reuse=True)
    child.say(PERFORMED)
    child.later(1000)
    assert not child.is_dead()
    handle.close_job_pipe()
    handle.close_job_pipe()
    child.later(LEAVE_SECONDS + 0.1)
    assert child.is_dead()


def test_no_more_jobs_means_end_of_the_pipe(start: Callable[..., Child]) -> None:
    """The child reads that there is no further job."""
    child = start()
    handle = child.handle(reuse=True)
    child.say(PERFORMED)
    handle.close_job_pipe()
    assert child.inbox is not None
    assert os.read(child.inbox, 10) == b""
    assert handle.send_job(JOB) is False


def test_a_child_that_is_not_there_takes_no_job(start: Callable[..., Child]) -> None:
    """The pipe is broken: somebody else must perform it."""
    child = start()
    handle = child.handle(reuse=True)
    child.say(PERFORMED)
    assert child.inbox is not None
    os.close(child.inbox)
    child.inbox = None
    assert handle.send_job(JOB) is False


# --- memory


def second_job(child: Child, limit: str) -> ChildHandle:
    """A child that may add so much to what its first job has left behind."""
    handle = child.handle(reuse=True)
    take_memory(child)
    child.say(PERFORMED)
    assert handle.send_job(JOB)
    handle.enforce_limits(Limits.declared(memory=limit))
    return handle


def take_memory(child: Child) -> None:
    child.process.send_signal(signal.SIGUSR1)
    assert child.process.stdout is not None
    assert child.process.stdout.readline() == b"%d\n" % signal.SIGUSR1


def test_too_much_memory(start: Callable[..., Child]) -> None:
    """Asked where it is, and killed without a TERM, for it would go on."""
    child = start()
    handle = second_job(child, "16M")
    child.later(MEMORY_CHECK + 0.01)
    take_memory(child)
    child.later(MEMORY_CHECK + 0.01)
    assert child.got() == [DUMP_SIGNAL]
    assert not handle.killed
    child.later(DUMP_SECONDS + 0.01)
    assert child.is_dead()
    assert handle.killed
    assert handle.exceeded == "The job needed more memory than its limit of 16M"
    assert handle.signals_sent[LIMIT] == ["KILL"]


def test_memory_within_the_limit(start: Callable[..., Child]) -> None:
    """What jobs before have left does not count; looked at for as long as the job runs."""
    child = start()
    handle = second_job(child, "48M")
    take_memory(child)
    for _ in range(5):
        child.later(MEMORY_CHECK + 0.01)
    assert child.got() == []
    take_memory(child)
    child.later(MEMORY_CHECK + 0.01)
    assert child.got() == [DUMP_SIGNAL]
    assert handle.exceeded == ""


def test_a_report_before_the_kill(start: Callable[..., Child]) -> None:
    """It finished before anything came of it."""
    child = start()
    handle = second_job(child, "16M")
    take_memory(child)
    child.later(MEMORY_CHECK + 0.01)
    child.say(PERFORMED)
    child.later(1000)
    assert not child.is_dead()
    assert handle.exceeded == ""


@pytest.mark.parametrize("term_child", [True, False])
def test_too_much_memory_while_stopping(start: Callable[..., Child], term_child: bool) -> None:
    """It may not take more, even then; and one killed for stopping was not killed for this."""
    child = start(term_timeout=4.0, term_child=term_child)
    handle = second_job(child, "16M")
    take_memory(child)
    child.later(MEMORY_CHECK + 0.01)
    handle.stop()
    child.later(DUMP_SECONDS + 0.01)
    assert child.is_dead()
    assert handle.signals_sent[STOP] == (["TERM"] if term_child else ["KILL"])
    assert handle.signals_sent[LIMIT] == (["KILL"] if term_child else [])
    assert bool(handle.exceeded) is term_child


def test_no_look_at_memory_after_the_report(start: Callable[..., Child]) -> None:
    """What hooks and backends need is not the job's; nor is what its process keeps."""
    child = start()
    second_job(child, "16M")
    child.say(PERFORMED)
    take_memory(child)
    child.later(MEMORY_CHECK + 0.01)
    assert child.got() == []


# --- its end


def test_its_end_and_its_last_report(start: Callable[..., Child]) -> None:
    """What it said just before it died is heard with its death."""
    child = start()
    handle = child.handle()
    report.send(child.outbox, report.packed(PERFORMED))
    os.kill(child.process.pid, signal.SIGKILL)
    late = time.monotonic() + 10
    while not handle.end and time.monotonic() < late:
        handle.reap()
    assert handle.end is not None
    assert os.WTERMSIG(handle.end.wait_status) == signal.SIGKILL
    assert handle.report == PERFORMED
    assert not handle.killed  # by us
    child.later(1000)  # and no timer is left
    handle.close()


def test_a_living_child_is_not_reaped(start: Callable[..., Child]) -> None:
    """SIGCHLD may have been for another."""
    child = start()
    handle = child.handle()
    handle.reap()
    assert not handle.end


def test_something_that_is_no_report(start: Callable[..., Child]) -> None:
    """A job that writes into our pipe is ended: nothing that it says can be believed."""
    child = start()
    handle = child.handle()
    os.write(child.outbox, b"Hello, world!")
    child.loop.poll()
    assert child.is_dead()
    assert handle.report is None


# --- ends


def test_an_end_that_no_signal_tells_of(start: Callable[..., Child]) -> None:
    """If something of the application's takes SIGCHLD, the end of the pipe tells of it."""
    child = start()
    handle = child.handle()
    child.process.kill()
    os.close(child.outbox)
    child.outbox = -1
    child.loop.poll()
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    assert not handle.end
    child.later(FIRST_LOOK)
    assert handle.end is not None
    assert handle.end.wait_status == signal.SIGKILL


def test_a_child_that_has_only_closed_its_pipe(start: Callable[..., Child]) -> None:
    """It is looked for ever more rarely, and goes on."""
    child = start()
    handle = child.handle()
    os.close(child.outbox)
    child.outbox = -1
    child.loop.poll()
    for _ in range(20):
        child.later(LAST_LOOK)
    assert not handle.end
    assert not child.is_dead()


def test_a_child_that_others_have_waited_for_is_not_signalled(start: Callable[..., Child]) -> None:
    """Its pid may be another process's by now."""
    child = start()
    handle = child.handle()
    child.process.kill()
    child.process.wait()
    command = ["sh", "-c", "sleep 60 >&- & echo $!"]
    other = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    handle.pid = other  # no child of ours
    handle.stop()
    handle.kill()
    os.kill(other, signal.SIGKILL)  # it would raise if that were gone
    handle.reap()
    assert handle.end is not None
    assert handle.end.wait_status is None
