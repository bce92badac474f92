"""Jobs that wait for a time: enqueue_at, enqueue_in, and what becomes of them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import pytest
from redis import Redis

from resque_fork import (
    ArgumentsError,
    Job,
    NoQueueError,
    Resque,
    WrongKeyType,
    default_resque,
    job,
)
from resque_fork.wire.keys import Keys

pytestmark = pytest.mark.usefixtures("own_jobs")

KEYS = Keys()
LATER = 1893456000  # 2030-01-01


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    resque = Resque(redis_url)
    yield resque
    resque.close()


def items(redis: Redis) -> dict[int, list[bytes]]:
    moments: Any = redis.zrange(KEYS.delayed_times, 0, -1)
    found: Any = {int(m): redis.lrange(KEYS.delayed(int(m)), 0, -1) for m in moments}
    return dict(found)


def test_enqueue_at(resque: Resque, redis: Redis) -> None:
    """It waits in resque-scheduler's bytes and keys."""

    @job(queue="mail")
    def greet(name: str, greeting: str = "Hello") -> None: ...

    when = datetime.datetime(2030, 1, 1, 1, tzinfo=datetime.timezone(timedelta(hours=1)))
    assert resque.enqueue_at(when, greet, "ü", greeting="Hi")
    item = '{"class":"greet","args":["ü","Hi"],"queue":"mail"}'.encode()
    assert items(redis) == {LATER: [item]}
    assert redis.smembers(KEYS.timestamps(item)) == {b"delayed:%d" % LATER}
    assert redis.zscore(KEYS.delayed_times, str(LATER)) == LATER


@pytest.mark.parametrize("when", [LATER, LATER - 0.5, float(LATER)])
def test_seconds_since_the_epoch(resque: Resque, redis: Redis, when: float) -> None:
    """Count as times too; a fraction is rounded up, so that no job is early."""
    resque.enqueue_at_to("low", when, "Mail", 1)
    assert items(redis) == {LATER: [b'{"class":"Mail","args":[1],"queue":"low"}']}


@pytest.mark.parametrize("delay", [600, "10m", timedelta(minutes=10), 600.0])
def test_enqueue_in(resque: Resque, redis: Redis, delay: Any) -> None:
    """The job waits for so long by the clock of Redis, never less."""
    before = time.time()
    assert resque.enqueue_in_to("low", delay, "Mail")
    [(moment, [item])] = items(redis).items()
    assert before + 600 <= moment <= time.time() + 602
    assert item == b'{"class":"Mail","args":[],"queue":"low"}'


def test_jobs_can_do_it_themselves(redis_url: str, redis: Redis, monkeypatch: Any) -> None:
    """As with enqueue, a type checker checks the arguments."""

    @job(queue="mail")
    def greet(name: str) -> None: ...

    monkeypatch.setenv("RESQUE_REDIS", redis_url)
    assert greet.enqueue_in("10m", "Ada")
    assert greet.enqueue_at(LATER, "Ada")
    default_resque().close()
    assert sum(map(len, items(redis).values())) == 2


@pytest.mark.parametrize("when", [-5, 1000.5, datetime.datetime(2020, 1, 1, tzinfo=UTC)])
def test_in_the_past(resque: Resque, redis: Redis, when: Any) -> None:
    """It is queued at once."""
    resque.enqueue_at_to("low", when, "Mail")
    resque.enqueue_in_to("low", 0, "Mail")
    assert items(redis) == {}
    assert redis.llen(KEYS.queue("low")) == 2


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        (datetime.datetime(2030, 1, 1), "2030-01-01 00:00:00 has no time zone: give a datetime "),
        ("2030-01-01", "'2030-01-01' is no time: expected a datetime with a time zone, or seconds"),
        (True, "True is no time"),
        (float("nan"), "nan is no time"),
        (float("inf"), "inf is no time"),
        (LATER * 1000, "A job cannot be delayed by more than ten years."),
    ],
)
def test_no_time(resque: Resque, redis: Redis, when: Any, problem: str) -> None:
    """Is refused, and nothing is delayed."""
    with pytest.raises(ArgumentsError, match=f"^{problem}"):
        resque.enqueue_at_to("low", when, "Mail")
    assert redis.keys("*") == []


@pytest.mark.parametrize(
    ("delay", "problem"),
    [
        ("soon", "The delay 'soon' is not valid: expected a time such as 30, 10m, 6h or 2d."),
        (-1, "The delay -1 is not valid: expected "),
        (None, "The delay None is not valid: expected "),
        ("4000d", "A job cannot be delayed by more than ten years."),
    ],
)
def test_no_delay(resque: Resque, redis: Redis, delay: Any, problem: str) -> None:
    """Is refused too."""
    with pytest.raises(ArgumentsError, match=f"^{problem}"):
        resque.enqueue_in_to("low", delay, "Mail")
    assert redis.keys("*") == []


def test_no_queue(resque: Resque) -> None:
    """A job has to have one."""
    with pytest.raises(NoQueueError):
        resque.enqueue_in(5, "Mail")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("args", [[10**400], [{"a": [10**400]}], [nested(98)]])
def test_what_other_schedulers_cannot_read(resque: Resque, redis: Redis, args: list[Any]) -> None:
    """It would stop them, so it is refused."""
    with pytest.raises(
        ArgumentsError, match=r"^Mail: a job with these arguments cannot be delayed"
    ):
        resque.enqueue_in_to("low", 5, "Mail", *args)
    assert redis.keys("*") == []


