"""Signals become events of a loop, each once, and the process is left as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from resque_fork.system.loop import Loop
from resque_fork.system.signals import Signals

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


class Heard(list[str]):
    """What the actions noted."""

    def note(self, what: str) -> Callable[[], None]:
        return lambda: self.append(what)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def signals(loop: Loop, heard: Heard) -> Iterator[Signals]:
    """Installed for two signals, and put back in the end."""
    before = {number: signal.getsignal(number) for number in (USR1, USR2)}
    signals = Signals(loop)
    table = {USR1: heard.note("USR1"), USR2: heard.note("USR2")}
    signals.install(table)
    yield signals
    if signal.getsignal(USR1) is not before[USR1]:
        signals.restore()
    assert {number: signal.getsignal(number) for number in before} == before


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.usefixtures("signals")
def test_nothing_happens_in_a_handler(loop: Loop, heard: Heard) -> None:
    """A signal waits for the loop, which it wakes."""
    send(USR1)
    assert heard == []
    loop.wait()
    assert heard == ["USR1"]


@pytest.mark.usefixtures("signals")
def test_in_their_order_and_each_once(loop: Loop, heard: Heard) -> None:
    """As many actions as there were signals."""
    send(USR1, USR2, USR1)
    loop.wait()
    assert heard == ["USR1", "USR2", "USR1"]
    loop.poll()
    assert len(heard) == 3


@pytest.mark.usefixtures("signals")
def test_more_than_a_pipe_takes(loop: Loop, heard: Heard) -> None:
    """What does not fit any more is dropped without a word: it woke the loop long ago."""
    for _ in range(70_000):
        send(USR1)
    while loop.clock() and len(heard) < 60_000:
        loop.wait()
    loop.poll()
    assert set(heard) == {"USR1"}


def test_an_action_may_restore(loop: Loop) -> None:
    """The action of one signal may be to have done with all of them."""
    signals = Signals(loop)
    table = {USR1: lambda: signals.restore()}
    signals.install(table)
    send(USR1)
    loop.wait()
    assert signal.getsignal(USR1) is signal.SIG_DFL


def test_what_was_before_is_put_back(loop: Loop, heard: Heard) -> None:
    """Handlers and wake-up descriptor of the program that called us."""
    own: list[int] = []
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.signal(USR1, lambda number, frame: own.append(number))
    wakeup = signal.set_wakeup_fd(writer)
    try:
        signals = Signals(loop)
        table = {USR1: heard.note("USR1")}
        signals.install(table)
        signals.restore()
        send(USR1)
        assert own == [USR1]
        assert heard == []
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(USR1, before)
        os.close(reader)
        os.close(writer)


def test_blocked_signals_are_unblocked(loop: Loop, heard: Heard) -> None:
    """What was sent before it was installed is heard."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [USR1])
    signal.raise_signal(USR1)  # to this thread: another might have it unblocked
    signals = Signals(loop)
    table = {USR1: heard.note("USR1")}
    signals.install(table)
    try:
        loop.wait()
        assert heard == ["USR1"]
    finally:
        signals.restore()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_only_in_the_main_thread(loop: Loop) -> None:
    """Python allows it nowhere else."""
    errors: list[Exception] = []

    def install() -> None:
        try:
            Signals(loop).install({USR1: lambda: None})
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    assert len(errors) == 1


def elsewhere() -> None:
    """What an event loop with signal handlers does on leaving."""
    signal.set_wakeup_fd(-1)


def test_what_was_missed_is_made_up_for(signals: Signals, loop: Loop, heard: Heard) -> None:
    """In its order, and each once: what came before, and what woke somebody else."""
    send(USR2)
    elsewhere()
    send(USR1)
    loop.poll()
    assert heard == ["USR2"]
    send(USR2)
    signals.reinstate()
    loop.wait()
    assert sorted(heard[1:]) == ["USR1", "USR2"]
    send(USR1)
    loop.wait()
    assert heard[3:] == ["USR1"]
    signals.reinstate()
    loop.poll()
    assert len(heard) == 4


def test_nothing_is_made_up_where_nothing_was_missed(
    signals: Signals, loop: Loop, heard: Heard
) -> None:
    """A signal that waits in the pipe is acted on once."""
    send(USR1, USR2)
    signals.reinstate()
    signals.reinstate()
    loop.poll()
    assert heard == ["USR1", "USR2"]


def test_handlers_and_mask_are_put_back(signals: Signals, loop: Loop, heard: Heard) -> None:
    """Whatever they are now; and SIGPIPE is ignored."""
    signal.signal(USR1, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, [USR2])
    signals.reinstate()
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    send(USR1, USR2)
    loop.wait()
    assert heard == ["USR1", "USR2"]


def test_a_pipe_that_was_closed(signals: Signals, loop: Loop, heard: Heard) -> None:
    """It is made anew, and who has its descriptors now keeps them."""
    for fd in loop.fds:
        os.close(fd)
    others = os.pipe()
    assert set(others) == loop.fds
    signals.reinstate()
    send(USR1)
    loop.wait()
    assert heard == ["USR1"]
    os.write(others[1], b"theirs")
    assert os.read(others[0], 100) == b"theirs"
    for fd in others:
        os.close(fd)


def test_children_are_looked_at(loop: Loop, heard: Heard) -> None:
    """The end of one may have been missed."""
    signals = Signals(loop)
    table = {signal.SIGCHLD: heard.note("CHLD")}
    signals.install(table)
    try:
        signals.reinstate()
        loop.poll()
        assert heard == []
        elsewhere()
        signals.reinstate()
        loop.wait()
        assert heard == ["CHLD"]
    finally:
        signals.restore()


def test_signals_that_raise(signals: Signals, loop: Loop, heard: Heard) -> None:
    """At once, while that is wanted; what else they do is done later, wherever they went."""

    def fall(number: int, frame: object) -> None:
        raise LookupError(number)

    elsewhere()
    send(USR2)
    with signals.raising([USR1], fall), pytest.raises(LookupError):
        send(USR1)
    assert heard == []
    signals.reinstate()
    loop.wait()
    assert sorted(heard) == ["USR1", "USR2"]
    send(USR1)
    loop.wait()
    assert len(heard) == 3


CHILD = """
import os, signal
from resque_fork.system import process
from resque_fork.system.loop import Loop
from resque_fork.system.signals import Signals

heard = []
loop = Loop()
signals = Signals(loop)
table = {signal.SIGUSR1: lambda: heard.append("parent")}
signals.install(table)
pid = os.fork()
if pid == 0:
    process.close_inherited_fds(loop.fds)
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    for _ in range(10):
        os.kill(os.getpid(), signal.SIGUSR1)
    os._exit(0)
os.waitpid(pid, 0)
loop.poll()
print(heard)
os.kill(os.getpid(), signal.SIGUSR1)
loop.poll()
print(heard)
"""


def test_a_childs_signals_are_not_its_parents() -> None:
    """After letting go of it nothing that a child gets speaks in the parent's pipe."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["[]", "['parent']"]
