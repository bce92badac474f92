"""`failed`, and what can be done with failed jobs."""

import base64
import hashlib
import json
import re
import signal
import time

import pytest
from life.harness import until
from redis import Redis

from resque_fork import embedded
from resque_fork.job.redaction import REDACTED
from resque_fork.wire.failed import failed_entry
from resque_fork.wire.json import encode
from resque_fork.wire.unreadable import wrapped


def fail(redis: Redis, *args: object, ago: float = 0, to: str = "failed", **how: object) -> bytes:
    """Put a failed job in a list; returns its entry."""
    job = {"class": how.get("class_name", "Job"), "args": list(args)}
    entry = failed_entry(
        failed_at=time.time() - ago,
        payload=how.get("payload") or encode(job),
        exception=str(how.get("exception", "ValueError")),
        error=str(how.get("error", "boom")),
        backtrace=["/app/jobs.py:17:in inner", "/app/jobs.py:9:in perform"],
        worker="vm:1:mail",
        queue=str(how.get("queue", "mail")),
        forensics=how.get("forensics"),
    )
    redis.rpush(f"resque:{to}", entry)
    return entry


def indexes(result) -> list[int]:
    return [row["index"] for row in json.loads(result.stdout)]


def test_newest_first_with_index(run, redis: Redis) -> None:
    """The newest failure comes first; the index is its place in the list, 0 being the oldest."""
    for n in range(3):
        fail(redis, n, error=f"line {n}\nmore", class_name=f"Job{n}")
    lines = run("failed").stdout.splitlines()
    assert " ".join(lines[0].split()) == "INDEX ID FAILED AT QUEUE CLASS RETRIED EXCEPTION ERROR"
    assert [line.split()[0] for line in lines[1:]] == ["2", "1", "0"]
    assert lines[1].endswith("mail   Job2            ValueError  line 2\\nmore")


def test_json_shape(run, redis: Redis) -> None:
    """--json prints an array of objects with all that is known of each."""
    fail(redis, 7, {"a": "é"}, forensics={"signal": "SIGSEGV"})
    (row,) = json.loads(run("failed", "--json").stdout)
    assert row.pop("failed_at").endswith("Z")
    assert row.pop("id") == hashlib.sha256(redis.lindex("resque:failed", 0)).hexdigest()[:8]
    assert row == {
        "index": 0,
        "queue": "mail",
        "class": "Job",
        "args": [7, {"a": "é"}],
        "exception": "ValueError",
        "error": "boom",
        "backtrace": ["/app/jobs.py:17:in inner", "/app/jobs.py:9:in perform"],
        "worker": "vm:1:mail",
        "retried_at": None,
        "forensics": {"signal": "SIGSEGV"},
        "raw": None,
    }


def test_pages(run, redis: Redis) -> None:
    """Twenty are shown unless told, and where to go on from is said."""
    for n in range(45):
        fail(redis, n)
    result = run("failed")
    assert len(result.stdout.splitlines()) == 21
    assert result.stderr == "There are more: --start 20 shows the next.\n"
    assert indexes(run("failed", "--json", "--start", "40", "--count", "3")) == [4, 3, 2]
    last = run("failed", "--start", "40")
    assert last.stderr == ""
    assert len(last.stdout.splitlines()) == 6


def test_filters(run, redis: Redis) -> None:
    """What is listed can be narrowed by class, queue, exception and age, with globs."""
    fail(redis, class_name="Mail::Send", ago=3 * 86400)
    fail(redis, queue="low", exception="Resque::DirtyExit", ago=3600)
    fail(redis, queue="lower", ago=30)

    def found(*args: str) -> list[int]:
        return indexes(run("failed", "--json", *args))

    assert found("--class", "Mail::*") == [0]
    assert found("--queue", "low") == [1]
    assert found("--queue", "low*") == [2, 1]
    assert found("--exception", "*DirtyExit") == [1]
    assert found("--older-than", "10m") == [1, 0]
    assert found("--older-than", "2h") == [0]
    assert found("--newer-than", "90") == [2]
    assert found("--newer-than", "2d", "--queue", "low*", "--exception", "Value*") == [2]
    assert found("--older-than", "1w") == []


