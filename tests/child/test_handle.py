"""The parent's eye on a child, told from histories: words and moments in, signals out."""

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
    ChildHandle,
)
from resque_fork.child.limit_watch import MEMORY_CHECK
from resque_fork.child.report import Done, Failed, Handled, Report
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

# Says which of these signals it got, and goes on; it is its own group, as children are.
# After USR1 it has 32 MB more.
STUBBORN = """
import mmap, os, signal
kept = []
def take(number, frame):
    kept.append(mmap.mmap(-1, 32 << 20))
    kept[-1].write(b"x" * (32 << 20))
    os.write(1, b"%d\\n" % number)
signal.signal(signal.SIGUSR1, take)
for number in (signal.SIGTERM, signal.SIGRTMIN + 5, signal.SIGRTMIN + 6, signal.SIGRTMAX):
    signal.signal(number, lambda number, frame: os.write(1, b"%d\\n" % number))
print("ready", flush=True)
while True:
    signal.pause()
"""


class Scene:
    """A child that lives, the clock that its parent goes by, and the pipes between them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.child = subprocess.Popen(
            [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, process_group=0
        )
        assert self.child.stdout is not None
        assert self.child.stdout.readline() == b"ready\n"
        self._heard: list[int] = []
        self._gone = False
        self.outbox = -1
        self.inbox: int | None = None
        self.settings = Settings(**settings)

    def watch(self, *, reuse: bool = False) -> ChildHandle:
        words, self.outbox = os.pipe()
        jobs: int | None = None
        if reuse:
            self.inbox, jobs = os.pipe()
        os.set_blocking(words, False)
        return ChildHandle(self.loop, self.settings, self.child.pid, words, jobs)

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
        assert self.child.stdout is not None
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGRTMAX)
        while not self._gone:
            line = self.child.stdout.readline()
            self._gone = not line
            if line == b"%d\n" % signal.SIGRTMAX:
                break
            self._heard += map(int, line.split())
        return self._heard

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()
        for fd in (self.outbox, self.inbox):
            if fd is not None and fd >= 0:
                os.close(fd)


@pytest.fixture
def stage() -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(**settings: Any) -> Scene:
        made.append(Scene(**settings))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


# --- stopping


def test_term_and_after_the_grace_kill(stage: Callable[..., Scene]) -> None:
    """TERM at once, KILL after term_timeout and not before."""
    scene = stage(term_timeout=4.0)
    watch = scene.watch()
    watch.stop()
    assert scene.got() == [signal.SIGTERM]
    scene.later(3.9)
    assert not scene.is_dead()
    assert not watch.killed
    scene.later(0.2)
    assert scene.is_dead()
    assert watch.signals_sent[STOP] == ["TERM", "KILL"]
    assert watch.killed


def test_pre_shutdown_comes_first(stage: Callable[..., Scene]) -> None:
    """The child has that long to finish before it hears of anything."""
    scene = stage(term_timeout=4.0, pre_shutdown_timeout=10.0)
    scene.watch().stop()
    scene.later(9.9)
    assert scene.got() == []
    scene.later(0.2)
    assert scene.got() == [signal.SIGTERM]
    scene.later(4.1)
    assert scene.is_dead()


def test_no_term_child(stage: Callable[..., Scene]) -> None:
    """Killed outright, which is not the same as after a grace."""
    scene = stage(term_child=False)
    watch = scene.watch()
    watch.stop()
    assert scene.is_dead()
    assert watch.killed
    assert watch.signals_sent[STOP] != ["TERM", "KILL"]


def test_stopping_twice_is_stopping_once(stage: Callable[..., Scene]) -> None:
    """Neither is a second TERM sent, nor does the grace begin anew."""
    scene = stage(term_timeout=4.0)
    watch = scene.watch()
    watch.stop()
    scene.later(3.0)
    watch.stop()
    assert scene.got() == [signal.SIGTERM]
    scene.later(1.1)
    assert scene.is_dead()


def test_a_word_ends_the_grace(stage: Callable[..., Scene]) -> None:
    """A job that answers in time is not killed; its process has its time to leave."""
    scene = stage(term_timeout=4.0)
    watch = scene.watch()
    watch.stop()
    scene.later(3.0)
    scene.say(PERFORMED)
    scene.later(1.5)
    assert not scene.is_dead()
    scene.later(LEAVE_SECONDS)
    assert scene.is_dead()
    assert watch.signals_sent[LATE] == ["KILL"]
    assert watch.signals_sent[STOP] != ["TERM", "KILL"]


def test_stopping_what_has_answered(stage: Callable[..., Scene]) -> None:
    """No TERM any more: it is on its way out."""
    scene = stage()
    watch = scene.watch()
    scene.say(PERFORMED)
    watch.stop()
    assert scene.got() == []
    scene.later(LEAVE_SECONDS + 0.1)
    assert scene.is_dead()


# --- leaving


def test_a_child_that_does_not_leave(stage: Callable[..., Scene]) -> None:
    """After its word it has so long, and no longer."""
    scene = stage()
    watch = scene.watch()
    scene.say(PERFORMED)
    scene.later(LEAVE_SECONDS - 0.1)
    assert not scene.is_dead()
    scene.later(0.2)
    assert scene.is_dead()
    assert watch.signals_sent[LATE] == ["KILL"]


def test_a_job_has_all_the_time_it_wants(stage: Callable[..., Scene]) -> None:
    """No word, no deadline."""
    scene = stage()
    scene.watch()
    scene.later(10_000_000)
    assert not scene.is_dead()


def test_settling_has_its_time_too(stage: Callable[..., Scene]) -> None:
    """Between the failure and its settlement, and again between that and the end."""
    scene = stage()
    watch = scene.watch()
    scene.say(UNHANDLED)
    assert not watch.answered
    scene.later(LEAVE_SECONDS - 1)
    scene.say(HANDLED)
    assert watch.answered
    assert watch.report == UNHANDLED
    assert watch.handled == HANDLED
    scene.later(LEAVE_SECONDS - 1)
    assert not scene.is_dead()
    scene.later(2)
    assert scene.is_dead()


def test_a_settlement_that_hangs(stage: Callable[..., Scene]) -> None:
    """A hook or backend that does not come back is cut off."""
    scene = stage()
    watch = scene.watch()
    scene.say(UNHANDLED)
    scene.later(LEAVE_SECONDS + 0.1)
    assert scene.is_dead()
    assert watch.signals_sent[LATE] == ["KILL"]
    assert not watch.answered


# --- several jobs


def test_reusable_only_after_an_answer(stage: Callable[..., Scene]) -> None:
    """And not once it is to stop, has ended, or is leaving by itself."""
    scene = stage()
    watch = scene.watch(reuse=True)
    assert not watch.reusable
    scene.say(UNHANDLED)
    assert not watch.reusable
    scene.say(HANDLED)
    assert watch.reusable
    assert watch.send_job(JOB)
    assert not watch.reusable
    scene.say(replace(FAILED, leaving=True))
    assert not watch.reusable


def test_one_job_to_a_child_is_never_reusable(stage: Callable[..., Scene]) -> None:
    """It leaves by itself."""
    scene = stage()
    watch = scene.watch()
    assert watch.leaving
    scene.say(PERFORMED)
    assert not watch.reusable


def test_waiting_for_a_job_has_no_deadline(stage: Callable[..., Scene]) -> None:
    """A child that may have another job is not hurried."""
    scene = stage()
    watch = scene.watch(reuse=True)
    scene.say(PERFORMED)
    scene.later(1000)
    assert not scene.is_dead()
    watch.close_job_pipe()
    watch.close_job_pipe()
    scene.later(LEAVE_SECONDS + 0.1)
    assert scene.is_dead()


def test_dismissed_means_end_of_the_pipe(stage: Callable[..., Scene]) -> None:
    """The child reads that there is no further job."""
    scene = stage()
    watch = scene.watch(reuse=True)
    scene.say(PERFORMED)
    watch.close_job_pipe()
    assert scene.inbox is not None
    assert os.read(scene.inbox, 10) == b""
    assert watch.send_job(JOB) is False


def test_a_child_that_is_not_there_takes_no_job(stage: Callable[..., Scene]) -> None:
    """The pipe is broken: somebody else must perform it."""
    scene = stage()
    watch = scene.watch(reuse=True)
    scene.say(PERFORMED)
    assert scene.inbox is not None
    os.close(scene.inbox)
    scene.inbox = None
    assert watch.send_job(JOB) is False


# --- memory


def second_job(scene: Scene, limit: str) -> ChildHandle:
    """A child that may add so much to what its first job has left behind."""
    watch = scene.watch(reuse=True)
    take_memory(scene)
    scene.say(PERFORMED)
    assert watch.send_job(JOB)
    watch.enforce_limits(Limits.declared(memory=limit))
    return watch


def take_memory(scene: Scene) -> None:
    scene.child.send_signal(signal.SIGUSR1)
    assert scene.child.stdout is not None
    assert scene.child.stdout.readline() == b"%d\n" % signal.SIGUSR1


def test_too_much_memory(stage: Callable[..., Scene]) -> None:
    """Asked where it is, and killed without a TERM, for it would go on."""
    scene = stage()
    watch = second_job(scene, "16M")
    scene.later(MEMORY_CHECK + 0.01)
    take_memory(scene)
    scene.later(MEMORY_CHECK + 0.01)
    assert scene.got() == [DUMP_SIGNAL]
    assert not watch.killed
    scene.later(DUMP_SECONDS + 0.01)
    assert scene.is_dead()
    assert watch.killed
    assert watch.exceeded == "The job needed more memory than its limit of 16M"
    assert watch.signals_sent[LIMIT] == ["KILL"]


def test_memory_within_the_limit(stage: Callable[..., Scene]) -> None:
    """What jobs before have left does not count; looked at for as long as the job runs."""
    scene = stage()
    watch = second_job(scene, "48M")
    take_memory(scene)
    for _ in range(5):
        scene.later(MEMORY_CHECK + 0.01)
    assert scene.got() == []
    take_memory(scene)
    scene.later(MEMORY_CHECK + 0.01)
    assert scene.got() == [DUMP_SIGNAL]
    assert watch.exceeded == ""


def test_a_word_before_the_kill(stage: Callable[..., Scene]) -> None:
    """It finished before anything came of it."""
    scene = stage()
    watch = second_job(scene, "16M")
    take_memory(scene)
    scene.later(MEMORY_CHECK + 0.01)
    scene.say(PERFORMED)
    scene.later(1000)
    assert not scene.is_dead()
    assert watch.exceeded == ""


@pytest.mark.parametrize("term_child", [True, False])
def test_too_much_memory_while_stopping(stage: Callable[..., Scene], term_child: bool) -> None:
    """It may not take more, even then; and one killed for stopping was not killed for this."""
    scene = stage(term_timeout=4.0, term_child=term_child)
    watch = second_job(scene, "16M")
    take_memory(scene)
    scene.later(MEMORY_CHECK + 0.01)
    watch.stop()
    scene.later(DUMP_SECONDS + 0.01)
    assert scene.is_dead()
    assert watch.signals_sent[STOP] == (["TERM"] if term_child else ["KILL"])
    assert watch.signals_sent[LIMIT] == (["KILL"] if term_child else [])
    assert bool(watch.exceeded) is term_child


def test_no_look_at_memory_after_the_word(stage: Callable[..., Scene]) -> None:
    """What hooks and backends need is not the job's; nor is what its process keeps."""
    scene = stage()
    second_job(scene, "16M")
    scene.say(PERFORMED)
    take_memory(scene)
    scene.later(MEMORY_CHECK + 0.01)
    assert scene.got() == []


