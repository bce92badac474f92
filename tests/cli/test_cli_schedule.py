"""`schedule`: what people see of schedules, and do with them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from resque_fork import Resque
from resque_fork.job import cron
from resque_fork.job.registry import registry
from resque_fork.job.schedule import Schedule
from resque_fork.store.schedules import RENEWED_SECONDS, Declared
from resque_fork.wire.keys import Keys

KEYS = Keys()


@pytest.fixture
def resque(redis_url: str) -> Iterator[Resque]:
    resque = Resque(redis_url)
    yield resque
    resque.close()


def declare(resque: Resque, *schedules: Schedule) -> None:
    declared = [Declared(one.name, one.timing, one.to_json()) for one in schedules]
    resque.schedules.declare(declared, anew=True)


def every(name: str, seconds: int = 600, queue: str = "q", **how: Any) -> Schedule:
    return Schedule(name, "J", queue, every=seconds, **how)


def rows(run: Any, *args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("schedule", *args, "--json").stdout)
    return found


def test_nothing(run) -> None:
    """There is none, which is told to people only."""
    assert run("schedule").stderr == "There is no schedule.\n"
    assert rows(run) == []
    assert run("schedule", "next").stderr == "There is no tick in the next 7d 0h.\n"


def test_listing(run, resque: Resque, redis: Redis) -> None:
    """When it is due, in words; when it was, and whether it goes on."""
    declare(resque, every("a"), Schedule("b", "K", "low", cron="0 7 * * 1-5 Europe/Berlin"))
    resque.set_schedule("c", "L", every=90, queue="q")
    now = int(time.time())
    redis.hset(KEYS.ticks, "a", f"{now - 65} every 600")
    lines = run("schedule").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "a", "b", "c"]
    assert "Every 10m" in lines[1]
    assert "1m 5s ago" in lines[1]
    assert "8m 5" in lines[1]
    assert lines[1].split()[-3:] == ["J", "q", "on"]
    assert "At 07:00 on Monday through Friday Europe/Berlin" in lines[2]
    assert "never" in lines[2]


def test_listing_as_json(run, resque: Resque, redis: Redis) -> None:
    """Everything that is known."""
    declare(resque, every("a", args=[1], description="d", catch_up="none"))
    now = int(time.time())
    redis.hset(KEYS.ticks, "a", f"{now - 65} every 600")
    [row] = rows(run)
    due = now - 65 + 600
    assert row.pop("in_seconds") in range(525, 536)
    assert row == {
        "name": "a",
        "state": "on",
        "when": "Every 10m",
        "cron": None,
        "every": 600,
        "zone": "",
        "last_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 65)),
        "next_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due)),
        "class": "J",
        "queue": "q",
        "args": [1],
        "description": "d",
        "catch_up": 0.0,
        "shared": False,
        "problem": None,
    }


def test_states(run, resque: Resque, redis: Redis) -> None:
    """What has no tick, and why."""
    declare(resque, every("ended"), every("off", enabled=False), every("on"), every("paused"))
    run("schedule", "pause", "paused")
    redis.zadd(KEYS.renewals, {"ended": time.time() - RENEWED_SECONDS - 5})
    redis.hset(KEYS.schedules, "invalid", '{"cron":"61 * * * *","class":"J","queue":"q"}')
    assert [(row["name"], row["state"]) for row in rows(run)] == [
        (name, name) for name in ("ended", "invalid", "off", "on", "paused")
    ]
    told = "The schedule 'invalid': cron='61 * * * *' is not valid: bad minute; expected"
    assert told in run("schedule").stderr


def test_host_that_lacks_something(run, resque: Resque, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what, and shows the expression as it is."""
    declare(resque, Schedule("a", "J", "q", cron="0 7 * * *"))
    monkeypatch.setattr(cron, "CronSim", None)
    [row] = rows(run)
    assert (row["state"], row["when"], row["class"]) == ("not here", "0 7 * * *", "J")
    assert "cronsim is not installed: pip install 'resque-fork[schedule]'." in row["problem"]


