"""What may block is done by a child; the parent's loop goes on, and nothing is left behind."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.exceptions import RedisClusterException

from resque_fork.system import process, subprocess
from resque_fork.system.loop import Loop
from resque_fork.system.signals import Signals

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture
def loop() -> Iterator[Loop]:
    """As a worker has it: orphans are reaped. Nothing is left of it, nor of its children."""
    loop = Loop()
    before = process.children()
    open_before = set(os.listdir("/proc/self/fd"))
    signals = Signals(loop)
    signals.install({signal.SIGCHLD: lambda: process.reap_strangers(before)})
    yield loop
    late = loop.clock() + 10
    while process.children() - before:
        assert loop.clock() < late, "a child is left"
        loop.wait(late)
    signals.restore()
    assert len(set(os.listdir("/proc/self/fd")) - open_before) <= 1  # that of the listing itself


def run(loop: Loop, work: Callable[[], Any], **more: Any) -> Any:
    return subprocess.run(loop, work, loop.wait, **more)


def test_the_answer_comes_from_a_child(loop: Loop) -> None:
    """What the work returns is handed over, however much it is."""
    pid, group, words = run(loop, lambda: (os.getpid(), os.getpgid(0), "x" * 1_000_000))
    assert os.getpid() != pid == group
    assert len(words) == 1_000_000


def test_an_error_comes_from_a_child(loop: Loop) -> None:
    """What the work raises is raised, with its cause."""

    def work() -> None:
        raise RedisClusterException("no node") from ConnectionRefusedError(111, "refused")

    with pytest.raises(RedisClusterException, match="no node") as caught:
        run(loop, work)
    assert repr(caught.value.__cause__) == "ConnectionRefusedError(111, 'refused')"


def test_the_child_keeps_nothing_of_the_parents(loop: Loop) -> None:
    """Descriptors that it must not keep are closed, and no signal speaks in the parent's pipe."""
    reader, writer = os.pipe()

    def work() -> tuple[bool, int]:
        return os.path.exists(f"/proc/self/fd/{reader}"), signal.set_wakeup_fd(-1)

    assert run(loop, work, fds=[reader]) == (False, -1)
    os.close(reader)
    os.close(writer)


def test_the_loop_goes_on(loop: Loop) -> None:
    """Timers are called while the work hangs; at the deadline the child is killed."""
    happened: list[float] = []
    loop.after(0.05, lambda: happened.append(loop.clock()))
    late = loop.clock() + 0.2

    def wait() -> None:
        if loop.clock() >= late:
            raise TimeoutError
        loop.wait(late)

    with pytest.raises(TimeoutError):
        subprocess.run(loop, lambda: time.sleep(600), wait)
    assert len(happened) == 1
    assert loop.clock() - late < 5


def test_a_child_that_dies_without_an_answer(loop: Loop) -> None:
    """Then the work is done here."""
    here = os.getpid()

    def work() -> int:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    assert run(loop, work) == here


def test_an_answer_that_cannot_travel(loop: Loop) -> None:
    """Likewise."""
    assert run(loop, lambda: lambda: 7)() == 7


def test_there_is_no_descriptor_to_be_had(loop: Loop) -> None:
    """Likewise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert run(loop, os.getpid) == os.getpid()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
