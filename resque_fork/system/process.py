"""The one module that forks, waits and exits, and what the kernel is told about processes."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..errors import ResqueError
from .closers import closers

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
MADV_COLLAPSE = 25
CRASHED = 70  # exit status of a child whose own machinery failed (EX_SOFTWARE)
CHILD_OOM_SCORE = 200  # added to the worker's, of 1000: the kernel takes children first

# What a parent says to its child beside TERM and KILL: you are over your limit; show your
# stack. Elsewhere than on Linux, signals that hardly anybody uses. Of two that are pending at
# once the lower goes first. That has to be the limit: a system call that is interrupted for the
# stack first is begun again, and the job would not hear of the limit before its end.
LIMIT_SIGNAL = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGVTALRM
DUMP_SIGNAL = signal.SIGRTMIN + 6 if hasattr(signal, "SIGRTMIN") else signal.SIGPROF

# What a worker or a child of it handles. All other signals are left to the system.
HANDLED = frozenset(
    map(
        int,
        (
            *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD),
            *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, LIMIT_SIGNAL),
        ),
    )
)

# The functions of the C module itself: those of `signal` turn all numbers into enums and
# back, which makes a forked child copy dozens of pages that it would else share.
set_handler = _signal.signal
get_handler = _signal.getsignal
set_mask = _signal.pthread_sigmask
pending_signals = _signal.sigpending
SIG_DFL, SIG_IGN = _signal.SIG_DFL, _signal.SIG_IGN  # it takes no others

# The system's own calls, whatever a library such as gevent has put into `os` in their place: that
# has an event loop of its own hear of children, and of descriptors that are closed.
if TYPE_CHECKING:
    system = os
else:
    system = sys.modules.get("posix", os)
close = system.close

try:
    _libc: ctypes.CDLL | None = (
        ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    )
except OSError:  # a libc that cannot be loaded by itself
    _libc = None


class End(NamedTuple):
    """How a child ended: its wait status, and what it used (seconds, and KiB at most).

    The status is None if something else in this process has waited for the child.
    """

    wait_status: int | None
    user: float
    system: float
    max_rss: int


def fork(main: Callable[[], object]) -> int:
    """Fork a child that runs `main` and leaves; returns its pid.

    Connections that must not be shared are closed first. Signals that are handled are blocked
    across the fork, and still are in the child: `main` closes the parent's wake-up descriptor
    and then calls `unblock_signals`. Do not put the child into a process group of its own
    here: a process that leads a group cannot begin a session, which `main` does.
    """
    if closers.closers:
        closers.run()
    mask = set_mask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = system.fork()
        if pid == 0:
            _run_and_leave(main)
    finally:
        set_mask(signal.SIG_SETMASK, mask)
    return pid


def _run_and_leave(main: Callable[[], object]) -> NoReturn:
    try:
        main()
    # This is the edge of the process: nothing may unwind into the parent's frames.
    except BaseException:
        traceback.print_exc()
        leave(CRASHED)
    leave(0)


def leave(status: int) -> NoReturn:
    """End this process at once, running nothing more of it."""
    os._exit(status)


def close_inherited_fds(parents_fds: Iterable[int]) -> None:
    """In a child: close what is the parent's alone, and let no signal speak in its pipe."""
    signal.set_wakeup_fd(-1)
    for fd in parents_fds:
        close(fd)


def unblock_signals(but: Iterable[int] = ()) -> None:
    set_mask(signal.SIG_SETMASK, but)


def hear_signals(numbers: Iterable[int]) -> None:
    set_mask(signal.SIG_UNBLOCK, numbers)


def block_signals() -> None:
    """For a process that is about to leave: nothing can interrupt it any more."""
    set_mask(signal.SIG_SETMASK, signal.valid_signals())


