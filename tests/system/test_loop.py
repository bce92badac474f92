"""The loop calls back for what is readable and what is due, by a clock that it is given."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from clock import Clock

from resque_fork.system.loop import READABLE, WRITABLE, Loop


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Loop:
    return Loop(clock)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: where to read, where to write."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_due_timers_run_in_order(loop: Loop, clock: Clock) -> None:
    """What is due runs in the order of its times, and at one time in the order it was asked for."""
    ran: list[str] = []
    loop.after(2, lambda: ran.append("third"))
    loop.after(1, lambda: ran.append("first"))
    loop.after(1, lambda: ran.append("second"))
    loop.after(3, lambda: ran.append("later"))
    loop.poll()
    assert ran == []
    clock.now = 1002
    loop.poll()
    assert ran == ["first", "second", "third"]


def test_cancelled_timer_does_not_run(loop: Loop, clock: Clock) -> None:
    """A timer that was cancelled is forgotten, even by one that is due in the same round."""
    ran: list[str] = []
    second = loop.after(2, lambda: ran.append("second"))
    loop.after(1, second.cancel)
    loop.after(1, lambda: ran.append("other")).cancel()
    clock.now = 1002
    loop.poll()
    assert ran == []


def test_timer_runs_once(loop: Loop, clock: Clock) -> None:
    """A timer is over once it has run; it may set the next."""
    ran: list[float] = []

    def again() -> None:
        ran.append(clock.now)
        loop.after(5, again)

    loop.after(5, again)
    for clock.now in (1004, 1005, 1006, 1010, 1011):
        loop.poll()
    assert ran == [1005, 1010]


def test_readable_descriptor_calls_back(loop: Loop, pipe: tuple[int, int]) -> None:
    """A descriptor that has something to read calls back, in each round until it is read."""
    reader, writer = pipe
    seen: list[int] = []
    loop.watch(reader, lambda: seen.append(1))
    loop.poll()
    assert seen == []
    os.write(writer, b"x")
    loop.wait()
    loop.wait()
    assert seen == [1, 1]


def test_forgotten_descriptor_is_quiet(loop: Loop, pipe: tuple[int, int]) -> None:
    """A descriptor that is watched no longer does not call back; forgetting twice is no error."""
    reader, writer = pipe
    loop.watch(reader, lambda: pytest.fail("it was forgotten"))
    os.write(writer, b"x")
    loop.forget(reader)
    loop.forget(reader)
    loop.poll()


def test_descriptor_forgotten_by_another_of_the_same_round(loop: Loop) -> None:
    """Of two that are readable at once, the second does not call back if the first forgets it."""
    pairs = [os.pipe(), os.pipe()]
    called: list[int] = []

    def callback(index: int) -> None:
        called.append(index)
        loop.forget(pairs[1 - index][0])

    for index, (reader, writer) in enumerate(pairs):
        loop.watch(reader, lambda index=index: callback(index))
        os.write(writer, b"x")
    loop.poll()
    assert len(called) == 1
    for ends in pairs:
        for fd in ends:
            os.close(fd)


def test_writable_descriptor_calls_back(loop: Loop) -> None:
    """A descriptor watched for writing calls back when there is room; watched anew, it does not."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen: list[str] = []
        loop.watch(ours.fileno(), lambda: seen.append("room"), READABLE | WRITABLE)
        loop.wait()
        loop.watch(ours.fileno(), lambda: seen.append("data"))
        loop.poll()
        theirs.send(b"x")
        loop.wait()
        assert seen == ["room", "data"]


def test_wait_ends_at_the_next_timer(pipe: tuple[int, int]) -> None:
    """A wait ends by itself for what is due, or for `until`, whichever comes first."""
    loop = Loop()
    ran: list[float] = []
    loop.after(0.01, lambda: ran.append(1))
    loop.watch(pipe[0], lambda: pytest.fail("there is nothing to read"))
    while not ran:
        loop.wait(loop.clock() + 60)
    start = loop.clock()
    loop.wait(start + 0.01)
    assert loop.clock() >= start + 0.009


def test_wait_with_a_deadline_gone_by_does_not_sleep(loop: Loop) -> None:
    """A deadline in the past is a look, not an error."""
    loop.wait(until=1)


def test_a_descriptor_that_was_closed(loop: Loop) -> None:
    """What somebody has closed is quiet, and may come again as something else."""
    reader, writer = os.pipe()
    loop.watch(reader, lambda: pytest.fail("it was closed"))
    os.close(reader)
    loop.wait()
    os.close(writer)
    loop.poll()
    ours, theirs = os.pipe()
    assert reader in (ours, theirs)
    seen: list[int] = []
    loop.watch(ours, lambda: seen.append(1))
    os.write(theirs, b"x")
    loop.wait()
    assert seen == [1]
    os.close(ours)
    os.close(theirs)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_leaves_the_loop_alone(pipe: tuple[int, int]) -> None:
    """What a forked child closes, its parent still watches."""
    loop = Loop()
    reader, writer = pipe
    seen: list[int] = []
    loop.watch(reader, lambda: seen.append(1))
    child = os.fork()
    if child == 0:
        os.close(reader)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.write(writer, b"x")
    loop.wait()
    assert seen == [1]


def test_more_descriptors_than_are_allowed() -> None:
    """Somebody has lowered the limit of this process, and poll refuses so many."""
    script = (
        "import os, resource\n"
        "from resque_fork.system.loop import WRITABLE, Loop\n"
        "loop, seen, pipes = Loop(), [], [os.pipe() for _ in range(5)]\n"
        "for reader, writer in pipes:\n"
        "    loop.watch(reader, lambda fd=reader: seen.append(os.read(fd, 1)))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "os.write(pipes[3][1], b'x')\n"
        "loop.watch(pipes[0][1], lambda: seen.append('room'), WRITABLE)\n"
        "loop.wait()\n"
        "loop.forget(pipes[0][1])\n"
        "loop.poll()\n"
        "print(seen)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[b'x', 'room']\n"


class Beat:
    """A task that is due every second, and counts."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.count = 0
        self.due = loop.clock() + 1

    def run(self) -> None:
        self.count += 1
        self.due = self.loop.clock() + 1


def test_tasks_run_while_idle_and_in_no_other_wait(clock: Clock, loop: Loop) -> None:
    """Waiting for a reply runs timers and callbacks, and no task; being idle runs what is due."""
    beat = Beat(loop)
    loop.tasks.append(beat)
    clock.now += 5
    loop.wait(clock.now)
    loop.sleep(0)
    loop.poll()
    assert beat.count == 0
    loop.idle(clock.now)
    loop.idle(clock.now)
    assert beat.count == 1
    clock.now += 1
    loop.run_tasks()
    assert beat.count == 2


def test_being_idle_ends_when_a_task_is_due() -> None:
    """However long it may sleep."""
    loop = Loop()
    beat = Beat(loop)
    beat.due = loop.clock() + 0.01
    loop.tasks.append(beat)
    loop.idle()
    loop.idle(loop.clock() + 600)
    assert beat.count == 2