def test_wrong_type(run, resque: Resque, redis: Redis) -> None:
    """The key is named, and the others are shown."""
    declare(resque, every("a"))
    redis.set(KEYS.schedules, "text")
    result = run("schedule")
    assert "'resque:persistent_schedules' does not hold" in result.stderr
    assert "Every 10m" in result.stdout


def test_a_last_tick_beyond_all_years(run, resque: Resque, redis: Redis) -> None:
    """Whatever another scheduler has noted as the last tick, all schedules are listed."""
    declare(resque, every("a"))
    redis.hset(KEYS.schedules, "b", '{"class":"Mail","queue":"mail","every":"1h"}')
    redis.hset(KEYS.last_enqueued, "b", "9999-12-31T23:59:59-23:59")
    a, b = run("schedule").stdout.splitlines()[1:]
    assert " never " in a
    assert " ? " in b


def test_next(run, resque: Resque, redis: Redis) -> None:
    """A dry run: the ticks of all, in their order, and nothing is queued."""
    declare(resque, every("a", 60), every("b", 100))
    now = int(time.time())
    redis.hset(KEYS.ticks, mapping={"a": f"{now} every 60", "b": f"{now} every 100"})
    ticks = rows(run, "next", "--until", "5m")
    assert [(row["name"], row["epoch"] - now) for row in ticks] == [
        *(("a", 60), ("b", 100), ("a", 120), ("a", 180), ("b", 200), ("a", 240)),
        *(("a", 300), ("b", 300)),
    ]
    assert [row["name"] for row in rows(run, "next", "b", "--until", "5m")] == ["b"] * 3
    assert [row["epoch"] - now for row in rows(run, "next", "--start=2", "--count=2")] == [120, 180]
    assert set(redis.keys("*")) == {
        key.encode() for key in (KEYS.own_schedules, KEYS.renewals, KEYS.ticks)
    }


def test_next_of_one_that_has_no_ticks(run, resque: Resque, redis: Redis) -> None:
    """It says why."""
    declare(resque, every("a"))
    redis.hset(KEYS.schedules, "b", "[]")
    run("schedule", "pause", "a")
    told = run("schedule", "next", "a", "b").stderr.splitlines()
    assert told[:2] == [
        "a has no ticks: it is paused.",
        "The schedule 'b' cannot be read: it is no JSON object.",
    ]


def test_days_of_changing_clocks(run, resque: Resque, redis: Redis) -> None:
    """They are marked, and times are those of the zone."""
    declare(resque, Schedule("a", "J", "q", cron="30 2 * * * Europe/Paris"))
    ticks = rows(run, "next", "--until", "370d", "--count", "370")
    marked = [row["local"][4:14] for row in ticks if row["clocks_change"]]
    assert len(marked) in (2, 3)
    assert all(day[5:7] in ("03", "10") for day in marked)
    in_spring = next(row for row in ticks if row["clocks_change"] and row["local"][9:11] == "03")
    assert in_spring["local"].endswith("03:00:00 Europe/Paris")
    lines = run("schedule", "next", "--until", "370d", "--count", "370").stdout.splitlines()
    assert sum("clocks change on this day" in line for line in lines) == len(marked)


def test_run(run, resque: Resque, redis: Redis) -> None:
    """Its job is queued now, and no tick is changed."""
    declare(resque, every("a", args=[1]))
    before = redis.hgetall(KEYS.ticks)
    assert run("schedule", "run", "a").stdout == "Queued J on q.\n"
    assert redis.lrange(KEYS.queue("q"), 0, -1) == [b'{"class":"J","args":[1]}']
    assert redis.hgetall(KEYS.ticks) == before


def test_run_one_that_is_not_valid(run, redis: Redis) -> None:
    """It says what is wrong with it."""
    redis.hset(KEYS.schedules, "bad", "[]")
    result = run("schedule", "run", "bad", status=1)
    assert "The schedule 'bad' cannot be read: it is no JSON object." in result.stderr


