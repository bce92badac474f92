"""Jobs that succeed, wait at the gate, and fail: most tests need no others."""

import os
import signal
import time

from resque_fork import Job, TermException, job

from .speaking import tell, wait_at_gate


@job(queue="jobs")
def quick(*args):
    """It only tells that it ran."""
    tell("quick", args=list(args))


@job(queue="jobs")
def nothing(*args):
    """It does nothing, and tells nothing."""


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
def hold_and_fail():
    """Waits at the gate, and fails."""
    tell("begun")
    wait_at_gate()
    tell("done")
    raise ValueError("failed after all")


@job(queue="jobs")
def boom(text="böom"):
    raise ValueError(text)


@job(queue="jobs")
def measure(text):
    tell("measured", length=len(text))


@job(queue="jobs")
def large(text):
    tell("begun", length=len(text))
    wait_at_gate()


@job(queue="jobs")
def burn(seconds):
    """Uses a processor."""
    while time.process_time() < seconds:
        pass


class Shout(Job, name="Billing::Invoice"):
    """A job that Ruby would know too."""

    queue = "jobs"

    @staticmethod
    def perform(*args):
        tell("begun", args=list(args))
        wait_at_gate()


class FailureHook(Job):
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
        tell("on_failure", error=f"{type(error).__name__}: {error}", args=list(args))