def test_programs_get_all(run, redis: Redis) -> None:
    """With --json there is no limit, unless told."""
    for number in range(23):
        fail(redis, number)
    assert len(json.loads(run("failed", "--json").stdout)) == 23
    assert len(json.loads(run("failed", "--json", "--count=20").stdout)) == 20
    assert json.loads(run("failed", "--json", "--class=Other").stdout) == []


@pytest.mark.parametrize("to", ["failed", "mail_failed"])
def test_count_is_of_what_matches(run, redis: Redis, to: str) -> None:
    """Filtered, --start and --count are of those that match, in every list alike."""
    for name in ("Foo", "Bar", "Foo", "Bar", "Foo", "Foo"):
        fail(redis, class_name=name, to=to)
    only_foo = ("failed", "--list", to, "--json", "--class", "Foo")
    assert indexes(run(*only_foo, "--count", "3")) == [5, 4, 2]
    assert indexes(run(*only_foo, "--count", "3", "--start", "2")) == [2, 0]


@pytest.mark.parametrize("age", ["", "3x", "-1", "2 h 3", "m"])
def test_wrong_age(run, age: str) -> None:
    """An age that cannot be understood is wrong usage."""
    result = run("failed", "--older-than", age, status=2)
    assert f"{age!r} is not an age such as 90, 10m, 2h or 3d." in result.stderr


def test_no_failed_jobs(run, redis: Redis) -> None:
    """Where none is found it says so, and which other lists there are."""
    assert run("failed").stderr == "The list failed is empty.\n"
    assert run("failed", "--json").stdout == "[]\n"
    redis.sadd("resque:failed_queues", "mail_failed")
    assert run("failed").stderr.endswith("empty. There are other lists: mail_failed.\n")


def test_other_lists(run, redis: Redis) -> None:
    """--list names a list of redis_multi_queue, before or after what is done with it."""
    fail(redis, 1, to="mail_failed")
    assert indexes(run("failed", "--list", "mail_failed", "--json")) == [0]
    assert "args:\n    1\n" in run("failed", "--list", "mail_failed", "show", "0").stdout
    assert "args:\n    1\n" in run("failed", "show", "0", "--list", "mail_failed").stdout
    run("failed", "requeue", "--all", "--list", "mail_failed")
    assert redis.llen("resque:queue:mail") == 1
    assert run("failed", "clear", "--list=mail_failed").stdout == "Removed 1 failed job.\n"


def test_show(run, redis: Redis) -> None:
    """show prints everything about one failed job, and nothing that a terminal obeys."""
    fail(
        redis,
        "ü",
        [1],
        error="one\n\x1b[31mtwo",
        forensics={"rss_growth_kb": 5, "stack": ["a", "b"]},
    )
    shown = run("failed", "show", "0").stdout
    head, rest = shown.split("worker:", 1)
    assert [line.split(":")[0] for line in head.splitlines()] == [
        *("index", "id", "failed at", "queue", "class"),
    ]
    assert rest == (
        "      vm:1:mail\n"
        "exception:   ValueError\n"
        'args:\n    "ü"\n    [1]\n'
        "error:\n    one\n    \\x1b[31mtwo\n"
        "backtrace:\n    /app/jobs.py:17:in inner\n    /app/jobs.py:9:in perform\n"
        "forensics:\n    rss_growth_kb: 5\n    stack:\n      a\n      b\n"
    )


def test_show_json(run, redis: Redis) -> None:
    """show --json prints one object."""
    fail(redis, 1)
    assert json.loads(run("failed", "show", "0", "--json").stdout)["args"] == [1]