def test_pause_and_resume(run, resque: Resque) -> None:
    """Both say what they did."""
    declare(resque, every("a"))
    result = run("schedule", "resume", "a", status=1)
    assert result.stderr == "resque-fork: a is not paused.\n"
    told = "Paused a: it queues nothing until resque-fork schedule resume a.\n"
    assert run("schedule", "pause", "a").stdout == told
    [row] = rows(run)
    assert (row["state"], row["next_at"]) == ("paused", None)
    assert run("schedule", "resume", "a").stdout == "Resumed a.\n"


def test_remove(run, resque: Resque, redis: Redis) -> None:
    """One that was set; not one that workers declare, unless they do so no longer."""
    resque.set_schedule("a", "J", every=5, queue="q")
    declare(resque, every("b"))
    assert run("schedule", "remove", "a").stdout == "Removed a.\n"
    result = run("schedule", "remove", "b", status=2)
    assert "take it out of the application, or pause it." in result.stderr
    redis.zadd(KEYS.renewals, {"b": time.time() - RENEWED_SECONDS - 5})
    assert run("schedule", "remove", "b").stdout == "Removed b.\n"
    assert rows(run) == []


@pytest.mark.parametrize("command", ["run", "pause", "resume", "remove", "next"])
def test_no_such_schedule(run, command: str) -> None:
    """Each says where to look."""
    result = run("schedule", command, "nope", status=1)
    told = "There is no schedule 'nope'; resque-fork schedule shows those there are.\n"
    assert result.stderr == f"resque-fork: {told}"


# --- the file of settings

FILE = """
[schedule.nightly]
cron = "30 2 * * * Europe/Berlin"
class = "Cleanup"
queue = "low"
args = [1, {a = 2}]
description = "Removes what nobody needs"
catch_up = "2h"

[schedule.often]
every = "1m30s"
class = "Ping"
queue = "pings"
enabled = false
"""


@pytest.fixture
def own_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is this process', and is not to keep what a test declares."""
    monkeypatch.setattr(registry, "_schedules", {})
    monkeypatch.setattr(registry, "_jobs", {})


@pytest.mark.usefixtures("own_schedules")
def test_check(run, tmp_path: Path) -> None:
    """In words, and with a warning where there is something to know."""
    file = tmp_path / "settings.toml"
    file.write_text(
        FILE + '[schedule.odd]\ncron = "10 30 2 * * * Europe/Paris"\nclass = "J"\nqueue = "q"\n'
    )
    result = run("schedule", "check", str(file))
    assert result.stdout.splitlines() == [
        "nightly: At 02:30 every day Europe/Berlin",
        "odd: At 02:30:10 every day Europe/Paris",
        "often: Every 1m 30s",
    ]
    assert "The schedule 'odd': With seconds, an hour of the day may be left out" in result.stderr


