"""Jobs that return, and whose process does not simply end then."""

import os
import signal
import threading
import time

from resque_fork import job

from .speaking import tell, wait_at_gate


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
def flush_at_gate():
    """Returns at once, and flushes until it may go on."""
    import logging

    class Slow(logging.Handler):
        def flush(self):
            tell("flushing")
            wait_at_gate()

    logging.getLogger("late").addHandler(Slow())


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
def register_exit_hook(how=""):
    import atexit

    def at_exit():
        tell("at exit")
        if how == "raise":
            raise RuntimeError("in an exit hook")

    atexit.register(at_exit)


@job(queue="jobs")
def with_threads():
    """A thread that never ends."""
    threading.Thread(target=time.sleep, args=[600]).start()
