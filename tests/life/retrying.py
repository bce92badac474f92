"""An application whose jobs are retried."""

import os
import signal

from jobs import tell, wait_at_gate

from resque_fork import DirtyExit, GiveUp, Job, Retry, RetryLater, TermException, job


class Flaky(Job, retry=[0, 0]):
    """Fails as often as it is told, and tells what its hooks get."""

    queue = "jobs"

    @staticmethod
    def perform(name, times=9):
        count = os.path.join(os.environ["LIFE"], f"count-{name[:50]}")
        with open(count, "ab") as file:
            file.write(b".")
        number = os.path.getsize(count)
        tell("attempt", number=number)
        if number <= times:
            raise ConnectionError(f"refused {number} times")

    @classmethod
    def on_retry_tell(cls, error, seconds, *args):
        tell("retry", error=f"{type(error).__name__}: {error}"[:200], seconds=seconds)

    @classmethod
    def on_failure_tell(cls, error, *args):
        tell("failure", error=f"{type(error).__name__}: {error}"[:200])


@job(queue="jobs", retry=3)
def patient(*args):
    raise ValueError("böom")


@job(queue="jobs", retry=[0])
def die(number=signal.SIGKILL):
    tell("attempt")
    os.kill(os.getpid(), number)
    wait_at_gate()


@job(queue="jobs", retry=[0], timeout=0.2)
def too_slow():
    tell("attempt")
    wait_at_gate()


@job(queue="jobs", retry=[0])
def held():
    try:
        tell("begun")
        wait_at_gate()
    except TermException:
        tell("stopped")
        raise
    tell("done")


@job(queue="jobs", retry=[0])
def held_and_fail():
    tell("begun")
    wait_at_gate()
    raise ValueError("failed after all")


@job(queue="jobs", retry=Retry(1, delay=0, on=OSError))
def only_os_errors():
    tell("begun")
    wait_at_gate()


@job(queue="jobs", retry=Retry(1, delay=0, on=DirtyExit, queue="again"))
def elsewhere():
    tell("attempt")
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs", retry=1)
def come_back(seconds, counts=True):
    tell("attempt")
    raise RetryLater(seconds, counts=counts)


@job(queue="jobs")
def come_back_undeclared():
    raise RetryLater("10m")


@job(queue="jobs", retry=5)
def give_up():
    raise GiveUp("no such address")
