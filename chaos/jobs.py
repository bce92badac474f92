"""The jobs of the chaos program: they write down, in a file, that they started and finished.

Lines are appended in one write each, which the kernel keeps whole.
"""

from __future__ import annotations

import os
import time

from resque_fork import job, progress

TICKS = "ticks"  # the queue of schedules, which no worker serves
LEDGER = "CHAOS_LEDGER"  # environment variable: the file
RETRIES = [0, 0, 1, 1, 1, 2, 2, 2]  # delays of a job that is tried again


@job(queue="chaos")
def stand(number: int, milliseconds: int) -> None:
    """Take some time, and leave two lines."""
    ledger = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, f"started {number}\n".encode())
    time.sleep(milliseconds / 1000)
    os.write(ledger, f"finished {number}\n".encode())
    os.close(ledger)


@job(queue=TICKS, every="1s")
def tick() -> None:
    """Is queued, and not performed."""


@job(queue="chaos", retry=RETRIES, track=True, result="1d")
def stand_again(number: int, milliseconds: int) -> int:
    """The same, tracked, and tried again whenever it or its worker dies."""
    progress(0, 1)
    stand(number, milliseconds)
    progress(1, 1)
    return number
