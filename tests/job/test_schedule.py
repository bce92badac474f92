"""A schedule's value: what is valid, and how it stands in Redis."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from resque_fork import job
from resque_fork.errors import ArgumentsError, NoQueueError, SettingsError
from resque_fork.job import cron
from resque_fork.job.registry import Registry, registry
from resque_fork.job.schedule import CATCH_UP, Schedule


def made(**how: Any) -> Schedule:
    return Schedule("n", "J", "q", **({"every": 60} | how))


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"name": ""}, "The schedule '': name='' is not valid: expected a text that is not empty."),
        (
            {"job": None},
            "The schedule 'n': class=None is not valid: expected a text that is not empty.",
        ),
        (
            {"queue": 5},
            "The schedule 'n': queue=5 is not valid: expected a text that is not empty.",
        ),
        ({"every": None}, "The schedule 'n' needs cron or every, and not both."),
        ({"cron": "* * * * *"}, "The schedule 'n' needs cron or every, and not both."),
        (
            {"every": "10x"},
            "The schedule 'n': every='10x' is not valid: expected a time such as 30, 10m, 6h or "
            "2d.",
        ),
        (
            {"every": 0.5},
            "The schedule 'n': every=0.5 is not valid: expected whole seconds, 1 or more.",
        ),
        (
            {"every": 1.5},
            "The schedule 'n': every=1.5 is not valid: expected whole seconds, 1 or more.",
        ),
        (
            {"every": "9000d"},
            "The schedule 'n': every='9000d' is not valid: expected at most ten years.",
        ),
        (
            {"every": None, "cron": 5},
            "The schedule 'n': cron=5 is not valid: expected text of up to 200 characters.",
        ),
        (
            {"catch_up": "never"},
            "The schedule 'n': catch_up='never' is not valid: expected a time such as 30, 10m, 6h "
            "or 2d.",
        ),
        ({"args": "abc"}, "The schedule 'n': args='abc' is not valid: expected a list."),
        (
            {"args": [{1}]},
            "The schedule 'n': J: argument 1 is a set, which is not JSON; pass strings, "
            "numbers, booleans, None, lists or dictionaries with string keys.",
        ),
        (
            {"description": 5},
            "The schedule 'n': description=5 is not valid: expected text.",
        ),
        (
            {"enabled": "yes"},
            "The schedule 'n': enabled='yes' is not valid: expected true or false.",
        ),
    ],
    ids=str,
)
def test_what_is_wrong(how: dict[str, Any], problem: str) -> None:
    """Each fault is told with the name of the schedule."""
    given = {"name": "n", "job": "J", "queue": "q", "every": 60} | how
    with pytest.raises(SettingsError, match=f"^{re.escape(problem)}$"):
        Schedule(**given)


@pytest.mark.parametrize("key", ["queue", "description"])
def test_no_text(key: str) -> None:
    """What UTF-8 cannot carry."""
    given = {"name": "n", "job": "J", "queue": "q", "every": 60} | {key: "\ud800"}
    with pytest.raises(SettingsError, match=r"^The schedule 'n' has half of a character, which "):
        Schedule(**given)  # type: ignore[arg-type]


def test_too_large() -> None:
    """A clock reads all schedules again and again, so they are small."""
    told = r"^The schedule 'n' is larger than 16K\.$"
    with pytest.raises(SettingsError, match=told):
        made(args=["x" * 16_384])
    with pytest.raises(SettingsError, match=told):
        Schedule.from_json("n", b"[" * 20_000)
    assert made(args=["x" * 16_000]).payload()


def test_long_expression() -> None:
    """It is refused before anything is made of it."""
    told = r"^The schedule 'n': cron='9,9,[9,]*\.\.\. is not valid: expected text of up to 200 "
    with pytest.raises(SettingsError, match=told) as raised:
        made(every=None, cron="9," * 100_000 + " * * * *")
    assert len(str(raised.value)) < 200


def test_expression_is_told_in_the_sentence() -> None:
    """As well as what is wrong with it."""
    schedule = made(every=None, cron="0 25 * * *")
    told = (
        "The schedule 'n': cron='0 25 * * *' is not valid: bad hour; expected five fields, or six "
        'with seconds first, and a zone, such as "0 7 * * 1-5 Europe/Berlin".'
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        schedule.check()


def test_what_a_host_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who declares a schedule has to be able to tell its ticks."""
    monkeypatch.setattr(cron, "CronSim", None)
    made().check()
    told = "The schedule 'n': cronsim is not installed: pip install 'resque-fork[schedule]'."
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        made(every=None, cron="* * * * *").check()


