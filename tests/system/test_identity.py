"""A process is told from every other that has, or has had, its pid."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from resque_fork.system.identity import LINUX, UNKNOWN, UNKNOWN_BOOT, Identity, is_alive


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, of a name that is hard to read."""
    code = "import setproctitle, time; setproctitle.setthreadtitle('a) Z 1 (b'); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield process
        process.kill()


def until(happened: object) -> None:
    late = time.monotonic() + 10
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < late
        time.sleep(0.01)


def test_of_oneself() -> None:
    """The same whether asked by pid or as this process; it is here, of course."""
    assert Identity.of(os.getpid()) == Identity.here()
    assert Identity.here().is_here()
    assert is_alive(os.getpid())


def test_of_another(other: subprocess.Popen[bytes]) -> None:
    """Another start, the same boot and namespace; stable as long as it lives."""
    one, here = Identity.of(other.pid), Identity.here()
    assert one is not None
    assert one.is_here()
    assert (one.boot, one.pid_namespace) == (here.boot, here.pid_namespace)
    assert one == Identity.of(other.pid)


def test_a_name_does_not_matter(other: subprocess.Popen[bytes]) -> None:
    """A process may be called anything, parentheses and blanks included."""
    before = Identity.of(other.pid)
    until(lambda: psutil.Process(other.pid).name().startswith("a) Z"))
    assert is_alive(other.pid)
    assert Identity.of(other.pid) == before


def test_two_of_one_pid_differ_by_their_start(other: subprocess.Popen[bytes]) -> None:
    """The time since boot at which they were started, in ticks of the kernel."""
    one = Identity.of(other.pid)
    assert one is not None
    assert one.start != Identity.here().start
    assert one.start.isdecimal()


def test_a_zombie_is_not_alive() -> None:
    """It has a pid, and nothing else."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not is_alive(process.pid)
    assert Identity.of(process.pid) is None
    process.wait()
    assert Identity.of(process.pid) is None


def test_what_does_not_exist_is_not_alive() -> None:
    """Beyond any pid that a kernel gives out."""
    assert not is_alive(2**22 + 1)
    assert Identity.of(2**22 + 1) is None


def test_to_redis_and_back() -> None:
    """Its fields are text; what lacks one of them is none."""
    here = Identity.here()
    fields = here.to_fields()
    assert set(fields) == {"boot", "pid_namespace", "start"}
    assert Identity.from_fields({**fields, "token": "x"}) == here
    assert Identity.from_fields({}) is None
    assert Identity.from_fields({"token": "x", "boot": "b"}) is None


@pytest.mark.parametrize("field", ["boot", "pid_namespace"])
def test_elsewhere(field: str) -> None:
    """After a reboot, or in another container, a pid means nothing here."""
    elsewhere = Identity.from_fields({**Identity.here().to_fields(), field: "another"})
    assert elsewhere is not None
    assert not elsewhere.is_here()


def test_what_cannot_be_looked_at_has_not_exited(other: subprocess.Popen[bytes]) -> None:
    """A process that lives is not taken for dead for want of a descriptor, or of a /proc."""
    registered = Identity.of(other.pid)
    assert registered is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        now, exited = Identity.of(other.pid), registered.has_exited(other.pid)
        nobody = Identity.of(2**22 + 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert now is not None
    assert now.start == UNKNOWN
    assert not exited
    assert nobody is None
    assert not now.has_exited(other.pid)
    assert Identity.here().has_exited(other.pid)
    other.kill()
    until(lambda: registered.has_exited(other.pid))


@pytest.mark.parametrize("pid", [0, 2**40])
def test_what_is_no_pid_is_not_alive(pid: int) -> None:
    """Others may write any number into the id of a worker."""
    assert not is_alive(pid)


@pytest.mark.skipif(not LINUX, reason="elsewhere there never is a /proc, and pids are for all")
def test_without_proc_nobody_is_known_to_be_here() -> None:
    """Two containers that have none look the same, and are not."""
    assert not Identity(UNKNOWN_BOOT, UNKNOWN_BOOT, UNKNOWN).is_here()
