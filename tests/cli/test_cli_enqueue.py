"""`enqueue` and `dequeue`."""

import json

import pytest
from redis import Redis

from resque_fork.wire.keys import Keys

QUEUE = "resque:queue:mail"


def args_in(redis: Redis, key: str = QUEUE) -> list[object]:
    return [json.loads(raw)["args"] for raw in redis.lrange(key, 0, -1)]


def test_enqueue_writes_resques_bytes(run, redis: Redis) -> None:
    """A job is pushed as Resque does it: its queue known, its payload class and args."""
    result = run("enqueue", "mail", "Mail::Send", "7", "ünï")
    assert result.stdout == "Queued Mail::Send on mail.\n"
    assert redis.smembers("resque:queues") == {b"mail"}
    expected = '{"class":"Mail::Send","args":[7,"ünï"]}'.encode()
    assert redis.lrange(QUEUE, 0, -1) == [expected]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-5", -5),
        ("-1.5e3", -1500.0),
        ("true", True),
        ("null", None),
        ('"7"', "7"),
        ('{"id": [7]}', {"id": [7]}),
        ("ada@example.com", "ada@example.com"),
        ("", ""),
        ("{not json", "{not json"),
        ("-verbose", "-verbose"),
        ("-5v", "-5v"),
        ("--unknown=x", "--unknown=x"),
        ("NaNcy", "NaNcy"),
        ("Infinity War", "Infinity War"),
    ],
)
def test_argument_is_json_or_text(run, redis: Redis, text: str, value: object) -> None:
    """An argument is JSON or else plain text, also if it begins with a dash."""
    run("enqueue", "mail", "Job", text)
    assert args_in(redis) == [[value]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{id: 7}", '"{id: 7}" is not JSON, so it is passed as text.\n'),
        ("[draft", '"[draft" is not JSON, so it is passed as text.\n'),
        ("ada", ""),
        ('{"id": 7}', ""),
    ],
)
def test_nearly_json(run, text: str, told: str) -> None:
    """Who has begun to write JSON is told that it is none."""
    assert run("enqueue", "mail", "Job", text).stderr == told


def test_options_among_arguments(run, redis: Redis) -> None:
    """Known options are options wherever they stand, and after -- everything is an argument."""
    run("enqueue", "mail", "Job", "1", "--namespace", "other", "-v", "2", "--", "--stdin", "-v")
    assert args_in(redis, Keys("other").queue("mail")) == [[1, 2, "--stdin", "-v"]]


def test_misspelt_option_is_no_queue(run, redis: Redis) -> None:
    """What stands where a queue should and looks like an option is refused, unless after --."""
    result = run("enqueue", "--stdn", "mail", "Job", status=2)
    assert result.stderr.startswith("resque-fork: No such option '--stdn'. See")
    assert redis.keys() == []
    run("enqueue", "--", "-q", "Job")
    assert redis.llen("resque:queue:-q") == 1


@pytest.mark.parametrize("text", ["NaN", "[1, NaN]", "-Infinity"])
def test_what_json_cannot_say_is_refused(run, redis: Redis, text: str) -> None:
    """What only some parsers take for JSON is refused, with what to write for the text."""
    result = run("enqueue", "mail", "Job", "ok", text, status=1)
    word = text.strip("[1, ]")
    assert result.stderr == (
        f"resque-fork: Job: argument 2 has {word}, which JSON cannot express; "
        f"as text it is written '\"{text}\"'.\n"
    )
    assert redis.keys() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e999", "Job: argument 1 is inf, which JSON cannot express"),
        ("[" * 100_000, "Job: argument 1 is nested too deeply"),
        ("\udcff", "Job: argument 1 is not UTF-8."),
        ("9" * 5000, "Job: argument 1 has a number of too many digits"),
    ],
)
def test_unusable_argument_is_refused(run, redis: Redis, text: str, reason: str) -> None:
    """An argument that cannot travel is named, and nothing is pushed."""
    assert reason in run("enqueue", "mail", "Job", text, status=1).stderr
    assert redis.keys() == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            " ",
            "Jobs must be given a class: pass a declared job or the name its workers know it by.",
        ),
        ("Job\udcfe", "The class Job\\xfe is not UTF-8."),
    ],
)
def test_unusable_class_is_refused(run, redis: Redis, name: str, sentence: str) -> None:
    """A job needs a class with a name that can be written."""
    for command in ("enqueue", "dequeue"):
        assert run(command, "q", name, status=1).stderr == f"resque-fork: {sentence}\n"
    assert redis.keys() == []


