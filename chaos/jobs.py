"""The job of the chaos program: it writes down, in a file, that it started and that it finished.

Lines are appended in one write each, which the kernel keeps whole.
"""

from __future__ import annotations

import os
import time

from resque_fork import job

LEDGER = "CHAOS_LEDGER"  # environment variable: the file


@job(queue="chaos")
def stand(number: int, milliseconds: int) -> None:
    """Take some time, and leave two lines."""
    ledger = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, f"started {number}\n".encode())
    time.sleep(milliseconds / 1000)
    os.write(ledger, f"finished {number}\n".encode())
    os.close(ledger)