def test_show_an_unreadable_payload(run, redis: Redis) -> None:
    """The bytes of a payload that could not be read are shown as they were kept."""
    fail(redis, payload=wrapped(b"\xff{"), exception="ResqueFork::UnreadablePayload")
    shown = run("failed", "show", "0").stdout
    assert f"payload in base64:\n    {base64.b64encode(bytes([255, 123])).decode()}\n" in shown


def test_entries_of_whatever_kind_are_listed(run, redis: Redis) -> None:
    """Entries that are not JSON, or say little, do not hide the others."""
    redis.rpush("resque:failed", b"\xff", b"[]", b"{}", b'{"payload":"x","error":null}')
    redis.rpush("resque:failed", b'{"forensics":{"n":1e999},"payload":{"args":[1e999]}}')
    fail(redis, 1)
    assert indexes(run("failed", "--json")) == [5, 4, 3, 2, 1, 0]
    assert len(run("failed").stdout.splitlines()) == 7
    assert "cannot be read" in run("failed", "show", "0").stdout
    assert run("failed", "show", "2").stdout.startswith("index:       2\n")


def test_numbers_beyond_floats_however_deep(run, redis: Redis) -> None:
    """An entry that is nested deep and holds 1e999 is printed as JSON."""
    args = "[" * 490 + "1e999" + "]" * 490
    redis.rpush("resque:failed", f'{{"payload":{{"class":"A","args":{args}}}}}')
    [row] = json.loads(run("failed", "--json").stdout)
    assert json.dumps(row["args"]).strip("[]") == '"inf"'


def test_show_what_is_not_there(run, redis: Redis) -> None:
    """An index without an entry is an error that says how many there are."""
    fail(redis, 1)
    result = run("failed", "show", "1", status=1)
    assert result.stderr == "resque-fork: There is no failed job 1; the list has 1.\n"


def test_requeue_by_index(run, redis: Redis) -> None:
    """requeue puts the job back in its queue and marks its entry, whose place it keeps."""
    for n in range(3):
        fail(redis, n)
    result = run("failed", "requeue", "1")
    assert result.stdout == "Queued again: 1, Job on mail (ValueError).\n"
    assert redis.lrange("resque:queue:mail", 0, -1) == [b'{"class":"Job","args":[1]}']
    assert redis.smembers("resque:queues") == {b"mail"}
    marks = [row["retried_at"] for row in json.loads(run("failed", "--json").stdout)]
    assert [mark is not None for mark in marks] == [False, True, False]
    assert "  yes  " in run("failed").stdout


def test_requeue_several_indexes(run, redis: Redis) -> None:
    """Several indexes can be named; one named twice is one."""
    for n in range(3):
        fail(redis, n)
    run("failed", "requeue", "2", "0", "2")
    assert redis.lrange("resque:queue:mail", 0, -1) == [
        b'{"class":"Job","args":[2]}',
        b'{"class":"Job","args":[0]}',
    ]


def shown_as(run) -> list[str]:
    """Index and id of each, the oldest first."""
    rows = json.loads(run("failed", "--json").stdout)
    return [f"{row['index']}:{row['id']}" for row in reversed(rows)]


def test_index_and_id_name_what_was_shown(run, redis: Redis) -> None:
    """Index and id act on the job that was listed, though others have been removed since."""
    for n in range(5):
        fail(redis, n)
    shown = shown_as(run)
    redis.lpop("resque:failed")
    assert "args:\n    3\n" in run("failed", "show", shown[3]).stdout
    assert run("failed", "requeue", shown[3]).stdout == (
        "Queued again: 2, Job on mail (ValueError).\n"
    )
    run("failed", "remove", shown[4].upper(), shown[4], shown[1])
    assert redis.lrange("resque:queue:mail", 0, -1) == [b'{"class":"Job","args":[3]}']
    left = json.loads(run("failed", "--json").stdout)
    assert [row["args"] for row in left] == [[3], [2]]


