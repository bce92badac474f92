"""``doctor`` looks at schedules: those that have no ticks, and whether anybody keeps them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..clock.known import ENDED, INVALID, NOT_HERE, KnownSchedule, all_known
from ..errors import WrongKeyType
from ..text import counted
from .checks import FAIL, OK, WARN, Finding
from .checks_of_delayed import LATE_SECONDS, scheduler_lock
from .checks_of_workers import unserved
from .site import Site

CHECK = "schedules"


def look_at_schedules(site: Site) -> Iterator[Finding]:
    """Raises our errors."""
    stored = site.resque.schedules.load()
    for key in stored.wrong:
        yield Finding(CHECK, FAIL, str(WrongKeyType(key)))
    found = all_known(stored.schedules, stored.now)
    ruby = bool(site.resque.client.execute_command("EXISTS", scheduler_lock(site)))
    queues = unserved(site, {one.schedule.queue for one in found if one.schedule})
    problems = [
        finding
        for one in found
        for finding in (
            *_state(one),
            *_late(one, stored.now, ruby=ruby),
            *_unserved(one, queues),
        )
    ]
    yield from problems
    if found and not problems:
        verb = "is" if len(found) == 1 else "are"
        yield Finding(CHECK, OK, f"{counted(len(found), 'schedule')} {verb} kept.")


def _state(one: KnownSchedule) -> Iterator[Finding]:
    name = one.stored.name
    if one.state in (INVALID, NOT_HERE):
        yield Finding(CHECK, FAIL if one.state == INVALID else WARN, one.problem)
    elif one.state == ENDED:
        yield Finding(
            CHECK,
            WARN,
            f"No worker declares the schedule {name!r} any more, so it has no ticks. Run a worker "
            f"with its application, or resque-fork schedule remove {name}.",
        )
    elif one.ticks and one.ticks.warning:
        yield Finding(CHECK, WARN, f"The schedule {name!r}: {one.ticks.warning}")


def _late(one: KnownSchedule, now: int, *, ruby: bool) -> Iterator[Finding]:
    if one.due is not None and now - one.due > LATE_SECONDS and not (ruby and one.stored.shared):
        yield Finding(
            CHECK,
            WARN,
            f"A tick of the schedule {one.stored.name!r} has been due for {now - one.due} seconds: "
            "run a worker without --no-clock, or resque-fork clock.",
        )


def _unserved(one: KnownSchedule, queues: Collection[str]) -> Iterator[Finding]:
    if one.schedule and one.due is not None and one.schedule.queue in queues:
        yield Finding(
            CHECK,
            WARN,
            f"The schedule {one.stored.name!r} queues jobs on {one.schedule.queue}, which no "
            "worker serves.",
        )
