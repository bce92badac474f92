"""`delayed`, `retries`, and `enqueue` with a time."""

import json
import time

import pytest
from redis import Redis

from resque_fork import Resque
from resque_fork.wire.delayed import digest_of, item_of
from resque_fork.wire.job import Payload
from resque_fork.wire.keys import Keys
from resque_fork.wire.unreadable import wrapped

KEYS = Keys()
TIMES = KEYS.delayed_times
NOW = int(time.time())
PAST, LATER = NOW - 100, NOW + 864_000  # the suite may get here long after


def delay(redis: Redis, moment: int, *items: str) -> None:
    """As any resque-scheduler would do it."""
    redis.zadd(TIMES, {str(moment): moment})
    for item in items:
        redis.rpush(KEYS.delayed(moment), item)
        redis.sadd(KEYS.timestamps(item.encode()), f"delayed:{moment}")


def item(name: str, *args: object, queue: str = "mail") -> str:
    return json.dumps({"class": name, "args": args, "queue": queue}, separators=(",", ":"))


def iso(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


# --- enqueue


def test_enqueue_in(run, redis: Redis) -> None:
    """The job waits for so long, in resque-scheduler's bytes."""
    result = run("enqueue", "mail", "Mail", "7", "--in", "10m")
    assert result.stdout == "Mail goes to mail in 10m 0s.\n"
    [moment] = redis.zrange(TIMES, 0, -1)
    assert NOW + 600 <= int(moment) <= time.time() + 602
    assert redis.lrange(KEYS.delayed(int(moment)), 0, -1) == [item("Mail", 7).encode()]
    assert not redis.exists(KEYS.queue("mail"))


def test_enqueue_at(run, redis: Redis) -> None:
    """At a time with its zone."""
    result = run("enqueue", "mail", "Mail", "--at", "2030-01-01T01:00:00+01:00")
    assert result.stdout == "Mail goes to mail at 2030-01-01T01:00:00+01:00.\n"
    assert redis.zrange(TIMES, 0, -1) == [b"1893456000"]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--in", "soon"], "'soon' is not a time such as 90, 10m, 2h or 3d."),
        (["--at", "soon"], "'soon' is not a time with its zone, such as 2027-01-31T09:00:00+01:00"),
        (["--at", "2030-01-01"], "'2030-01-01' is not a time with its zone"),
        (["--in", "5", "--at", "2030-01-01T00:00:00Z"], "Give only one of --in, --at and --stdin."),
        (["--in", "5", "--stdin"], "Give only one of --in, --at and --stdin."),
    ],
)
def test_no_time(run, redis: Redis, words: list[str], problem: str) -> None:
    """What is no time is refused, and nothing is queued."""
    result = run("enqueue", "mail", "Mail", *words, status=2)
    assert problem in " ".join(result.stderr.split())
    assert redis.keys("*") == []


def test_too_far(run) -> None:
    """More than ten years ahead is a mistake."""
    result = run("enqueue", "mail", "Mail", "--in", "4000d", status=1)
    assert "A job cannot be delayed by more than ten years." in result.stderr


# --- delayed


def test_no_delayed_jobs(run) -> None:
    """It says so."""
    assert run("delayed").stderr == "No job is delayed.\n"
    assert run("delayed", "--json").stdout == "[]\n"
    assert run("delayed", "show", "1000").stderr == "No job is due at 1970-01-01T00:16:40Z.\n"


def test_delayed(run, redis: Redis) -> None:
    """Times, the earliest first, with the number of jobs."""
    delay(redis, LATER + 7300, item("A"), item("B"))
    delay(redis, PAST, item("C"))
    redis.zadd(TIMES, {"1000.5": 1000.5})
    lines = run("delayed").stdout.splitlines()
    assert lines[0].split() == ["TIME", "IN", "JOBS"]
    assert lines[1].split() == ["1000.5", "?", "0"]
    assert lines[2].split() == [iso(PAST), "due", "1"]
    assert lines[3].split()[0] == iso(LATER + 7300)
    assert lines[3].split()[-1] == "2"
    rows = json.loads(run("delayed", "--json", "--start", "2").stdout)
    assert [(row["time"], row["epoch"], row["jobs"]) for row in rows] == [
        (iso(LATER + 7300), LATER + 7300, 2)
    ]


