"""The application of a worker whose children take long to read a payload."""

import time

from jobs import tell

from resque_fork.wire.job import Payload


def wait(raw, limit, vouch):
    tell("reading")
    time.sleep(600)


Payload.parse = wait
