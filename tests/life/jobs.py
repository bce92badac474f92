"""The application of these tests: jobs that say what they do, and wait until they may go on.

It is loaded by workers, never by the tests themselves. A job speaks through
the FIFO `box` in the directory where its worker was started, one JSON object a
line, and waits for a byte from the FIFO `gate`.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from resque_fork import Job, TermException, job

HERE = os.getcwd()


def tell(what, **more):
    """One line is far below PIPE_BUF, so what several processes say is never mixed up."""
    line = json.dumps({"what": what, "pid": os.getpid(), "parent": os.getppid(), **more}) + "\n"
    box = os.open(os.path.join(HERE, "box"), os.O_WRONLY)
    os.write(box, line.encode())
    os.close(box)


def wait_at_gate():
    gate = os.open(os.path.join(HERE, "gate"), os.O_RDONLY)
    try:
        return os.read(gate, 1)
    finally:
        os.close(gate)


@job(queue="jobs")
def loaded(names):
    """Which of these modules the worker had imported by the time of its fork."""
    tell("loaded", names=sorted(sys.modules.keys() & set(names)))


@job(queue="jobs")
def quick(*args):
    """Nothing but a word."""
    tell("quick", args=list(args))


@job(queue="jobs")
def nothing(*args):
    """Not even a word."""


@job(queue="jobs")
def hold(*args):
    """Waits at the gate; says how it was stopped, if it was."""
    try:
        tell("begun", args=list(args))
        wait_at_gate()
    except TermException as stop:
        tell("stopped", by=str(stop))
        raise
    tell("done")


@job(queue="jobs")
def clean_up(seconds):
    """Stopped, it needs some time for its clean-up."""
    try:
        tell("begun")
        wait_at_gate()
    finally:
        time.sleep(seconds)
        tell("cleaned")


@job(queue="jobs")
def swallow():
    """Takes the exception for its own business, and returns."""
    try:
        tell("begun")
        wait_at_gate()
    except TermException:
        tell("swallowed")


@job(queue="jobs")
def swallow_once():
    """Swallows the exception, and goes on working: a second TERM must not disturb it."""
    try:
        tell("begun")
        wait_at_gate()
    except TermException:
        tell("swallowed")
    wait_at_gate()
    tell("done")


@job(queue="jobs")
def deaf():
    """Blocks every signal that can be blocked, and works on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    tell("begun")
    wait_at_gate()
    tell("done")


@job(queue="jobs")
def boom(text="böom"):
    raise ValueError(text)


# --- ways to die


@job(queue="jobs")
def kill_self(number):
    os.kill(os.getpid(), number)


@job(queue="jobs")
def leave(status):
    os._exit(status)


@job(queue="jobs")
def exit_with(status):
    sys.exit(status)


class Unusual(BaseException):
    """No Exception at all."""


@job(queue="jobs")
def raise_base_exception():
    raise Unusual("not an Exception")


@job(queue="jobs")
def segfault():
    import ctypes

    tell("begun")
    ctypes.string_at(0)


@job(queue="jobs")
def overflow_stack():
    """A crash deep in C, where the interpreter cannot help."""
    import faulthandler

    faulthandler._stack_overflow()


@job(queue="jobs")
def last_words(count):
    for number in range(count):
        print(f"line {number}", file=sys.stderr)
    os.write(2, b"and bytes \xff\x1b[31m\n")
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def shout(kilobytes):
    os.write(2, b"loud\n" * (kilobytes * 1024 // 5))


@job(queue="jobs")
def flood_stderr(megabytes):
    for _ in range(megabytes):
        sys.stderr.write("x" * 1024 * 1023 + "\n")
    os._exit(1)


@job(queue="jobs")
def close_everything():
    os.closerange(0, 4096)


@job(queue="jobs")
def close_everything_and_open():
    """What it opens gets the numbers of what it closed."""
    os.closerange(0, 4096)
    for _ in range(64):
        os.open(os.path.join(HERE, "junk"), os.O_RDWR | os.O_CREAT)


@job(queue="jobs")
def return_twice():
    """Both of them come back from here."""
    if os.fork() == 0:
        tell("copy")
    else:
        tell("original")


@job(queue="jobs")
def daemon(leaves_session, *, how="sleep"):
    """Leaves a process behind."""
    ready, told = os.pipe()
    if os.fork() == 0:
        if leaves_session:
            os.setsid()
            if os.fork():
                os._exit(0)
        tell("daemon")
        os.write(told, b".")
        time.sleep(600)
        os._exit(0)
    os.read(ready, 1)


@job(queue="jobs", sweep=False)
def lasting_daemon():
    """Leaves a process behind on purpose."""
    daemon(True)


@job(queue="jobs")
def spoil():
    """Leaves nothing as it was."""
    os.chdir("/")
    os.environ.clear()
    os.umask(0o777)
    sys.path.clear()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout = sys.stderr = None
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)


@job(queue="jobs")
def look_around():
    """Says what a job finds."""
    umask = os.umask(0o022)
    os.umask(umask)
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    tell(
        "found",
        cwd=os.getcwd(),
        umask=umask,
        environment="LIFE" in os.environ,
        blocked=sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        handled=int(status["SigCgt"], 16),
        ignored=int(status["SigIgn"], 16),
        group=os.getpgid(0),
        session=os.getsid(0),
        stdin=os.readlink("/proc/self/fd/0"),
        fds=sorted(
            target for fd in os.listdir("/proc/self/fd") if (target := _target(fd)) is not None
        ),
        threads=int(status["Threads"]),
        oom=int(Path("/proc/self/oom_score_adj").read_text()),
        random=random.random(),
    )


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None


@job(queue="jobs")
def leave_late():
    """Returns, but its process does not end: a thread that is not a daemon does not count, a
    logging handler that hangs does."""
    import logging

    class Hanging(logging.Handler):
        def flush(self):
            tell("flushing")
            while True:
                time.sleep(60)

    logging.getLogger("late").addHandler(Hanging())


@job(queue="jobs")
def die_while_leaving(how):
    """Returns, and dies afterwards."""
    import logging

    class Dying(logging.Handler):
        def flush(self):
            if how == "exit":
                os._exit(7)
            os.kill(os.getpid(), signal.SIGKILL)

    logging.getLogger("late").addHandler(Dying())


@job(queue="jobs")
def unspeakable():
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise Unspeakable


@job(queue="jobs")
def long_message(megabytes):
    raise ValueError("x" * megabytes * 1024 * 1024)


@job(queue="jobs")
def recursion():
    return recursion()


@job(queue="jobs")
def recursive_error():
    """An exception whose text and context run in circles."""
    loop = []
    loop.append(loop)
    raise ValueError(loop, "\ud800", b"\xff")


@job(queue="jobs")
def with_threads():
    """A thread that never ends."""
    threading.Thread(target=time.sleep, args=[600]).start()


class Shout(Job, name="Billing::Invoice"):
    """A job that Ruby would know too."""

    queue = "jobs"

    @staticmethod
    def perform(*args):
        tell("begun", args=list(args))
        wait_at_gate()


@job(queue="jobs")
def flush_at_gate():
    """Returns at once, and flushes until it may go on."""
    import logging

    class Slow(logging.Handler):
        def flush(self):
            tell("flushing")
            wait_at_gate()

    logging.getLogger("late").addHandler(Slow())


@job(queue="jobs")
def tell_environment():
    tell("environment", names=sorted(os.environ))


@job(queue="jobs")
def kill_worker():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


class Mourned(Job):
    """Its hook tells of every failure."""

    queue = "jobs"

    @staticmethod
    def perform(how="hold", *args):
        tell("begun")
        if how == "hold":
            wait_at_gate()
        elif how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "raise":
            raise ValueError("for a reason")

    @classmethod
    def on_failure_tell(cls, error, *args):
        tell("mourned", error=f"{type(error).__name__}: {error}", args=list(args))


@job(queue="jobs")
def large(text):
    tell("begun", length=len(text))
    wait_at_gate()


@job(queue="jobs")
def die_of_sigpipe():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b".")