@pytest.mark.usefixtures("own_schedules")
@pytest.mark.parametrize(
    ("text", "status", "problem"),
    [
        ("", 0, "There is no schedule in {file}: it has no table such as [schedule.nightly]."),
        ("[schedule", 2, "The config file {file} is not TOML: "),
        (
            "schedule = 5",
            2,
            "The config file {file}: schedules stand in tables such as [schedule.nightly].",
        ),
        (
            "[schedule]\nnightly = 5",
            2,
            "The config file {file}: schedules stand in tables such as [schedule.nightly].",
        ),
        (
            "[schedule.a]\nevry = 5",
            2,
            "The config file {file}, [schedule.a] sets 'evry', which is unknown; did you mean "
            "'every'?",
        ),
        (
            "[schedule.a]\nevery = 5\nclass = 'J'",
            2,
            "The config file {file}: The schedule 'a': queue='' is not valid: expected a text that "
            "is not empty.",
        ),
        (
            "[schedule.a]\ncron = '61 * * * *'\nclass = 'J'\nqueue = 'q'",
            1,
            "The schedule 'a': cron='61 * * * *' is not valid: bad minute; expected five fields",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_check_finds(run, tmp_path: Path, text: str, status: int, problem: str) -> None:
    """Each fault, with the file and the table."""
    file = tmp_path / "settings.toml"
    file.write_text(text)
    result = run("schedule", "check", str(file), status=status)
    assert problem.format(file=file) in result.stderr


@pytest.mark.usefixtures("own_schedules")
def test_queue_of_the_job(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the application has declared the class, its queue need not be told."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "has_cleanup.py").write_text(
        "from resque_fork import job\n@job(queue='low', every='1h')\ndef cleanup(): ...\n"
    )
    (tmp_path / "settings.toml").write_text("[schedule.a]\nevery = '1d'\nclass = 'cleanup'\n")
    result = run("schedule", "check", "settings.toml", "--require=has_cleanup")
    assert result.stdout == "a: Every 1d\ncleanup: Every 1h\n"


def test_file_serves_other_commands(run, tmp_path: Path) -> None:
    """Its schedules are no settings."""
    file = tmp_path / "settings.toml"
    file.write_text('namespace = "other"\n' + FILE)
    shown = json.loads(run("--config", str(file), "config", "--json").stdout)
    assert {"name": "namespace", "value": "other"}.items() <= next(
        row for row in shown if row["name"] == "namespace"
    ).items()


# --- doctor


def findings(run: Any, status: int = 0) -> list[tuple[str, str]]:
    rows = json.loads(run("doctor", "--json", status=status).stdout)
    return [(row["result"], row["message"]) for row in rows if row["check"] == "schedules"]


def test_doctor_is_content(run, resque: Resque, redis: Redis) -> None:
    """There are some, and somebody serves their queues."""
    assert findings(run) == []
    redis.sadd(KEYS.workers, "host:1:q")
    declare(resque, every("a"))
    assert findings(run) == [("ok", "1 schedule is kept.")]


def test_doctor_names_what_is_wrong(run, resque: Resque, redis: Redis) -> None:
    """Each with what to do."""
    redis.sadd(KEYS.workers, "host:1:q")
    declare(
        resque,
        every("a", queue="nobody"),
        every("b"),
        every("c"),
        Schedule("d", "J", "q", cron="5 30 2 * * * Europe/Paris"),
    )
    redis.zadd(KEYS.renewals, {"b": time.time() - RENEWED_SECONDS - 5})
    redis.hset(KEYS.ticks, "c", f"{int(time.time()) - 700} every 600")
    redis.hset(KEYS.schedules, "e", "[]")
    found = dict(zip("abcde", findings(run, status=1), strict=True))
    assert found["a"] == (
        "warn",
        "The schedule 'a' queues jobs on nobody, which no worker serves.",
    )
    assert found["b"] == (
        "warn",
        "No worker declares the schedule 'b' any more, so it has no ticks. Run a worker with its "
        "application, or resque-fork schedule remove b.",
    )
    result, message = found["c"]
    assert result == "warn"
    assert message.startswith("A tick of the schedule 'c' has been due for 1")
    assert message.endswith(" seconds: run a worker without --no-clock, or resque-fork clock.")
    assert found["d"][1].startswith("The schedule 'd': With seconds, an hour of the day may be")
    assert found["e"] == ("fail", "The schedule 'e' cannot be read: it is no JSON object.")


def test_doctor_and_rubys_scheduler(run, resque: Resque, redis: Redis) -> None:
    """What Ruby keeps while it runs is not late."""
    redis.sadd(KEYS.workers, "host:1:q")
    resque.set_schedule("a", "J", every=600, queue="q")
    redis.hset(KEYS.ticks, "a", f"{int(time.time()) - 700} every 600")
    redis.set(KEYS.scheduler_lock(), "host:1", ex=100)
    assert findings(run) == [("ok", "1 schedule is kept.")]


def test_doctor_with_keys_of_the_wrong_type(run, redis: Redis) -> None:
    """They are named."""
    redis.set(KEYS.ticks, "text")
    [(result, message)] = findings(run, status=1)
    assert result == "fail"
    assert f"'{KEYS.ticks}' does not hold" in message