@pytest.mark.parametrize(
    "schedule",
    [
        made(),
        made(every="1h30m", args=[1, {"a": ["ü", 1.5]}], description="x"),
        made(every=None, cron="@daily Europe/Berlin", catch_up="none"),
        made(catch_up="2h", enabled=False),
    ],
)
def test_both_forms_tell_everything(schedule: Schedule) -> None:
    """Read again, a schedule is what it was, also in Ruby's form with what that does not know."""
    for read in (
        Schedule.from_json("n", schedule.to_json()),
        Schedule.from_json("n", schedule.to_ruby(), schedule.own_json()),
    ):
        assert read.payload() == schedule.payload()
        assert (read.queue, read.description) == (schedule.queue, schedule.description)
        assert (read.period, read.enabled) == (schedule.period, schedule.enabled)
        assert read.catch_up_seconds == schedule.catch_up_seconds
        assert read.ticks(7).next_after(1_900_000_000) == schedule.ticks(7).next_after(
            1_900_000_000
        )


def test_as_ruby_reads_it() -> None:
    """Keys that resque-scheduler knows, a duration that it can parse, and a zone."""
    assert made(every="10m", args=[1], description="d").to_ruby() == (
        b'{"every":"600s","class":"J","queue":"q","args":[1],"description":"d"}'
    )
    assert made(every=None, cron="0 7 * * *").to_ruby() == (
        b'{"cron":"0 7 * * * UTC","class":"J","queue":"q","args":[]}'
    )


@pytest.mark.parametrize(
    ("written", "cron", "period", "args"),
    [
        ({"cron": "*/2 * * * * *"}, "*/2 * * * * *", 0, []),
        ({"cron": ["0 5 * * *", {"allow_overlapping": True}]}, "0 5 * * *", 0, []),
        ({"every": "1h30m"}, None, 5400, []),
        ({"every": ["4s", {"first_in": "1s"}]}, None, 4, []),
        ({"every": "1.0"}, None, 1, []),
        ({"every": "15mins"}, None, 900, []),
        ({"every": "2 hours 30 minutes"}, None, 9000, []),
        ({"every": "2sec"}, None, 2, []),
        ({"every": "1M"}, None, 2_592_000, []),
        ({"every": "1y"}, None, 31_536_000, []),
        ({"cron": "", "every": "2s"}, None, 2, []),
        ({"every": "1s", "args": False}, None, 1, []),
        ({"cron": "0 5 * * *", "every": "1h"}, "0 5 * * *", 0, []),  # Ruby goes by cron
        ({"every": "1s", "args": None}, None, 1, []),
        ({"every": "1s", "args": [1, [2]]}, None, 1, [1, [2]]),
        ({"every": "1s", "args": {"a": 1}}, None, 1, [{"a": 1}]),
        ({"every": "1s", "args": 7}, None, 1, [7]),
    ],
    ids=str,
)
def test_as_ruby_writes_it(
    written: dict[str, Any], cron: str | None, period: int, args: list[Any]
) -> None:
    """Options of a timing are not ours; args of any kind are those that Ruby would queue."""
    raw = json.dumps({"class": "J", "queue": "q", **written}).encode()
    schedule = Schedule.from_json("n", raw)
    assert (schedule.cron, schedule.period, [*schedule.args]) == (cron, period, args)
    assert schedule.catch_up_seconds == CATCH_UP


