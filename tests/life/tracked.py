"""An application whose jobs are tracked."""

import os
import signal

from jobs import tell, wait_at_gate

from resque_fork import Job, JobKilled, Retry, TermException, job, progress


@job(queue="jobs", track=True)
def works(*args):
    tell("begun")
    wait_at_gate()


@job(queue="jobs", track=True)
def refuses():
    raise ValueError("no såch thing")


@job(queue="jobs", track=True)
def dies():
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs", track=True, timeout=0.2)
def too_slow():
    wait_at_gate()


class Returns(Job, track=True, retry=Retry(1, [3600], queue="later")):
    queue = "jobs"

    @staticmethod
    def perform():
        raise ConnectionError("refused")


@job(queue="jobs", track=True, retry=[0])
def at_once():
    raise ConnectionError("refused")


@job(queue="jobs", track=True)
def counts(*said):
    for number in range(1, 100_001):
        progress(number, 200_000)
    progress(*said)
    tell("begun")
    wait_at_gate()


@job(queue="jobs", track=True, result="1h")
def returns(value):
    return {1} if value == "set" else "x" * 70_000 if value == "long" else value


@job(queue="jobs", track=True)
def clings(to):
    tell("begun")
    while True:
        try:
            wait_at_gate()
            return
        except JobKilled:
            tell("told to end")
            if to == "nothing":
                raise
            if to == "another error":
                raise ValueError("no") from None
        except TermException:
            tell("told again")


class Twice(Job, track=True, result="1h"):
    queue = "jobs"
    calls = 0

    @classmethod
    def around_perform_twice(cls, step):
        step()
        step()

    @classmethod
    def perform(cls):
        cls.calls += 1
        return cls.calls
