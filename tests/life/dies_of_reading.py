"""The application of a worker whose children die of what they read."""

import os
import signal

from resque_fork.wire.job import Payload


def die(raw, limit, vouch):
    os.kill(os.getpid(), signal.SIGKILL)


Payload.parse = die
