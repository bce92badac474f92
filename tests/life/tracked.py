"""An application whose jobs are tracked."""

import os
import signal

from jobs import tell, wait_at_gate

from resque_fork import Job, Retry, job


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
