"""Jobs that start processes, and leave some behind."""

import os
import signal
import sys
import time

from resque_fork import job

from .speaking import tell, wait_at_gate


@job(queue="jobs")
def return_twice():
    """Both of them come back from here."""
    if os.fork() == 0:
        tell("copy")
    else:
        tell("original")


@job(queue="jobs")
def copy_fails():
    """Its copy returns with an error; then it dies itself."""
    copy = os.fork()
    if copy == 0:
        raise ValueError("said by the copy")
    os.waitpid(copy, 0)
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def daemon(leaves_session, *, how="sleep"):
    """Leaves a process behind."""
    ready, told = os.pipe()
    if os.fork() == 0:
        if leaves_session:
            os.setsid()
            if os.fork():
                os._exit(0)
        tell("daemon")
        os.write(told, b".")
        time.sleep(600)
        os._exit(0)
    os.read(ready, 1)


@job(queue="jobs", sweep=False)
def lasting_daemon():
    """Leaves a process behind on purpose."""
    daemon(True)


@job(queue="jobs")
def helper():
    """Has a helper process, and waits."""
    if os.fork() == 0:
        os.setsid()
        tell("helper")
        time.sleep(600)
        os._exit(0)
    wait_at_gate()


@job(queue="jobs")
def orphans(count):
    """Leaves dead processes to its worker, and goes on."""
    for _ in range(count):
        if os.fork() == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
    for _ in range(count):
        os.wait()
    tell("begun")
    wait_at_gate()


@job(queue="jobs")
def run_program():
    import subprocess

    script = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
    ran = subprocess.run(
        [sys.executable, "-c", script], close_fds=False, stdout=subprocess.PIPE, check=True
    )
    # one more is the listing itself
    tell("fds", fds=[fd for fd in ran.stdout.decode().split() if fd in "012" or int(fd) > 3])


@job(queue="jobs")
def limit_descriptors_of_worker(count):
    """Leaves its worker no descriptor more, and a process to sweep."""
    import resource

    daemon(True)
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (count, 4096))
