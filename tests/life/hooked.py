"""The application, with a hook of every kind that tells who runs it."""

import jobs

from resque_fork import (
    after_fork,
    after_pause,
    before_first_fork,
    before_fork,
    before_pause,
    queue_empty,
    shutdown,
    worker_exit,
)


def telling(name):
    def hook(*args):
        jobs.tell(name, args=[type(arg).__name__ for arg in args])

    return hook


for register in (
    before_first_fork,
    before_fork,
    after_fork,
    before_pause,
    after_pause,
    queue_empty,
    shutdown,
    worker_exit,
):
    register(telling(register.__name__))
