"""The one module that forks, waits, sends signals and exits."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..errors import ResqueError
from . import libc, proc
from .closers import closers

CRASHED = 70  # exit status of a child whose own machinery failed (EX_SOFTWARE)
CHILD_OOM_SCORE = 200  # added to the worker's, of 1000: the kernel takes children first

# What a parent says to its child beside TERM and KILL: your job is killed; you are over your
# limit; show your stack. Elsewhere than on Linux, signals that hardly anybody uses. Of two that
# are pending at once the lower goes first. The stack has to be the last: a system call that is
# interrupted for it first is begun again, and the job would not hear of the rest before its end.
KILL_SIGNAL = signal.SIGRTMIN + 4 if hasattr(signal, "SIGRTMIN") else signal.SIGURG
LIMIT_SIGNAL = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGVTALRM
DUMP_SIGNAL = signal.SIGRTMIN + 6 if hasattr(signal, "SIGRTMIN") else signal.SIGPROF

# What a worker or a child of it handles. All other signals are left to the system.
HANDLED = frozenset(
    map(
        int,
        (
            *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD),
            *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, LIMIT_SIGNAL, KILL_SIGNAL),
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

# The system's own calls, whatever a library has put into `os` in their place: that of gevent has an
# event loop of its own hear of children, and of descriptors that are closed; that of eventlet waits
# in one, deaf to signals, where there is nothing to read yet.
if TYPE_CHECKING:
    system = os
else:
    system = sys.modules.get("posix", os)
close, read, write = system.close, system.read, system.write


class End(NamedTuple):
    """How a child ended: its wait status, and what it used (seconds, and KiB at most).

    The status is None if something else in this process has waited for the child.
    """

    wait_status: int | None
    user: float
    system: float
    max_rss: int


class Halt(NamedTuple):
    """A child was stopped by a signal, as SIGSTOP; or by 0: it goes on again."""

    by: int


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
    change = change_of(pid)
    return change if isinstance(change, End) else None


def change_of(pid: int) -> End | Halt | None:
    """How the child ended, or what has stopped it since this was last asked; None if nothing."""
    try:
        changed, status, used = system.wait4(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    except ChildProcessError:
        return End(None, 0.0, 0.0, 0)
    if changed == 0:
        return None
    if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
        return Halt(0 if os.WIFCONTINUED(status) else os.WSTOPSIG(status))
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


def in_foreground() -> bool:
    """Whether Ctrl-C in the terminal on stdin is sent to this process's group."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # no terminal, or one of somebody else
        return False


# --- children that nobody asked for


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
    return {pid for pid in pids if proc.parent_of(pid) == os.getpid()}


def _has_children() -> bool:
    try:
        system.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except AttributeError:  # macOS has none before Python 3.13
        return True
    except ChildProcessError:
        return False
    return True


def reap_strangers(known: Collection[int], sessions: Collection[int] = ()) -> None:
    """Reap every dead child that is not one of `known`, nor in one of `sessions`."""

    def is_stranger(pid: int) -> bool:
        return pid not in known and proc.session_of(pid) not in sessions

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
    if not libc.signal_at_death_of_parent(number):
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
        score = int(read(fd, 16))
        os.pwrite(fd, b"%d" % min(1000, score + CHILD_OOM_SCORE), 0)
    except (OSError, ValueError):
        pass  # a container may forbid it; then the kernel chooses
    finally:
        close(fd)


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
            ready = read(waiting, 1)
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
        write(told, b".")
        close(told)

    return detach
