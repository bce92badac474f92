"""Jobs that are told to stop in places where that is easily lost, and jobs that fork."""

import asyncio
import atexit
import contextlib
import faulthandler
import logging
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time

from jobs import tell, wait_at_gate

from resque_fork import Job, TermException, job
from resque_fork.system import process

# --- in event loops


def busy():
    """A callback of the loop, in the middle of which the signal comes."""
    tell("begun")
    while True:
        time.sleep(0.01)


async def by_callback():
    asyncio.get_running_loop().call_soon(busy)
    await put_in_order()


async def by_side_task():
    kept.append(asyncio.create_task(busy_task()))
    await put_in_order()


async def by_gather():
    await asyncio.gather(put_in_order(), busy_task())


async def by_waiting():
    await put_in_order(say="begun")


async def busy_task():
    busy()


async def put_in_order(say="waiting"):
    try:
        tell(say)
        await asyncio.sleep(60)
    finally:
        tell("in order")


@job(queue="jobs")
def in_a_loop(how):
    asyncio.run(globals()[f"by_{how}"]())


# --- swallowed


@job(queue="jobs")
def swallow_exit(how="pass"):
    """As programs do that call the main function of another."""
    with contextlib.suppress(SystemExit):
        tell("begun")
        wait_at_gate()
    if how == "raise":
        raise ValueError("for a reason")
    if how == "exit":
        sys.exit(0)
    tell("returned")


@job(queue="jobs")
def swallow_once_then_hold():
    with contextlib.suppress(SystemExit):
        tell("begun")
        wait_at_gate()
    tell("again")
    wait_at_gate()


@job(queue="jobs")
def stop_in_words_of_its_own(how):
    """Has a handler of its own for TERM, or leaves by something else."""

    def leave(*_):
        if how == "exit":
            sys.exit(0)
        if how == "interrupt":
            raise KeyboardInterrupt
        raise RuntimeError("of its own")

    if how != "clean-up":
        signal.signal(signal.SIGTERM, leave)
    try:
        tell("begun")
        wait_at_gate()
    except TermException:
        raise RuntimeError("in clean-up") from None


class Sad(Job):
    """Swallows its limit; its hook tells how often it is called, and with what."""

    queue = "jobs"

    @staticmethod
    def perform():
        with contextlib.suppress(SystemExit):
            time.sleep(60)

    @classmethod
    def on_failure(cls, error):
        tell("sad", error=f"{type(error).__name__}: {error}")


# --- what a job forks


def nap(ready):
    os.write(ready, b".")
    for _ in range(600):  # a signal just before a sleep is acted on only after it
        time.sleep(0.1)


def stubborn(ready):
    os.write(ready, b".")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


def handles_term(ready):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    nap(ready)


@job(queue="jobs")
def terminate(target, at_once=False):
    reader, writer = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=globals()[target], args=[writer])
    process.start()
    if not at_once:
        os.read(reader, 1)
    process.terminate()
    process.join()
    tell("terminated", status=process.exitcode)


@job(queue="jobs")
def tell_of_a_fork():
    """How a process takes signals that the job forks."""
    pid = os.fork()
    if pid == 0:
        numbers = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
        handlers = {n: signal.getsignal(signal.Signals[f"SIG{n}"]) for n in numbers}
        names = {n: getattr(h, "name", None) or h.__name__ for n, h in handlers.items()}
        blocked = [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
        tell("fork", handlers=names, blocked=blocked)
        os._exit(0)
    os.waitpid(pid, 0)


# --- signals that are left to the next job


def late(*_):
    raise TimeoutError("of the job before")


@job(queue="jobs")
def leave_signals():
    """Changes all that can be changed about signals, and returns."""
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, late)
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0.3)
    signal.set_wakeup_fd(writer)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGWINCH, signal.SIGALRM])
    os.kill(os.getpid(), signal.SIGALRM)  # and stays pending
    signal.siginterrupt(signal.SIGTERM, False)
    faulthandler.dump_traceback_later(0.3, exit=True)


@job(queue="jobs")
def leave_a_timer(seconds):
    """One that fires a thousand times a second, once it does."""
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.001)


@job(queue="jobs")
def find_signals():
    """What it finds of all that."""
    began = time.monotonic()
    while time.monotonic() < began + 0.5 or time.process_time() < 0.5:
        pass
    handlers = {int(n): signal.getsignal(n) for n in signal.valid_signals()}
    tell(
        "found",
        late=[n for n, h in handlers.items() if h is late],
        child=getattr(handlers[signal.SIGCHLD], "name", "?"),
        timers=[signal.getitimer(n)[0] for n in (0, 1, 2)],
        wakeup=signal.set_wakeup_fd(-1),
        blocked=sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    )


# --- what the worker has registered for its own end

scratch = tempfile.TemporaryDirectory()
atexit.register(tell, "at exit of the worker")


@job(queue="jobs")
def use_scratch():
    """Has exit functions of its own, beside those of its worker."""
    own = tempfile.TemporaryDirectory()
    kept.append(own)
    atexit.register(lambda: tell("at exit", own=own.name))
    with open(os.path.join(scratch.name, str(os.getpid())), "w"):
        tell("written")


kept = []


# --- logging handlers that wait for a thread of the worker's


class Shipper(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = queue.Queue()

    def emit(self, record):
        self.records.put(record)

    def flush(self):
        self.records.join()


class Refusing(logging.NullHandler):
    def flush(self):
        raise RuntimeError("nobody takes it")


@job(queue="jobs")
def log_to(name):
    handler = globals()[name]()
    logging.getLogger("late").addHandler(handler)
    logging.getLogger("late").error("x")
    kept.append(handler)
    tell("logged")


# --- somebody else waits for the worker's children

if os.environ.get("LIFE_REAPER") == "faster":  # than the worker, whatever the machine does
    change_of = process.change_of

    def robbed(pid):
        change = change_of(pid)
        return process.End(None, 0.0, 0.0, 0) if isinstance(change, process.End) else change

    process.change_of = robbed
elif os.environ.get("LIFE_REAPER"):

    def reap():
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.001)

    threading.Thread(target=reap, daemon=True).start()
