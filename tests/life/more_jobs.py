"""More of the application: jobs with hooks, jobs that use too much, and failure backends."""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import stat
import struct
import sys
import threading
import time

from jobs import tell, wait_at_gate

from resque_fork import DontPerform, Job, TermException, after_fork, before_fork, job

# --- hooks


class Hooked(Job):
    """Every hook tells who runs it, and with what."""

    queue = "jobs"

    @staticmethod
    def perform(how="", *args):
        tell("perform", args=[how, *args])
        if how == "raise":
            raise ValueError("for a reason")
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hold":
            wait_at_gate()

    @classmethod
    def before_enqueue(cls, how="", *args):
        tell("before_enqueue")
        return how != "refused"

    @classmethod
    def after_enqueue(cls, *args):
        tell("after_enqueue")

    @classmethod
    def before_dequeue(cls, how="", *args):
        tell("before_dequeue")
        return how != "kept"

    @classmethod
    def after_dequeue(cls, *args):
        tell("after_dequeue")

    @classmethod
    def before_perform_b(cls, how="", *args):
        tell("before_perform_b")
        if how == "skip":
            raise DontPerform

    @classmethod
    def before_perform_a(cls, *args):
        tell("before_perform_a")

    @classmethod
    def around_perform(cls, perform, *args):
        tell("around begins")
        perform()
        tell("around ends")

    @classmethod
    def after_perform(cls, *args):
        tell("after_perform")

    @classmethod
    def on_failure(cls, error, *args):
        status = getattr(error, "wait_status", None)
        shown = f"{type(error).__name__}: {error}"
        tell("on_failure", error=shown, status=status, args=list(args))


def fail_for(when, reservation):
    """Make a hook raise for jobs whose first argument asks for it."""
    if reservation.args[:1] == [when]:
        raise LookupError(f"in {when}")


@before_fork
def before_fork_hook(reservation):
    fail_for("before_fork", reservation)
    if reservation.args[:1] == ["exit"]:
        sys.exit(5)


@after_fork
def after_fork_hook(reservation):
    fail_for("after_fork", reservation)


# --- limits


@job(queue="jobs")
def stop_listening():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@job(queue="jobs")
def leave_running(*command):
    """A program that has become another user's."""
    import subprocess

    program = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while os.stat(f"/proc/{program.pid}").st_uid or b"sleep" not in _command_of(program.pid):
        time.sleep(0.01)


def _command_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[0]


@job(queue="jobs")
def endless():
    """Sleeps, and says what has ended that."""
    tell("begun")
    try:
        while True:
            time.sleep(60)
    except BaseException as error:
        tell("ended", error=f"{type(error).__name__}: {error}")
        raise


@job(queue="jobs")
def spin():
    """Uses a processor for ever."""
    tell("begun")
    while True:
        pass


@job(queue="jobs")
def stubborn():
    """Nothing that is raised in it makes it stop."""
    tell("begun")
    while True:
        try:
            while True:
                time.sleep(60)
        except BaseException as error:
            tell("refused", error=type(error).__name__)


@job(queue="jobs")
def yielding():
    """Does not mind its limit, but gives in to TERM."""
    tell("begun")
    while True:
        try:
            while True:
                time.sleep(60)
        except TermException:
            raise
        except BaseException:
            tell("refused")


@job(queue="jobs")
def eat(megabytes):
    """Needs memory, and lets go of it."""
    tell("eaten", length=len(bytearray(megabytes * 1024 * 1024)))


kept = []  # what is never let go of


def filled(megabytes):
    """Shared memory, every page of it written to."""
    shared = mmap.mmap(-1, megabytes << 20)
    for _ in range(megabytes):
        shared.write(b"x" * (1 << 20))
    return shared


@job(queue="jobs")
def share(megabytes):
    """Keeps memory that the kernel does not refuse, for as long as its process lives."""
    kept.append(filled(megabytes))
    time.sleep(0.25)  # long enough to be looked at
    tell("shared")


@job(queue="jobs")
def share_for_ever(megabytes):
    kept.append(filled(megabytes))
    while True:
        time.sleep(60)


