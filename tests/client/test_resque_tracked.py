"""Tracked jobs: what is queued, what is returned, and what is known of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from resque_fork import Job, MaybeEnqueued, Receipt, RedisUnavailable, Resque, WrongKeyType, job
from resque_fork.wire.keys import Keys

pytestmark = pytest.mark.usefixtures("own_jobs")

KEYS = Keys()
LATER = 1893456000  # 2030-01-01


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    resque = Resque(redis_url)
    yield resque
    resque.close()


@pytest.fixture
def greet() -> Any:
    @job(queue="mail", track=True)
    def greet(name: str) -> None: ...

    return greet


def receipt_of(found: Receipt | bool) -> Receipt:
    assert isinstance(found, Receipt)
    return found


def test_enqueue(resque: Resque, redis: Redis, greet: Any) -> None:
    """The id stands behind the arguments, and the status in resque-status' keys for a week."""
    receipt = receipt_of(resque.enqueue(greet, "ü"))
    payload = f'{{"class":"greet","args":["ü"],"id":"{receipt.id}"}}'.encode()
    assert redis.lrange(KEYS.queue("mail"), 0, -1) == [payload]
    assert redis.smembers(KEYS.queues) == {b"mail"}
    assert redis.zrange(KEYS.statuses, 0, -1) == [receipt.id.encode()]
    assert 604000 < redis.ttl(KEYS.status(receipt.id)) <= 604800  # type: ignore[operator]
    status = resque.status(receipt.id)
    assert (status.state, status.name, status.queue) == ("queued", "greet", "mail")


def test_not_tracked(resque: Resque, redis: Redis) -> None:
    """Jobs that are not tracked write none of these keys, and enqueueing returns True."""

    @job(queue="mail")
    def plain() -> None: ...

    assert resque.enqueue(plain) is True
    assert resque.enqueue_in(60, plain) is True
    assert not redis.exists(KEYS.statuses, KEYS.own_statuses)
    assert redis.keys(KEYS.status("*")) == []
    assert redis.lrange(KEYS.queue("mail"), 0, -1) == [b'{"class":"plain","args":[]}']


def test_class(resque: Resque) -> None:
    """A job that is a class is tracked in the same way."""

    class Greet(Job, track=True):
        queue = "mail"

        @staticmethod
        def perform() -> None: ...

    assert receipt_of(resque.enqueue_to("others", Greet)).status().queue == "others"


def test_hook_that_stops_it(resque: Resque, redis: Redis) -> None:
    """A job that a hook has stopped has no receipt, and no status."""

    class Never(Job, track=True):
        queue = "mail"

        @staticmethod
        def perform() -> None: ...

        @staticmethod
        def before_enqueue_no() -> bool:
            return False

    assert resque.enqueue(Never) is False
    assert redis.keys("*") == []


def test_delayed(resque: Resque, redis: Redis, greet: Any) -> None:
    """A delayed job says when it is due, and its status is kept until a week after that."""
    receipt = receipt_of(resque.enqueue_at(LATER, greet, "ü"))
    item = f'{{"class":"greet","args":["ü"],"id":"{receipt.id}","queue":"mail"}}'.encode()
    assert redis.lrange(KEYS.delayed(LATER), 0, -1) == [item]
    status = receipt.status()
    assert status.state == "delayed"
    assert status.due is not None
    assert status.due.timestamp() == LATER
    kept: Any = redis.ttl(KEYS.status(receipt.id))
    assert abs(LATER + 7 * 86400 - time.time() - kept) < 60


def test_in_a_while(resque: Resque, greet: Any) -> None:
    """After a delay, too, and at once if there is none."""
    assert receipt_of(resque.enqueue_in("10m", greet, "x")).status().state == "delayed"
    assert receipt_of(resque.enqueue_in(0, greet, "x")).status().state == "queued"


def test_delayed_jobs_are_found(resque: Resque, greet: Any) -> None:
    """By their arguments, although each has an id; those that are removed were killed."""
    mine = receipt_of(resque.enqueue_at(LATER, greet, "x"))
    resque.enqueue_at(LATER + 1, greet, "x")
    other = receipt_of(resque.enqueue_at(LATER, greet, "y"))
    assert [when.timestamp() for when in resque.delayed(greet, "x")] == [LATER, LATER + 1]
    assert resque.remove_delayed(greet, "x") == 2
    assert (mine.status().state, other.status().state) == ("killed", "delayed")


def test_dequeue(resque: Resque, greet: Any) -> None:
    """A queued job is found by its arguments, too."""
    resque.enqueue(greet, "x")
    assert resque.dequeue(greet, "x") == 1


def test_inline(redis_url: str, redis: Redis, greet: Any) -> None:
    """A job that was performed on the spot is completed."""
    inline = Resque(redis_url, inline=True)
    receipt = receipt_of(inline.enqueue(greet, "x"))
    assert receipt.wait(0).state == receipt.kill().state == "completed"

    @job(queue="sums", track=True, result=60)
    def add(*numbers: int) -> int:
        return sum(numbers)

    assert receipt_of(inline.enqueue(add, 1, 2)).wait(0).result == 3
    assert redis.keys("*") == []


def test_expired_ids_are_taken_out(resque: Resque, redis: Redis, greet: Any) -> None:
    """The set of all ids does not grow for ever; those of other languages stay in it."""
    gone, there = (receipt_of(resque.enqueue(greet, "x")).id for _ in range(2))
    redis.zadd(KEYS.own_statuses, {gone: 1, there: 1})
    redis.zadd(KEYS.statuses, {"of ruby": 1})
    redis.delete(KEYS.status(gone))
    third = receipt_of(resque.enqueue(greet, "x")).id
    ids = {each.encode() for each in (there, third)}
    assert set(redis.zrange(KEYS.own_statuses, 0, -1)) == ids  # type: ignore[arg-type]
    assert set(redis.zrange(KEYS.statuses, 0, -1)) == {b"of ruby", *ids}  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [KEYS.queue("mail"), KEYS.queues])
def test_key_of_another_type(resque: Resque, redis: Redis, greet: Any, key: str) -> None:
    """Where there is no queue, nothing is queued and no status is written."""
    redis.set(key, "x")
    with pytest.raises(WrongKeyType) as raised:
        resque.enqueue(greet, "x")
    assert key in str(raised.value)
    assert redis.keys("*") == [key.encode()]


def test_redis_away(tmp_path: Any, greet: Any) -> None:
    """A job that cannot be queued has no receipt."""
    with pytest.raises(RedisUnavailable, match="Nothing was queued") as raised:
        Resque(f"unix://{tmp_path}/none").enqueue(greet, "x")
    assert not isinstance(raised.value, MaybeEnqueued)