def test_delayed_show(run, redis: Redis) -> None:
    """The jobs of one time, which is named as the listing shows it; also what is no job."""
    delay(redis, NOW, item("Mail", 7, "ü"), "oops")
    for name in (str(NOW), iso(NOW)):
        lines = run("delayed", "show", name).stdout.splitlines()
        assert lines[1].split() == ["0", "mail", "Mail", "[7,", '"ü"]']
        assert lines[2].split() == ["1", "?", "?", "null"]
    rows = json.loads(run("delayed", "show", str(NOW), "--json").stdout)
    assert rows[0]["payload"] == {"class": "Mail", "args": [7, "ü"], "queue": "mail"}
    assert rows[1]["payload"] == "oops"


def test_delayed_now(run, redis: Redis) -> None:
    """The jobs of a time go to their queues, byte for byte, and leave nothing behind."""
    delay(redis, LATER + 900, item("A", 1.0), item("A", 1.0), item("B", queue="low"))
    assert run("delayed", "now", str(LATER + 900)).stdout == "Queued 3 delayed jobs.\n"
    assert redis.lrange(KEYS.queue("mail"), 0, -1) == [b'{"class":"A","args":[1.0]}'] * 2
    assert redis.lrange(KEYS.queue("low"), 0, -1) == [b'{"class":"B","args":[]}']
    assert {key.decode() for key in redis.keys("*")} == {
        *(KEYS.queues, KEYS.queue("mail"), KEYS.queue("low"))
    }


def test_delayed_remove(run, redis: Redis) -> None:
    """They are gone; a time at which nothing is due is an error."""
    delay(redis, LATER + 900, item("A"), item("B"))
    assert run("delayed", "remove", str(LATER + 900)).stdout == "Removed 2 delayed jobs.\n"
    assert redis.keys("*") == []
    result = run("delayed", "remove", str(LATER + 900), status=1)
    assert f"No job is due at {iso(LATER + 900)}." in result.stderr
    assert "'soon' is not a time" in run("delayed", "now", "soon", status=2).stderr


def test_delayed_now_with_what_is_no_job(run, redis: Redis) -> None:
    """It stays, and the error says so."""
    delay(redis, LATER + 900, item("A"), "oops")
    result = run("delayed", "now", str(LATER + 900), status=1)
    assert "The delayed job cannot be read" in result.stderr
    assert "1 delayed job had been queued." in result.stderr
    assert redis.lrange(KEYS.delayed(LATER + 900), 0, -1) == [b"oops"]


def test_delayed_clear(run, redis: Redis) -> None:
    """All of them, at all times."""
    for number in range(3):
        delay(redis, LATER + number, *(item("A", n) for n in range(number + 1)))
    assert run("delayed", "clear", "--yes").stdout == "Removed 6 delayed jobs.\n"
    assert redis.keys("*") == []


def test_delayed_clear_of_a_crowd(run, redis: Redis) -> None:
    """However many are due in one second, and whatever odd times stand in front."""
    redis.zadd(TIMES, {f"{n}.5": n for n in range(600)})
    delay(redis, LATER, *(item("A", n) for n in range(1200)))
    assert run("delayed", "clear", "--yes").stdout == "Removed 1200 delayed jobs.\n"
    assert not redis.exists(KEYS.delayed(LATER))


# --- retries


def retried(redis: Redis, raw: bytes, due: int, failures: int = 1, queue: str = "mail") -> str:
    """A job that waits for its retry, as a worker leaves it; its id."""
    digest = digest_of(Payload.parse(raw))
    delay(redis, due, item_of(raw, queue).decode())
    state = {"attempt": failures, "first": NOW - 60, "due": due, "queue": queue, "waiting": 1}
    redis.hset(KEYS.retry(digest), mapping={**state, "exception": "OSError", "error": "gone"})
    redis.zadd(KEYS.retries, {digest: due})
    return digest[:8]


A, B = b'{"class":"A","args":[1.0]}', b'{"class":"B","args":[]}'


def test_no_retries(run) -> None:
    """It says so, and names no job that is not there."""
    assert run("retries").stderr == "No job is being retried.\n"
    message = "No job that is retried begins with '5f1c09ab': see resque-fork retries."
    assert message in run("retries", "show", "5f1c09ab", status=1).stderr