@job(queue="jobs")
def register_exit_hook(how=""):
    import atexit

    def at_exit():
        tell("at exit")
        if how == "raise":
            raise RuntimeError("in an exit hook")

    atexit.register(at_exit)


@job(queue="jobs")
def helper():
    """Has a helper process, and waits."""
    if os.fork() == 0:
        os.setsid()
        tell("helper")
        time.sleep(600)
        os._exit(0)
    wait_at_gate()


@job(queue="jobs")
def surrogate_error():
    raise ValueError("a lone \udc80 surrogate, a nul \0 and an escape \x1b[0m")


@job(queue="jobs")
def surrogate_class():
    raise type("Odd\udc80Name", (Exception,), {})("of an odd class")


@job(queue="jobs")
def hostile_class():
    class Hostile(Exception):
        wire_name = property(lambda self: 1 / 0)

        def __repr__(self):
            os._exit(9)

    raise Hostile("hostile")


@job(queue="jobs")
def chained():
    try:
        raise KeyError("first")
    except KeyError as error:
        error.__cause__ = error
        raise RuntimeError("second") from error


@job(queue="jobs")
def group():
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("more", [TypeError(2)])])


@job(queue="jobs")
def hold_and_fail():
    """Waits at the gate, and fails."""
    tell("begun")
    wait_at_gate()
    tell("done")
    raise ValueError("failed after all")


@job(queue="jobs")
def burn(seconds):
    """Uses a processor."""
    while time.process_time() < seconds:
        pass


@job(queue="jobs")
def measure(text):
    tell("measured", length=len(text))


@job(queue="jobs")
def say_aloud(text):
    print(f"stdout: {text}")
    print(f"stderr: {text}", file=sys.stderr)


@job(queue="jobs")
def orphans(count):
    """Leaves dead processes to its worker, and goes on."""
    for _ in range(count):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
    for _ in range(count):
        os.wait()
    tell("begun")
    wait_at_gate()


@job(queue="jobs")
def run_program():
    import subprocess

    script = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
    ran = subprocess.run(
        [sys.executable, "-c", script], close_fds=False, stdout=subprocess.PIPE, check=True
    )
    # one more is the listing itself
    tell("fds", fds=[fd for fd in ran.stdout.decode().split() if fd in "012" or int(fd) > 3])


@job(queue="jobs")
def copy_fails():
    """Its copy returns with an error; then it dies itself."""
    copy = os.fork()
    if copy == 0:
        raise ValueError("said by the copy")
    os.waitpid(copy, 0)
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def ask_the_terminal():
    """As getpass does, and ssh, sudo and git."""
    open("/dev/tty").close()


@job(queue="jobs")
def stop_itself(number=signal.SIGSTOP):
    """Stops instead of ending; if it goes on again, it says so."""
    tell("begun")
    try:
        os.kill(os.getpid(), number)
        tell("goes on")
        wait_at_gate()
    except TermException:
        tell("stopped")
        raise


@job(queue="jobs")
def print_lines(count, length=10, end=""):
    for number in range(count):
        print(f"{number:0{length}}")
    if end == "kill":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def run_printing_program():
    import subprocess

    subprocess.run(["sh", "-c", "echo from a program"], check=True)
    tell("ran")


@job(queue="jobs")
def limit_descriptors_of_worker(count):
    """Leaves its worker no descriptor more, and a process to sweep."""
    import resource

    daemon(True)
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (count, 4096))