def test_empty_queue_name_is_refused(run) -> None:
    """A job needs a queue with a name."""
    result = run("enqueue", "", "Job", status=1)
    assert result.stderr == (
        "resque-fork: Jobs must be placed onto a queue, and '' does not name one.\n"
    )


def test_lines_from_stdin(run, redis: Redis) -> None:
    """--stdin makes a job of each line and says how many; blank lines are none."""
    result = run("enqueue", "mail", "Job", "--stdin", input='[1]\n\n[2, "ü"]\n[]')
    assert result.stdout == "Queued 3 jobs on mail.\n"
    assert args_in(redis) == [[1], [2, "ü"], []]


def test_many_lines_from_stdin(run, redis: Redis) -> None:
    """Thousands of lines keep their order."""
    lines = "".join(f"[{n}]\n" for n in range(2500))
    assert run("enqueue", "--stdin", "mail", "Job", input=lines).stdout == (
        "Queued 2500 jobs on mail.\n"
    )
    assert args_in(redis) == [[n] for n in range(2500)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1", "is not JSON (Expecting ',' delimiter, at character 3)"),
        (b'{"a": 1}', 'is not a JSON array of arguments, such as [7, "ada"]'),
        (b"7", "is not a JSON array of arguments"),
        (b"[NaN]", "has NaN, which JSON cannot express"),
        (b'["\xff"]', "is not UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_bad_line_is_named(run, redis: Redis, line: bytes, reason: str) -> None:
    """A bad line is named by its number; what stands before it is queued, nothing after it."""
    result = run("enqueue", "mail", "Job", "--stdin", input=b"[1]\n\n" + line + b"\n[3]", status=1)
    assert result.stderr.startswith(f"resque-fork: Line 3 {reason}")
    assert result.stderr.endswith("Before it, 1 job had been queued.\n")
    assert args_in(redis) == [[1]]


def test_argument_in_a_line_that_cannot_travel(run, redis: Redis) -> None:
    """The line of an argument that JSON cannot carry is named too."""
    result = run("enqueue", "mail", "Job", "--stdin", input="[1]\n[1e999]\n", status=1)
    assert result.stderr.startswith(
        "resque-fork: Line 2 was not queued, nor were the lines after it: Job: argument 1 is inf"
    )
    assert args_in(redis) == [[1]]


def test_arguments_and_stdin_exclude_each_other(run) -> None:
    """Arguments are given in one way."""
    result = run("enqueue", "mail", "Job", "1", "--stdin", status=2)
    assert "Give arguments either here or with --stdin." in result.stderr


def test_bulk_that_breaks_says_how_far_it_came(run, redis: Redis) -> None:
    """When Redis refuses a push the error says how many jobs had been queued before."""
    redis.set(QUEUE, "in the way")
    result = run("enqueue", "mail", "Job", "--stdin", input="[1]\n", status=1)
    assert "'resque:queue:mail' does not hold" in result.stderr
    assert result.stderr.endswith("Before that, 0 jobs had been queued.\n")


def test_dequeue_removes_by_value(run, redis: Redis) -> None:
    """dequeue removes the jobs with these arguments, however their JSON is written."""
    redis.rpush(QUEUE, '{"args": [7, "x"], "class": "Job"}')
    run("enqueue", "mail", "Job", "7", "x")
    run("enqueue", "mail", "Job", "8")
    run("enqueue", "mail", "Other", "7", "x")
    assert run("dequeue", "mail", "Job", "7", "x").stdout == "Removed 2 jobs from mail.\n"
    assert args_in(redis) == [[8], [7, "x"]]


def test_dequeue_without_arguments_removes_all_of_a_class(run, redis: Redis) -> None:
    """Without arguments all jobs of the class go, and the others stay."""
    for class_name in ("Job", "Job", "Other"):
        run("enqueue", "mail", class_name, "-1")
    assert run("dequeue", "mail", "Job", "-2").stdout == "Removed 0 jobs from mail.\n"
    assert run("dequeue", "mail", "Job").stdout == "Removed 2 jobs from mail.\n"
    assert redis.llen(QUEUE) == 1