@pytest.mark.parametrize("action", ["show", "requeue", "remove"])
def test_what_was_shown_has_gone(run, redis: Redis, action: str) -> None:
    """Nothing is done where the job that was listed has been removed, or queued again."""
    for n in range(3):
        fail(redis, n)
    shown = shown_as(run)
    run("failed", "requeue", "0")
    redis.delete("resque:queue:mail")
    redis.lrem("resque:failed", 1, redis.lindex("resque:failed", 2))
    before = redis.lrange("resque:failed", 0, -1)
    for name in (shown[0], shown[2]):
        result = run("failed", action, name, status=1)
        assert result.stderr == (
            f"resque-fork: The failed job {name} is no longer as it was shown: "
            "list the failed jobs again.\n"
        )
    assert redis.lrange("resque:failed", 0, -1) == before
    assert not redis.exists("resque:queue:mail")


@pytest.mark.parametrize("name", ["-1", "x", "1:", "1:xyz", ":5f1c09ab", "1:5f1c09abc", "9" * 30])
def test_what_names_no_failed_job(run, name: str) -> None:
    """What is neither an index, nor index and id, is wrong usage."""
    result = run("failed", "show", "--", name, status=2)
    assert result.stderr == (
        f"resque-fork: Invalid value for 'N[:ID]': {name!r} is not the index of a failed job, such "
        "as 3, nor index and id, such as 3:5f1c09ab. See resque-fork failed show --help.\n"
    )


def test_an_index_alone_is_asked_about_in_a_terminal(run, redis: Redis, in_terminal) -> None:
    """A terminal is shown the job that stands at an index before anything is done to it."""
    fail(redis, 1)
    (shown,) = shown_as(run)
    refused = in_terminal("failed", "remove", "0", answer="n\n", status=1)
    assert refused == (
        "0, Job on mail (ValueError)\nRemove for good? [y/N]: resque-fork: Nothing was done.\n"
    )
    assert redis.llen("resque:failed") == 1
    agreed = in_terminal("failed", "requeue", "0", answer="y\n")
    assert agreed.endswith("Queue again? [y/N]: Queued again: 0, Job on mail (ValueError).\n")
    (shown,) = shown_as(run)
    assert in_terminal("failed", "requeue", shown).startswith("Queued again: 0")
    assert in_terminal("failed", "remove", "0", "--yes").startswith("Removed: 0")


def test_requeue_all_leaves_out_what_was_retried(run, redis: Redis) -> None:
    """--all takes each job once, and says how many it left out; --again takes those too."""
    for n in range(3):
        fail(redis, n)
    run("failed", "requeue", "1")
    redis.delete("resque:queue:mail")
    assert run("failed", "requeue", "--all").stdout == (
        "Queued 2 failed jobs again; left out 1 requeued before (--again takes them in).\n"
    )
    oldest_first = [b'{"class":"Job","args":[0]}', b'{"class":"Job","args":[2]}']
    assert redis.lrange("resque:queue:mail", 0, -1) == oldest_first
    assert run("failed", "requeue", "--all", "--again").stdout == "Queued 3 failed jobs again.\n"


def test_requeue_by_queue_and_class(run, redis: Redis) -> None:
    """Jobs are chosen by queue, class and the other filters, alone or with --all."""
    fail(redis, queue="low")
    fail(redis, class_name="Other")
    fail(redis, exception="KeyError")
    assert run("failed", "requeue", "--queue", "low").stdout == "Queued 1 failed job again.\n"
    assert run("failed", "requeue", "--class", "Oth*").stdout == "Queued 1 failed job again.\n"
    chosen = run("failed", "requeue", "--all", "--exception", "KeyError")
    assert chosen.stdout == "Queued 1 failed job again.\n"
    assert (redis.llen("resque:queue:low"), redis.llen("resque:queue:mail")) == (1, 2)


