"""Jobs that are told to stop, or stop themselves: what they do about it."""

import os
import signal
import time

from resque_fork import TermException, job

from .speaking import tell, wait_at_gate


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
def ask_the_terminal():
    """As getpass does, and ssh, sudo and git."""
    open("/dev/tty").close()