def test_retries(run, redis: Redis) -> None:
    """Those that are due next first, with how often they have failed, and of what."""
    second = retried(redis, B, LATER + 4000, queue="low")
    first = retried(redis, A, PAST, failures=3)
    lines = [line.split() for line in run("retries").stdout.splitlines()]
    assert lines[1] == [first, "due", "mail", "A", "3x", "OSError", "gone"]
    assert (lines[2][0], lines[2][-5:]) == (second, ["low", "B", "1x", "OSError", "gone"])
    [row] = json.loads(run("retries", "--json", "--class", "A*").stdout)
    assert row.pop("in_seconds") <= -100
    assert row == {
        "id": first,
        "due_at": iso(PAST),
        "queue": "mail",
        "class": "A",
        "args": [1.0],
        "failures": 3,
        "first_failed_at": iso(NOW - 60),
        "exception": "OSError",
        "error": "gone",
        "waiting": 1,
    }
    assert len(run("retries", "--queue", "low").stdout.splitlines()) == 2
    assert len(run("retries", "--start", "1", "--count", "1").stdout.splitlines()) == 2


def test_retries_show(run, redis: Redis) -> None:
    """Everything about one; of a job that is not waiting its class is not known."""
    first = retried(redis, A, LATER + 60)
    said = run("retries", "show", first).stdout
    assert "class:           A\n" in said
    assert "args:            [1.0]\n" in said
    redis.delete(KEYS.delayed(LATER + 60))
    row = json.loads(run("retries", "show", first, "--json").stdout)
    assert (row["class"], row["failures"]) == (None, 1)


def test_retries_now(run, redis: Redis) -> None:
    """The job goes to its queue with its count; one that does not wait is named."""
    first = retried(redis, A, LATER + 60)
    assert run("retries", "now", first).stdout == "Queued 1 job.\n"
    assert redis.lrange(KEYS.queue("mail"), 0, -1) == [A]
    assert redis.zcard(KEYS.retries) == 1
    result = run("retries", "now", first, status=1)
    assert f"{first} does not wait: it is in its queue or runs." in result.stderr


def test_retries_remove(run, redis: Redis) -> None:
    """The job and its count are gone; all, by class, or by queue."""
    retried(redis, A, LATER + 60)
    retried(redis, B, LATER + 60, queue="low")
    assert run("retries", "remove", "--queue", "low").stdout == "Removed 1 job.\n"
    assert redis.zcard(KEYS.retries) == 1
    assert run("retries", "remove", "--all").stdout == "Removed 1 job.\n"
    assert redis.keys("*") == []


def test_retries_of_what_others_cannot_read(run, redis: Redis) -> None:
    """It is found by the bytes that its item holds."""
    raw = b'{"class":"A","args":["\\ud800"]}'
    first = retried(redis, raw, LATER + 60)
    redis.delete(KEYS.delayed(LATER + 60))
    delay(redis, LATER + 60, item_of(wrapped(raw), "mail").decode())
    assert json.loads(run("retries", "show", first, "--json").stdout)["class"] == "A"
    assert run("retries", "now", first).stdout == "Queued 1 job.\n"


def test_many_retries_of_one_second(run, redis: Redis) -> None:
    """What waits in a second is read once, however many jobs are retried in it."""
    for n in range(30):
        retried(redis, b'{"class":"A","args":[%d]}' % n, LATER)
    before = redis.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"]
    assert len(run("retries", "--class", "A").stdout.splitlines()) == 21
    assert redis.info("commandstats")["cmdstat_lrange"]["calls"] - before == 2
    assert run("retries", "now", "--all").stdout == "Queued 30 jobs.\n"


