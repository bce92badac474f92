"""Pages that are pinned are copied by fork itself, and each side sees its own writes only."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import subprocess
import sys

import pytest

from resque_fork.system import libc, pinned_pages, proc, process
from resque_fork.system.pinned_pages import FEWEST, MOST, PAGE

# Writes to the pages of a buffer on both sides of a fork, and tells the page faults of each.
FORKS = """
import mmap, os, resource, sys
import ctypes
from resque_fork.system import pinned_pages

PAGE, COUNT = mmap.PAGESIZE, 500
memory = mmap.mmap(-1, PAGE * COUNT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
memory[::PAGE] = b"a" * COUNT
if sys.argv[1] == "pinned":
    pins = pinned_pages.pin(range(start // PAGE, start // PAGE + COUNT))


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def write(what):
    before = faults()
    memory[::PAGE] = what * COUNT
    return faults() - before


go, told = os.pipe(), os.pipe()
if not os.fork():
    os.read(go[0], 1)  # the parent has written
    seen = bytes(memory[::PAGE])
    count = write(b"c")
    os.write(told[1], b"%d %d" % (seen == b"a" * COUNT, count))
    os._exit(0)
ours = write(b"p")
os.write(go[1], b".")
unharmed, childs = os.read(told[0], 100).split()
os.wait()
print(ours, int(childs), int(unharmed) and memory[::PAGE] == b"p" * COUNT)
"""


def forks(how: str) -> list[int]:
    """Faults of the parent and of the child, and whether each saw its own writes only."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS, how], capture_output=True, text=True, check=True, timeout=60
    )
    return [int(word == "True") if word.isalpha() else int(word) for word in done.stdout.split()]


@pytest.fixture
def pinning() -> None:
    if why := pinned_pages.why_not():
        pytest.skip(f"pages cannot be pinned here: {why}")


@pytest.mark.usefixtures("pinning")
def test_neither_side_takes_a_fault() -> None:
    """Of 500 pages that both write to after the fork; and each has its own copy."""
    ours, childs, isolated = forks("pinned")
    assert ours < 50
    assert childs < 50
    assert isolated


def test_without_pins_each_page_is_a_fault() -> None:
    """On both sides, which is what the above is compared with."""
    ours, childs, isolated = forks("plain")
    assert ours >= 500
    assert childs >= 500
    assert isolated


@pytest.mark.parametrize("bystander", [False, True], ids=["alone", "shared with another"])
def test_pages_that_either_side_has_written_to(bystander: bool) -> None:
    """Since the fork, as long as the child lives, also if a supervisor has all of them too."""
    memory = ctypes.create_string_buffer(b"x" * PAGE * 12, PAGE * 12)
    first = ctypes.addressof(memory) // PAGE + 1
    go, done = os.pipe(), os.pipe()

    def fork(write: bool) -> int:
        child = os.fork()
        if not child:
            if write:
                memory[PAGE * 4] = b"c"
            os.write(done[1], b".")
            os.read(go[0], 1)
            os._exit(0)
        os.read(done[0], 1)
        return child

    children = [fork(write=False)] if bystander else []
    children.append(fork(write=True))
    memory[PAGE * 8] = b"p"
    found = pinned_pages.written_pages(children[-1])
    os.write(go[1], b"." * len(children))
    for child in children:
        os.waitpid(child, 0)
    for fd in (*go, *done):
        os.close(fd)
    written = {(ctypes.addressof(memory) + PAGE * n) // PAGE for n in (4, 8)}
    assert found & set(range(first, first + 10)) == written


def test_a_child_that_has_ended() -> None:
    """What it wrote to cannot be told any more."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError):
        pinned_pages.written_pages(child)
    os.waitpid(child, 0)


def test_a_child_that_has_become_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not shown to its parent, whose own pages tell enough."""

    def own_pages(who: int | str) -> set[int]:
        if who == "self":
            return {1, 2}
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(pinned_pages, "_own_pages", own_pages)
    assert pinned_pages.written_pages(os.getpid()) == {1, 2}


@pytest.mark.usefixtures("pinning")
def test_as_many_as_may_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first half, and half of that, until the system takes them; too few are none at all."""
    asked: list[int] = []
    pin = libc.pin

    def limited(pieces: list[tuple[int, int]]) -> int:
        asked.append(sum(size for _, size in pieces) // PAGE)
        if asked[-1] > limit:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return pin(pieces[:1])

    memory = ctypes.create_string_buffer(PAGE * (MOST + 9))
    first = ctypes.addressof(memory) // PAGE + 1
    monkeypatch.setattr(libc, "pin", limited)
    limit = MOST // 4
    os.close(pinned_pages.pin(range(first, first + MOST + 7)))
    assert asked == [MOST, MOST // 2, MOST // 4]
    limit = FEWEST - 1
    with pytest.raises(OSError, match="Cannot allocate memory"):
        pinned_pages.pin(range(first, first + MOST))


@pytest.mark.usefixtures("pinning")
def test_neighbours_are_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever order they come."""
    pieces: list[tuple[int, int]] = []
    monkeypatch.setattr(libc, "pin", lambda found: pieces.extend(found) or 0)
    pinned_pages.pin([9, 3, 4, 5, 1])
    assert pieces == [(PAGE, PAGE), (3 * PAGE, 3 * PAGE), (9 * PAGE, PAGE)]


def test_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the system's, whether there is no such call or it is forbidden."""
    monkeypatch.setattr(libc, "_libc", None)
    assert pinned_pages.why_not() == os.strerror(errno.ENOSYS)

    def forbidden(pieces: object) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(libc, "pin", forbidden)
    assert pinned_pages.why_not() == "Operation not permitted"


def test_the_limit_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes; there is none for root."""
    soft = 8 << 20
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, soft))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert pinned_pages.limit() == soft
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert pinned_pages.limit() is None
    soft = resource.RLIM_INFINITY
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert pinned_pages.limit() is None


# Has the kernel answer io_uring_setup as a filter would, and asks.
FILTERED = """
import ctypes, struct, sys
from resque_fork.system import pinned_pages, proc

libc = ctypes.CDLL(None, use_errno=True)
ALLOW, CALL = 0x7FFF0000, 425
rules = [
    struct.pack("HBBI", 0x20, 0, 0, 0),  # load the number of the call
    struct.pack("HBBI", 0x15, 0, 1, CALL),  # if it is not this one, skip a rule
    struct.pack("HBBI", 0x06, 0, 0, int(sys.argv[1], 16)),
    struct.pack("HBBI", 0x06, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(rules))
program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0  # PR_SET_SECCOMP
print(proc.is_filtered(), pinned_pages.why_not(), sep="; ")
"""


@pytest.mark.usefixtures("pinning")
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("80000000", "a filter of system calls kills who asks"),
        ("00050001", "Operation not permitted"),
        ("7fff0000", "None"),
    ],
    ids=["kill", "refuse", "allow"],
)
def test_a_filter_of_system_calls(answer: str, why: str) -> None:
    """One that kills instead of refusing kills no worker."""
    done = subprocess.run(
        [sys.executable, "-c", FILTERED, answer], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"True; {why}\n", "", 0)


def test_without_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is made to find out."""
    monkeypatch.setattr(proc, "is_filtered", lambda: False)
    monkeypatch.setattr(process, "fork", None)
    pinned_pages.why_not()


@pytest.mark.usefixtures("pinning")
def test_a_descriptor_is_left_open_only_where_pages_are_pinned() -> None:
    """Asking leaves nothing open, and nor does a refusal."""
    before = set(os.listdir("/proc/self/fd"))
    assert pinned_pages.why_not() is None
    with pytest.raises(OSError, match="Bad address"):
        libc.pin([(PAGE, PAGE)])  # nothing is mapped there
    assert set(os.listdir("/proc/self/fd")) == before
