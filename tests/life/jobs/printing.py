"""Jobs that write to stdout and stderr."""

import os
import signal
import sys

from resque_fork import job

from .speaking import tell


@job(queue="jobs")
def say_aloud(text):
    print(f"stdout: {text}")
    print(f"stderr: {text}", file=sys.stderr)


@job(queue="jobs")
def print_lines(count, length=10, end=""):
    for number in range(count):
        print(f"{number:0{length}}")
    if end == "kill":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def run_printing_program():
    import subprocess

    subprocess.run(["sh", "-c", "echo from a program"], check=True)
    tell("ran")


@job(queue="jobs")
def last_words(count):
    for number in range(count):
        print(f"line {number}", file=sys.stderr)
    os.write(2, b"and bytes \xff\x1b[31m\n")
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs")
def shout(kilobytes):
    os.write(2, b"loud\n" * (kilobytes * 1024 // 5))


@job(queue="jobs")
def flood_stderr(megabytes):
    for _ in range(megabytes):
        sys.stderr.write("x" * 1024 * 1023 + "\n")
    os._exit(1)
