"""What is measured, one row each."""

from __future__ import annotations

from collections.abc import Callable

from ..figures import Result
from ..plan import Bench
from .delayed import delayed
from .enqueue import enqueue
from .failed_list import failed_list
from .fork import django_application, fork_per_job, large_application
from .idle_fleet import idle_fleet
from .memory import memory
from .one_child import jobs_per_fork
from .pickup import pick_up
from .queues import many_queues
from .round_trips import round_trips
from .settings import settings

ROWS: dict[int, Callable[[Bench], Result]] = {
    1: fork_per_job,
    2: large_application,
    3: jobs_per_fork,
    4: round_trips,
    5: pick_up,
    6: many_queues,
    7: idle_fleet,
    8: enqueue,
    9: memory,
    10: failed_list,
    11: settings,
    12: django_application,
    13: delayed,
}