def test_custom_class() -> None:
    """It replaces the class, as for Ruby."""
    raw = b'{"every":"1s","class":"Wrapper","custom_job_class":"Inner","queue":"q"}'
    assert Schedule.from_json("n", raw).job == "Inner"


@pytest.mark.parametrize(
    ("environment", "enabled"), [("production", True), ("test", False), (None, False)]
)
def test_environments(
    monkeypatch: pytest.MonkeyPatch, environment: str | None, enabled: bool
) -> None:
    """Ruby does not load a schedule that is for other environments."""
    monkeypatch.delenv("RAILS_ENV", raising=False)
    if environment:
        monkeypatch.setenv("RAILS_ENV", environment)
    raw = b'{"every":"1s","class":"J","queue":"q","rails_env":"staging, production"}'
    assert Schedule.from_json("n", raw).enabled is enabled


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "cannot be read: it is not JSON (Expecting value: line 1 column 1 (char 0))."),
        (b"[1]", "cannot be read: it is no JSON object."),
        (b"null", "cannot be read: it is no JSON object."),
        (b"\xff", "cannot be read: it is not UTF-8 (byte 0)."),
        (b"[" * 2000, "cannot be read: it is nested more than 500 levels deep."),
        (b'{"every":"1s"}', ": class='' is not valid: expected a text that is not empty."),
        (
            b'{"every":"1s","class":"J"}',
            ": queue='' is not valid: expected a text that is not empty.",
        ),
        (b'{"class":"J","queue":"q"}', "needs cron or every, and not both."),
        (
            b'{"class":"J","queue":"q","every":{}}',
            ": every={} is not valid: expected a time such as 30, 10m, 6h or 2d.",
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_unreadable(raw: bytes, problem: str) -> None:
    """Whatever somebody else has written: it is told, and nothing else happens."""
    with pytest.raises(SettingsError, match=rf"^The schedule 'n' ?{re.escape(problem)}$"):
        Schedule.from_json("n", raw)


# --- declared with a job


@pytest.fixture(autouse=True)
def forget() -> Any:
    yield
    for name in ("scheduled_job", "Scheduled"):
        registry.forget(name)


def test_declared_with_a_job() -> None:
    """It is called as its job."""

    @job(queue="q", cron="0 7 * * *", args=[1], catch_up="2h")
    def scheduled_job(number: int) -> None: ...

    expected = Schedule(
        "scheduled_job", "scheduled_job", "q", "0 7 * * *", None, [1], catch_up="2h"
    )
    assert scheduled_job.declaration.schedule == expected
    assert expected in registry.schedules()


def test_refused_with_a_job() -> None:
    """Where the job is declared, not when it is to be queued."""
    with pytest.raises(NoQueueError, match=r"^scheduled_job has a schedule and no queue: declare "):

        @job(every="1h")
        def scheduled_job() -> None: ...

    with pytest.raises(ArgumentsError, match=r"^scheduled_job: missing a required argument: 'n'"):

        @job(queue="q", every="1h", name="scheduled_job")
        def second(n: int) -> None: ...

    with pytest.raises(SettingsError, match=r"^scheduled_job: args are those of a schedule: "):

        @job(queue="q", args=[1], name="scheduled_job")
        def third(n: int) -> None: ...

    assert "scheduled_job" not in registry.names()


def test_names_are_used_once() -> None:
    """The same schedule may be read twice, as when a module is loaded anew."""
    own = Registry()
    own.add_schedule(made())
    own.add_schedule(made())
    told = "Two schedules are called 'n': rename one of them."
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        own.add_schedule(made(every=61))
    assert own.schedules() == [made()]


def test_a_job_and_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule of the file with the name of a job that has one."""

    @job(queue="q", every="1h")
    def scheduled_job() -> None: ...

    monkeypatch.setattr(registry, "_schedules", {})
    registry.add_schedule(Schedule("scheduled_job", "J", "q", every=5))
    told = (
        "The job scheduled_job declares a schedule, and there is another of that name: rename it."
    )
    with pytest.raises(SettingsError, match=f"^{re.escape(told)}$"):
        registry.schedules()