def reap(pid: int) -> End | None:
    """How the child ended, or None if it has not."""
    try:
        ended, status, used = system.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return End(None, 0.0, 0.0, 0)
    if ended == 0:
        return None
    in_kib = 1 if sys.platform == "linux" else 1024
    return End(status, used.ru_utime, used.ru_stime, used.ru_maxrss // in_kib)


def is_ours(pid: int) -> bool:
    """Whether this pid still is a child of ours, dead or alive.

    If something else has waited for the child, another process may have its pid by now.
    """
    try:
        system.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def rss_kib(pid: int | str = "self") -> int:
    """Resident memory of a process in KiB; 0 where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as statm:
            pages = int(statm.readall().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def own_memory_kib(pid: int | str = "self") -> int | None:
    """Memory of a process's own in KiB, resident or swapped out, shared memory too.

    Files that it maps do not count, for the system can take their pages back at any
    time. None where that cannot be told.
    """
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            lines = status.readall().splitlines()
    except OSError:
        return None
    kinds = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
    found = [int(line.split()[1]) for line in lines if line.startswith(kinds)]
    return sum(found) if found else None  # a process that is dead has none of them


def reset_peak_rss() -> None:
    """Have this process's peak of resident memory counted from now on."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as control:
            control.write(b"5")
    except OSError:
        pass  # then it is the peak of all jobs of this process


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a child has used so far; None where that cannot be told."""
    if sys.platform != "linux":
        return _cpu_by_psutil(pid)
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the clock of a process, by its pid
    except OSError:
        return None


def _cpu_by_psutil(pid: int) -> float | None:
    import psutil

    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(used.user + used.system)


def kill(pid: int, number: int) -> bool:
    """Send a signal to a child that may be gone already; False if it may not be sent ours."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    return True


def kill_group(group: int) -> None:
    """Kill whatever is in a process group and may be killed by us."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def group_lives(group: int) -> bool:
    """Whether any process, a zombie too, is in a process group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def stopped_by(pid: int) -> int | None:
    """What has stopped a child since this was last asked: a signal, or 0 if it goes on again.

    None if nothing has.
    """
    try:
        seen = system.waitid(os.P_PID, pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
    except (AttributeError, ChildProcessError):  # macOS has none before Python 3.13
        return None
    if seen is None:
        return None
    return 0 if seen.si_code == os.CLD_CONTINUED else seen.si_status


# --- children that nobody asked for


def become_subreaper(value: int = 1) -> int:
    """Have this process become the parent of what its children leave behind.

    With 0 it no longer does. Returns what it was before.
    """
    before = ctypes.c_int(0)
    if _libc is not None:
        _libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, value)
    return before.value


def children() -> set[int] | None:
    """The pids of the children of this process, zombies too; None where that cannot be told.

    Those of other threads are not always among them.
    """
    if not _has_children():
        return set()
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as listing:
            return set(map(int, listing.readall().split()))
    except OSError:
        return _children_by_their_parent()


def _children_by_their_parent() -> set[int] | None:
    """Where the kernel has no list of them, by looking at all processes."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    if os.getpid() not in pids:  # something else is there in place of /proc
        return None
    return {pid for pid in pids if (stat := _stat(pid)) and int(stat[1]) == os.getpid()}


def _has_children() -> bool:
    try:
        system.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except AttributeError:  # macOS has none before Python 3.13
        return True
    except ChildProcessError:
        return False
    return True


def session_of(pid: int) -> int | None:
    """The session of a process, a zombie too; None if it is gone."""
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def started_at(pid: int) -> int | None:
    """When a process was started, by the clock of `ticks`; None if it is gone, or hidden."""
    stat = _stat(pid)
    return int(stat[19]) if stat else None


def is_zombie(pid: int) -> bool:
    """Whether a process has ended, and is only there until somebody waits for it."""
    stat = _stat(pid)
    return stat is not None and stat[0] == b"Z"


def is_starting(pid: int) -> bool:
    """Whether a process lives and has no command line: it is in the middle of exec."""
    if command_of(pid):
        return False
    stat = _stat(pid)
    return stat is not None and stat[0] not in (b"Z", b"X")


def command_of(pid: int) -> bytes:
    """The command line of a process; empty for a zombie, or if it is gone or hidden."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as command:
            return command.readall()
    except OSError:
        return b""


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat from the third on: its state, its parent, ..."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            text = stat.readall()
    except OSError:
        return None
    return text[text.rindex(b")") + 2 :].split()  # the name, in parentheses, may hold anything


def ticks() -> int:
    """Now, in clock ticks since the boot, by which the kernel tells when a process started."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def reap_strangers(known: Collection[int], sessions: Collection[int] = ()) -> None:
    """Reap every dead child that is not one of `known`, nor in one of `sessions`."""

    def is_stranger(pid: int) -> bool:
        return pid not in known and session_of(pid) not in sessions

    while (dead := dead_child()) is not None and is_stranger(dead) and _forget(dead):
        pass
    if dead is not None:  # it is not ours to wait for, and may stand before others
        for pid in filter(is_stranger, children() or ()):
            _forget(pid)


def dead_child() -> int | None:
    """The pid of a child that has ended and not been waited for, or None."""
    try:
        seen = system.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (AttributeError, ChildProcessError):
        return None
    return seen.si_pid if seen else None


def _forget(pid: int) -> bool:
    try:
        return system.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


# --- what a child tells the kernel about itself


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Be sent a signal when the parent dies; leave at once if it is dead already.

    Where the kernel cannot do it, a thread watches. A change of user clears
    it: call it again after one.
    """
    if not _prctl(PR_SET_PDEATHSIG, number):
        _watch_parent(parent, number)
    if os.getppid() != parent:
        leave(CRASHED)


def _watch_parent(parent: int, number: int) -> None:
    import threading

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def raise_oom_score() -> None:
    """Have the kernel take this process before its parent when memory runs out."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_RDWR)
    except OSError:
        return
    try:
        score = int(os.read(fd, 16))
        os.pwrite(fd, b"%d" % min(1000, score + CHILD_OOM_SCORE), 0)
    except (OSError, ValueError):
        pass  # a container may forbid it; then the kernel chooses
    finally:
        close(fd)


def trim_memory() -> None:
    """Give back to the system what loading has used and freed."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def collapse(start: int, length: int) -> bool:
    """Put a piece of this process's memory into huge pages; False if that cannot be."""
    if _libc is None:
        return False
    done = _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), MADV_COLLAPSE)
    return bool(done == 0)


def _prctl(option: int, value: int) -> bool:
    return _libc is not None and _libc.prctl(option, value, 0, 0, 0) == 0


# --- the background


def daemonize() -> Callable[[], None]:
    """Go on in the background, in a session of our own; returns what makes that final.

    Until it is called there still is a terminal to say on what is wrong: the process that
    was started waits, and exits 1 if this one ends before. Then there is no terminal and no
    output, and it exits 0. Raises ResqueError where there is no fork.
    """
    if not hasattr(os, "fork"):
        raise ResqueError("This system cannot fork, so it cannot run a worker in the background.")
    waiting, told = os.pipe()
    if system.fork():
        close(told)
        try:
            ready = os.read(waiting, 1)
        except KeyboardInterrupt:  # the other will find nobody to tell, and leave too
            ready = b""
        leave(0 if ready else 1)
    os.setsid()
    if system.fork():
        leave(0)
    close(waiting)

    def detach() -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if null > 2:
            close(null)
        os.write(told, b".")
        close(told)

    return detach