@job(queue="jobs")
def share_in_c(megabytes):
    """Is in the middle of one call of C when it has taken too much, and hears no signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    length = ctypes.c_size_t(megabytes << 20)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
    where = ctypes.c_void_p(
        libc.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, ctypes.c_long(0))
    )
    while True:
        libc.memset(where, 1, length)


@job(queue="jobs")
def crash_when_refused():
    """Does as code in C that does not look at what malloc returns."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    while True:
        libc.memset(ctypes.c_void_p(libc.malloc(1 << 20)), 1, 1 << 20)


class NoRoom(MemoryError):
    """Makes its text itself, whatever it was raised with."""

    def __str__(self):
        return "there is no room for an array"


@job(queue="jobs")
def eat_in_other_words(megabytes):
    try:
        eat(megabytes)
    except MemoryError:
        raise NoRoom(megabytes) from None


@job(queue="jobs", timeout=0.2)
def with_timeout(*args):
    """It declares what it may use."""
    endless()


@job(queue="jobs", timeout=60)
def with_long_timeout():
    tell("begun")
    wait_at_gate()
    tell("done")


@job(queue="jobs", memory="32M")
def with_memory(megabytes):
    eat(megabytes)


@job(queue="jobs", cpu=0.2)
def with_cpu():
    spin()


# --- what is left of jobs


@job(queue="jobs")
def count():
    tell(
        "counted",
        threads=threading.active_count(),
        tasks=len(os.listdir("/proc/self/task")),
        descriptors=len(os.listdir("/proc/self/fd")),
    )


@job(queue="jobs")
def babble(text):
    """Writes something into every pipe that it has, as a message to the worker."""
    data = text.encode()
    for fd in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, struct.pack(">I", len(data)) + data)
    time.sleep(600)


@job(queue="jobs")
def frames(*bodies):
    """Says these to its worker, in place of its child, and goes on."""
    tell("begun")  # first: the worker may kill it as soon as it has read them
    for fd in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                for body in bodies:
                    data = body.encode()
                    os.write(fd, struct.pack(">I", len(data)) + data)


@job(queue="jobs")
def unfinished_frame():
    """Leaves the beginning of a message in every pipe that it has."""
    for fd in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b"\0")


@job(queue="jobs")
def talk_on():
    """Says that it is done, again and again, and never leaves."""
    used = {"rss_growth_kb": 0, "user_ms": 0, "system_ms": 0, "wall_ms": 0}
    body = json.dumps({"report": "performed", "used": used, "result": ""}).encode()
    data = struct.pack(">I", len(body)) + body
    tell("begun")
    while True:
        for fd in range(3, 64):
            with contextlib.suppress(OSError):
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.write(fd, data)


# --- ends of a job, after a wait


@job(queue="jobs")
def hold_and(end):
    """Waits at the gate, then ends as it was told."""
    tell("begun")
    wait_at_gate()
    if end == "raised":
        raise ValueError("told to")
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


# --- arguments that are nobody's business


@job(queue="jobs", redact=["password"])
def login(how, password, params=None):
    """Knows its password, and does not get far."""
    tell("login", password=password)
    if how == "hold":
        wait_at_gate()
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("for a reason")


# --- failure backends


class _Backend:
    def __init__(self, exception, worker, queue, payload):
        self.exception = exception
        self.worker = worker
        self.queue = queue
        self.payload = payload


class Telling(_Backend):
    """Says what it was given."""

    def save(self):
        tell(
            "saved",
            exception=type(self.exception).__name__,
            error=str(self.exception),
            worker=self.worker,
            queue=self.queue,
            payload=json.loads(json.dumps(self.payload)),
            traceback=self.exception.__traceback__ is not None,
        )


class Refusing(_Backend):
    """Cannot save anything."""

    def save(self):
        tell("refusing")
        raise OSError("the tracker is down")


class Hanging(_Backend):
    """Waits for a tracker that does not answer."""

    def save(self):
        tell("hanging")
        time.sleep(600)


class Leaving(_Backend):
    """Takes its process with it."""

    def save(self):
        tell("leaving")
        os._exit(5)