@pytest.mark.parametrize("verb", ["now", "remove"])
def test_which_retries(run, redis: Redis, verb: str) -> None:
    """It has to be clear which are meant."""
    message = "Say which jobs: by id, with --all, --queue NAME or --class NAME."
    assert message in run("retries", verb, status=2).stderr
    message = "Name jobs by id or by what they share, not both."
    assert message in run("retries", verb, "5f1c09ab", "--all", status=2).stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["retries", "--class", "A", "remove", "--all"], "--class belongs after remove."),
        (["delayed", "--count", "5", "clear"], "--count belongs after clear."),
    ],
)
def test_options_before_a_command(run, redis: Redis, words: list[str], problem: str) -> None:
    """What narrows the listing does not narrow the command after it: nothing is done."""
    retried(redis, A, LATER)
    assert problem in run(*words, status=2).stderr
    assert redis.zcard(KEYS.retries) == 1
    assert redis.exists(KEYS.delayed(LATER))


def test_info_counts_them(run, redis: Redis) -> None:
    """Delayed jobs, and those that are retried among them."""
    retried(redis, A, LATER + 60)
    delay(redis, LATER + 90, item("C"), item("D"))
    numbers = json.loads(run("info", "--json").stdout)
    assert (numbers["delayed"], numbers["retrying"]) == (3, 1)


@pytest.mark.parametrize(
    ("key", "args"),
    [
        (TIMES, ["enqueue", "mail", "Mail", "--in", "5"]),
        (TIMES, ["delayed"]),
        (KEYS.retries, ["retries"]),
    ],
)
def test_wrong_type(run, redis: Redis, key: str, args: list[str]) -> None:
    """The error names the key."""
    redis.set(key, "in the way")
    assert f"The Redis key {key!r} does not hold what Resque" in run(*args, status=1).stderr


# --- doctor


def findings(run, check: str) -> list[tuple[str, str]]:
    rows = json.loads(run("doctor", "--json").stdout)
    return [(row["result"], row["message"]) for row in rows if row["check"] == check]


def test_doctor_names_a_lock_without_end(run, redis: Redis) -> None:
    """While it stands nothing is moved; one that expires is as it should be."""
    redis.set(KEYS.scheduler_lock(), "host:1", ex=100)
    told = "Ruby's scheduler moves them while it runs."
    assert findings(run, "delayed jobs") == [("ok", told)]
    redis.persist(KEYS.scheduler_lock())
    [(result, message)] = findings(run, "delayed jobs")
    assert result == "warn"
    assert "the lock of Ruby's scheduler, does not expire" in message


def test_doctor_names_what_nobody_moves(run, redis: Redis) -> None:
    """Jobs that are due for a minute, and still wait."""
    delay(redis, LATER + 60, item("A"))
    assert findings(run, "delayed jobs") == [("ok", "1 job is delayed.")]
    delay(redis, PAST, item("A"))
    [(result, message)] = findings(run, "delayed jobs")
    assert result == "warn"
    assert "nobody moves them: run a worker without --no-clock, or resque-fork clock." in message


def test_doctor_names_queues_of_retries(run, redis: Redis, redis_url: str) -> None:
    """Those that no worker serves."""
    redis.hset(KEYS.jobs, "Mail", '{"attempts":1,"queue":"again"}')
    redis.hset(KEYS.jobs, "Other", "oops")
    told = "Retries of Mail go to the queue again, which no worker serves."
    assert findings(run, "retries") == [("warn", told)]
    redis.sadd(KEYS.workers, "host:1:mail,a*")
    assert findings(run, "retries") == []
    assert Resque(redis_url).workers() == ["host:1:mail,a*"]


@pytest.mark.parametrize("how", [["remove", str(LATER + 60)], ["clear", "--yes"]])
def test_delayed_remove_of_a_retry(run, redis: Redis, how: list[str]) -> None:
    """A job that is not to come back is no longer listed as one that is retried."""
    retried(redis, A, LATER + 60)
    run("delayed", *how)
    assert redis.keys("*") == []


def test_delayed_remove_of_equal_jobs(run, redis: Redis) -> None:
    """While another equal job waits for its retry, how often they have failed is remembered."""
    digest = digest_of(Payload.parse(A))
    retried(redis, A, LATER + 60)
    redis.hset(KEYS.retry(digest), "waiting", 2)
    delay(redis, LATER + 90, item_of(A, "mail").decode())
    for moment, waiting in ((LATER + 90, b"2"), (LATER + 60, b"1")):
        run("delayed", "remove", str(moment))
        assert redis.hget(KEYS.retry(digest), "waiting") == waiting
    assert redis.zcard(KEYS.retries) == 1
