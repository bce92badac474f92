"""Our jobs for test_node_resque.py; what they have to say goes to the list `peer:answers`."""

import json
import os

from redis import Redis

from resque_fork import job


def answer(value: object) -> None:
    with Redis.from_url(os.environ["RESQUE_REDIS"]) as redis:
        redis.rpush("peer:answers", json.dumps(value))


@job(queue="python")
def remember(*args: object) -> None:
    answer(args)


@job(queue="python")
def wait(name: str) -> None:
    answer("waiting")
    with Redis.from_url(os.environ["RESQUE_REDIS"]) as redis:
        redis.blpop(f"peer:go:{name}", timeout=60)
    answer("waited")


@job(queue="python")
def boom(*args: object) -> None:
    answer("boom")
    raise ValueError(f"böom {args}")


@job(queue="python")
def die() -> None:
    answer("dying")
    os.abort()


@job(queue="python", retry=[1, 1])
def third_time_lucky(*args: object) -> None:
    with Redis.from_url(os.environ["RESQUE_REDIS"]) as redis:
        number = redis.incr("peer:attempts")
    answer([number, *args])
    if number < 3:
        raise ValueError("not yet")
