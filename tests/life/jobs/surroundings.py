"""Jobs that say what they find in their process, and change it."""

import os
import random
import signal
import sys
from pathlib import Path

from resque_fork import job

from .speaking import tell


@job(queue="jobs")
def loaded(names):
    """Which of these modules the worker had imported by the time of its fork."""
    tell("loaded", names=sorted(sys.modules.keys() & set(names)))


@job(queue="jobs")
def tell_surroundings():
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
def tell_environment():
    tell("environment", names=sorted(os.environ))