def test_hooks(resque: Resque, redis: Redis) -> None:
    """before_schedule may stop it; those of enqueueing do not run."""
    ran: list[tuple[str, object]] = []

    class Mail(Job):
        queue = "mail"

        @staticmethod
        def perform(name: str) -> None: ...

        @staticmethod
        def before_schedule_known(name: str) -> bool:
            ran.append(("before", name))
            return name != "nobody"

        @staticmethod
        def after_schedule_count(name: str) -> None:
            ran.append(("after", name))

        @staticmethod
        def before_enqueue(name: str) -> None:
            ran.append(("enqueue", name))

    assert resque.enqueue_in("1h", Mail, "Ada")
    assert not resque.enqueue_at(LATER, Mail, "nobody")
    assert ran == [("before", "Ada"), ("after", "Ada"), ("before", "nobody")]
    assert sum(map(len, items(redis).values())) == 1


def test_inline(redis_url: str, redis: Redis) -> None:
    """For tests: it is performed at once."""
    ran = []

    @job(queue="mail")
    def greet(name: str) -> None:
        ran.append(name)

    assert Resque(redis_url, inline=True).enqueue_in("10m", greet, "Ada")
    assert ran == ["Ada"]
    assert redis.keys("*") == []


def test_when_it_is_due(resque: Resque, redis: Redis) -> None:
    """All times of exactly this job, the earliest first; none if it does not wait."""
    resque.enqueue_at_to("low", LATER + 60, "Mail", 1)
    resque.enqueue_at_to("low", LATER, "Mail", 1)
    resque.enqueue_at_to("low", LATER, "Mail", 2)
    first = datetime.datetime(2030, 1, 1, tzinfo=UTC)
    times = [first, first + timedelta(minutes=1)]
    assert resque.delayed("Mail", 1, queue="low") == times
    assert resque.delayed("Mail", 3, queue="low") == []


def test_due_beyond_the_year_9999(resque: Resque, redis: Redis) -> None:
    """Others may write milliseconds; it is due when times end."""
    redis.zadd(KEYS.delayed_times, {"1790000000000": 1790000000000})
    redis.rpush(KEYS.delayed(1790000000000), b'{"class":"Mail","args":[1],"queue":"low"}')
    redis.sadd(
        KEYS.timestamps(b'{"class":"Mail","args":[1],"queue":"low"}'), "delayed:1790000000000"
    )
    last = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert resque.delayed("Mail", 1, queue="low") == [last]


def test_how_many_are_delayed(resque: Resque, redis: Redis, redis_url: str) -> None:
    """At however many times, in steps of a moment each; also without the right to run scripts."""
    moments = range(LATER, LATER + 2500)
    redis.zadd(KEYS.delayed_times, {str(moment): moment for moment in moments})
    for moment in moments[1:]:
        redis.rpush(KEYS.delayed(moment), "a", "b")
    redis.set(KEYS.delayed(LATER), "no list")
    assert resque.info()["delayed"] == 2 * 2499
    redis.execute_command(
        "ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+@all", "-evalsha"
    )
    reader = Resque(redis_url.replace("unix://", "unix://reader:pw@"))
    assert reader.info()["delayed"] == 2 * 2499
    reader.close()
    redis.set(KEYS.delayed_times, "text")
    with pytest.raises(WrongKeyType, match=KEYS.delayed_times):
        resque.info()


def test_remove_delayed(resque: Resque, redis: Redis) -> None:
    """All that are equal, at all times; nothing of them is left."""
    for moment in (LATER, LATER, LATER + 60):
        resque.enqueue_at_to("low", moment, "Mail", 1.0)
    resque.enqueue_at_to("low", LATER, "Mail", 2)
    assert resque.remove_delayed("Mail", 1.0, queue="low") == 3
    assert items(redis) == {LATER: [b'{"class":"Mail","args":[2],"queue":"low"}']}
    assert resque.remove_delayed("Mail", 2, queue="low") == 1
    assert redis.keys("*") == []


def test_large_job(resque: Resque, redis: Redis) -> None:
    """It has no index, which would be as large: it is looked for."""
    resque.enqueue_at_to("low", LATER, "Mail", "x" * 70_000)
    resque.enqueue_at_to("low", LATER, "Mail", "y")
    assert len(resque.delayed("Mail", "x" * 70_000, queue="low")) == 1
    assert resque.remove_delayed("Mail", "x" * 70_000, queue="low") == 1
    assert resque.delayed("Mail", "x" * 70_000, queue="low") == []


@pytest.mark.parametrize("key", [KEYS.delayed_times, KEYS.delayed(LATER)])
def test_wrong_type(resque: Resque, redis: Redis, key: str) -> None:
    """The error names the key, and nothing is delayed."""
    redis.set(key, "in the way")
    with pytest.raises(WrongKeyType) as caught:
        resque.enqueue_at_to("low", LATER, "Mail")
    assert caught.value.key == key
    assert redis.keys("*") == [key.encode()]


def test_producer_without_scripts(resque: Resque, redis: Redis, redis_url: str) -> None:
    """Where a user may not run scripts, single commands do the same."""
    rights = ["~resque:*", "+hello", "+multi", "+exec", "+zadd", "+rpush", "+sadd", "+client"]
    redis.execute_command("ACL", "SETUSER", "producer", "reset", "on", ">pw", *rights)
    producer = Resque(redis_url.replace("unix://", "unix://producer:pw@"))
    producer.enqueue_at_to("low", LATER, "Mail", 1)
    before = time.time()
    producer.enqueue_in_to("low", 600, "Mail", 2)
    producer.close()
    found = items(redis)
    assert found.pop(LATER) == [b'{"class":"Mail","args":[1],"queue":"low"}']
    [moment] = found
    assert before + 600 <= moment <= time.time() + 601
    assert resque.delayed("Mail", 1, queue="low") != []