def test_requeue_of_what_names_no_job(run, redis: Redis) -> None:
    """An entry that does not say what to queue where is left alone."""
    redis.rpush("resque:failed", "{}")
    result = run("failed", "requeue", "0", status=1)
    assert result.stderr == (
        "resque-fork: Nothing was done to 0, which cannot be read: "
        "it has gone meanwhile, or names no queue or no class.\n"
    )
    assert run("failed", "requeue", "--all").stdout == "Queued 0 failed jobs again.\n"


def test_requeue_of_redacted_arguments(run, redis: Redis) -> None:
    """A job whose arguments are redacted is not queued without them, and that is said."""
    entries = [fail(redis, "ada", REDACTED), fail(redis, {"password": REDACTED}), fail(redis, 1)]
    result = run("failed", "requeue", "0", status=1)
    assert result.stderr == (
        "resque-fork: Nothing was done to 0, Job on mail (ValueError): "
        "its arguments are redacted here, so enqueue it anew with those that it had.\n"
    )
    assert run("failed", "requeue", "--all").stdout == (
        "Queued 1 failed job again; left out 2 whose arguments are redacted.\n"
    )
    assert redis.lrange("resque:queue:mail", 0, -1) == [b'{"class":"Job","args":[1]}']
    assert redis.lrange("resque:failed", 0, 1) == entries[:2]
    assert REDACTED in run("failed", "show", "0").stdout
    assert run("failed", "remove", "0").stdout == "Removed: 0, Job on mail (ValueError).\n"


def test_many_are_requeued(run, redis: Redis) -> None:
    """More than fit in one round trip are requeued in order."""
    for n in range(1234):
        fail(redis, n)
    assert run("failed", "requeue", "--all").stdout == "Queued 1234 failed jobs again.\n"
    args = [json.loads(raw)["args"] for raw in redis.lrange("resque:queue:mail", 0, -1)]
    assert args == [[n] for n in range(1234)]


def test_remove(run, redis: Redis) -> None:
    """remove takes the same choices, and what was not chosen stays."""
    entries = [fail(redis, n, queue="low" if n % 2 else "mail") for n in range(6)]
    result = run("failed", "remove", "0", "4")
    assert result.stdout.splitlines() == [
        "Removed: 0, Job on mail (ValueError).",
        "Removed: 4, Job on mail (ValueError).",
    ]
    assert redis.lrange("resque:failed", 0, -1) == [entries[n] for n in (1, 2, 3, 5)]
    assert run("failed", "remove", "--queue", "low").stdout == "Removed 3 failed jobs.\n"
    assert redis.lrange("resque:failed", 0, -1) == [entries[2]]
    assert run("failed", "remove", "--all").stdout == "Removed 1 failed job.\n"


def fail_in(redis: Redis, *zones: str) -> None:
    for zone in zones:
        item = {
            "failed_at": f"2020/11/23 06:51:50{zone}",
            "payload": {"class": "Job", "args": [zone]},
            "queue": "mail",
        }
        redis.rpush("resque:failed", encode(item))


def test_ages_in_unknown_zones(run, redis: Redis) -> None:
    """A job whose time is in a zone that is not known matches no age, and that is said."""
    fail_in(redis, " XST", " UTC", "", " XST", " +0545")
    left_out = "3 whose age is unknown because of their time zone (XST, none)"
    result = run("failed", "--older-than=1h")
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["4", "1"]
    assert result.stderr == f"Left out {left_out}.\n"
    for_programs = run("failed", "--older-than=1h", "--json")
    assert indexes(for_programs) == [4, 1]
    assert for_programs.stderr == result.stderr
    assert run("failed", "requeue", "--older-than=1h").stdout == (
        f"Queued 2 failed jobs again; left out {left_out}.\n"
    )
    assert run("failed", "remove", "--older-than=1h").stdout == (
        f"Removed 2 failed jobs; left out {left_out}.\n"
    )
    assert run("failed", "remove", "--newer-than=1000w").stdout == (
        f"Removed 0 failed jobs; left out {left_out}.\n"
    )
    assert run("failed", "remove", "--class=Job").stdout == "Removed 3 failed jobs.\n"


