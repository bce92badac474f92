"""With inline a job is performed where it is enqueued, and nothing is queued."""

from typing import Any

import pytest
from told import hook

from resque_fork import Resque, UnknownJob, job


def test_inline_performs_on_the_spot(
    redis_url: str, redis: Any, name: str, told: list[Any]
) -> None:
    """With inline a job is performed where it is enqueued, on arguments that went through JSON."""

    class Hooks:
        before_enqueue = hook("before_enqueue")
        before_perform = hook("before_perform")
        after_perform = hook("after_perform")
        after_enqueue = hook("after_enqueue")

    resque = Resque(redis_url, inline=True)
    declared = job(name=name, queue="q", hooks=[Hooks])(lambda *args: told.append(("job", *args)))
    assert resque.enqueue(declared, (1, 2)) is True
    assert told == [
        ("before_enqueue", (1, 2)),
        ("before_perform", [1, 2]),
        ("job", [1, 2]),
        ("after_perform", [1, 2]),
        ("after_enqueue", (1, 2)),
    ]
    told.clear()
    assert resque.enqueue_many(declared, [[1], [2]]) == 2
    assert [t for t in told if t[0] == "job"] == [("job", 1), ("job", 2)]
    assert redis.keys() == []


def test_inline_raises_what_the_job_raises(redis_url: str, redis: Any, name: str) -> None:
    """With inline the job's exception is the caller's, and an unknown job is one."""
    resque = Resque(redis_url, inline=True)
    with pytest.raises(ZeroDivisionError):
        resque.enqueue(job(name=name, queue="q")(lambda: 1 / 0))
    with pytest.raises(UnknownJob):
        resque.enqueue_to("q", f"{name}_unknown")
    assert redis.keys() == []
