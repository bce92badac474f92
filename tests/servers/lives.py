"""Runs short lives of workers, each in a process of its own, for who asks on stdin.

A line is a JSON object: number, url, namespace, ledger. For each life that has
ended, a line on stdout says number and exit status. All of it is loaded once.
"""

import json
import os
import signal
import sys
import time
from typing import Any

from resque_fork import Resque, Settings, Worker, job


def note(what: str) -> None:
    """In the ledger of this life; a short line is written in one piece."""
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, f"{what}\n".encode())
    os.close(ledger)


@job(queue="jobs")
def good(name: str, padding: str = "") -> None:
    note(name)


@job(queue="jobs")
def bad() -> None:
    note("bad")
    raise ValueError("bad")


@job(queue="jobs")
def deadly() -> None:
    note("deadly")
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="jobs", every="1w")
def weekly() -> None:
    note("weekly")


@job(queue="jobs")
def last() -> None:
    """Has its worker stopped, once that is deaf, and waits to be stopped by it."""
    note("last")
    late = time.monotonic() + 1  # if the subscription was lost with its connection, it never is
    while not os.path.exists(os.environ["LEDGER"] + ".deaf") and time.monotonic() < late:
        time.sleep(0.001)
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)


def live(life: dict[str, Any]) -> int:
    os.environ["LEDGER"] = life["ledger"]
    settings = Settings(
        on_lost="requeue",
        on_term="requeue",
        max_attempts=2,
        heartbeat_interval=0.5,
        prune_interval=300,
    )
    resque = Resque(life["url"], namespace=life["namespace"])
    return Worker("*", resque=resque, settings=settings).run(interval=0.3)


def start(life: dict[str, Any]) -> None:
    """The worker, and over it somebody who waits for its end."""
    if os.fork():
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    worker = os.fork()
    if not worker:
        status = 70
        try:
            status = live(life)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    os.write(1, json.dumps({"number": life["number"], "status": status}).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        start(json.loads(line))