MANY = 60_000


def fill(redis: Redis) -> None:
    """A long list of failed jobs, and a long queue."""
    entries = [b'{"payload":{"class":"Job","args":[%d]},"queue":"mail"}' % n for n in range(MANY)]
    jobs = [b'{"class":"Job","args":[%d]}' % n for n in range(MANY)]
    for start in range(0, MANY, 10_000):
        redis.rpush("resque:failed", *entries[start : start + 10_000])
        redis.rpush("resque:queue:low", *jobs[start : start + 10_000])


LONG_COMMANDS = {
    "requeue": (["failed", "requeue", "--all"], "failed job", "queued again"),
    "remove": (["failed", "remove", "--all"], "failed job", "removed"),
    "dequeue": (["dequeue", "low", "Job"], "job", "removed"),
}


def done_of(redis: Redis, command: str) -> int:
    """How many jobs it has got done, as Redis knows it."""
    if command == "requeue":
        return redis.llen("resque:queue:mail")
    return MANY - redis.llen("resque:queue:low" if command == "dequeue" else "resque:failed")


@pytest.mark.parametrize("command", LONG_COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_says_how_far_it_came(
    start, redis: Redis, command: str, number: int
) -> None:
    """Whatever ends a long command, it says what it has done, and what it may have done."""
    fill(redis)
    args, noun, what = LONG_COMMANDS[command]
    process = start(*args)
    until(lambda: done_of(redis, command))
    process.send_signal(number)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    done, perhaps = how_far(stderr, f"Interrupted: (\\d+) {noun}s? had been {what}")
    assert done <= done_of(redis, command) <= done + perhaps < MANY


@pytest.mark.parametrize("command", LONG_COMMANDS)
def test_lost_server_says_how_far_it_came(start, command: str) -> None:
    """If the server goes, the error says the same."""
    with embedded.Server() as server, Redis.from_url(server.url) as redis:
        fill(redis)
        args, noun, what = LONG_COMMANDS[command]
        process = start(*args, env={"RESQUE_REDIS": server.url})
        until(lambda: done_of(redis, command))
        url = server.url
        server.kill()
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert stderr.startswith(f"resque-fork: Redis at {url} does not answer")
    done, perhaps = how_far(stderr, f"Before that, (\\d+) {noun}s? had been {what}")
    assert done + perhaps < MANY


def how_far(stderr: str, words: str) -> tuple[int, int]:
    """What was certainly done, and what may have been."""
    said = re.search(rf"{words}(?:, and (\d+) more may have been)?\.\n$", stderr)
    assert said, stderr
    return int(said[1]), int(said[2] or 0)


@pytest.mark.parametrize("action", ["requeue", "remove"])
def test_choice_must_be_clear(run, action: str) -> None:
    """Without a choice, or with two kinds of choices, nothing is done."""
    result = run("failed", action, status=2)
    assert "Say which failed jobs: by index, with --all, --queue NAME or" in result.stderr
    result = run("failed", action, "0", "--all", status=2)
    assert "Name failed jobs by index or by what they share, not both." in result.stderr
    result = run("failed", "--class", "X", action, "--all", status=2)
    assert f"--class belongs after {action}." in result.stderr


def test_clear_without_a_terminal_does_not_ask(run, redis: Redis) -> None:
    """In a script clear empties the list at once."""
    fail(redis, 1)
    fail(redis, 2)
    assert run("failed", "clear").stdout == "Removed 2 failed jobs.\n"
    assert redis.keys() == []
    assert run("failed", "clear", "--yes").stdout == "Removed 0 failed jobs.\n"