# --- its end


def test_its_end_and_its_last_words(stage: Callable[..., Scene]) -> None:
    """What it said just before it died is heard with its death."""
    scene = stage()
    watch = scene.watch()
    report.send(scene.outbox, report.packed(PERFORMED))
    os.kill(scene.child.pid, signal.SIGKILL)
    late = time.monotonic() + 10
    while not watch.ended and time.monotonic() < late:
        watch.reap()
    assert watch.end is not None
    assert os.WTERMSIG(watch.end.wait_status) == signal.SIGKILL
    assert watch.report == PERFORMED
    assert not watch.killed  # by us
    scene.later(1000)  # and no timer is left
    watch.close()


def test_a_living_child_is_not_reaped(stage: Callable[..., Scene]) -> None:
    """SIGCHLD may have been for another."""
    scene = stage()
    watch = scene.watch()
    watch.reap()
    assert not watch.ended


def test_something_that_is_no_report(stage: Callable[..., Scene]) -> None:
    """A job that writes into our pipe is ended: nothing that it says can be believed."""
    scene = stage()
    watch = scene.watch()
    os.write(scene.outbox, b"Hello, world!")
    scene.loop.poll()
    assert scene.is_dead()
    assert watch.report is None


# --- ends


def test_an_end_that_no_signal_tells_of(stage: Callable[..., Scene]) -> None:
    """If something of the application's takes SIGCHLD, the end of the pipe tells of it."""
    scene = stage()
    watch = scene.watch()
    scene.child.kill()
    os.close(scene.outbox)
    scene.outbox = -1
    scene.loop.poll()
    os.waitid(os.P_PID, scene.child.pid, os.WEXITED | os.WNOWAIT)
    assert not watch.ended
    scene.later(FIRST_LOOK)
    assert watch.end is not None
    assert watch.end.wait_status == signal.SIGKILL


def test_a_child_that_has_only_closed_its_pipe(stage: Callable[..., Scene]) -> None:
    """It is looked for ever more rarely, and goes on."""
    scene = stage()
    watch = scene.watch()
    os.close(scene.outbox)
    scene.outbox = -1
    scene.loop.poll()
    for _ in range(20):
        scene.later(LAST_LOOK)
    assert not watch.ended
    assert not scene.is_dead()


def test_a_child_that_others_have_waited_for_is_not_signalled(stage: Callable[..., Scene]) -> None:
    """Its pid may be another process's by now."""
    scene = stage()
    watch = scene.watch()
    scene.child.kill()
    scene.child.wait()
    command = ["sh", "-c", "sleep 60 >&- & echo $!"]
    stranger = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    watch.pid = stranger  # no child of ours
    watch.stop()
    watch.kill()
    os.kill(stranger, signal.SIGKILL)  # it would raise if that were gone
    watch.reap()
    assert watch.end is not None
    assert watch.end.wait_status is None
