"""Enqueue a job, and print the functions that are entered by that, as JSON.

python -m bench.enqueueing URL
"""

from __future__ import annotations

import json
import sys

from resque_fork import Resque

from .app import noop
from .entered import Entered

if __name__ == "__main__":
    entered = Entered()
    resque = Resque(sys.argv[1])
    resque.enqueue(noop, 0)  # the first one also connects
    sys.setprofile(entered)
    resque.enqueue(noop, 1)
    sys.setprofile(None)
    print(json.dumps(entered.take()))
