"""The application, for a worker that gives children less time to leave."""

import os

import jobs  # noqa: F401

from resque_fork.child import fork, handle

handle.LEAVE_SECONDS = fork.LEAVE_SECONDS = float(os.environ["LIFE_LEAVE_SECONDS"])
