"""Jobs that end their process, or their worker's, in the middle."""

import os
import signal
import time

from resque_fork import job

from .speaking import HERE, tell


@job(queue="jobs")
def kill_self(number):
    os.kill(os.getpid(), number)


@job(queue="jobs")
def leave(status):
    os._exit(status)


@job(queue="jobs")
def segfault():
    import ctypes

    tell("begun")
    ctypes.string_at(0)


@job(queue="jobs")
def die_of_sigpipe():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b".")


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
def kill_worker():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
