"""`queues`, and what can be done with one."""

import json

import pytest
from redis import Redis


def test_lists_queues_with_sizes(run, redis: Redis) -> None:
    """Queues are listed alphabetically with their sizes, empty ones too."""
    run("enqueue", "mail", "Job")
    redis.sadd("resque:queues", "low")
    assert run("queues").stdout == "QUEUE  JOBS\nlow       0\nmail      1\n"
    rows = [
        {"queue": "low", "size": 0, "paused": False},
        {"queue": "mail", "size": 1, "paused": False},
    ]
    assert json.loads(run("queues", "--json").stdout) == rows


def test_lists_paused_queues(run, redis: Redis) -> None:
    """A queue that is paused says so, also if it does not exist yet."""
    run("enqueue", "mail", "Job")
    run("pause", "mail", "later")
    assert run("queues").stdout == ("QUEUE  JOBS\nlater     0  paused\nmail      1  paused\n")
    rows = json.loads(run("queues", "--json").stdout)
    assert [(row["queue"], row["paused"]) for row in rows] == [("later", True), ("mail", True)]


def test_no_queues(run) -> None:
    """Where there are none stdout has nothing for a pipe, or an empty array."""
    result = run("queues")
    assert (result.stdout, result.stderr) == ("", "There are no queues.\n")
    assert run("queues", "--json").stdout == "[]\n"


def test_peek(run) -> None:
    """peek shows the jobs next in turn, and leaves them where they are."""
    for n in range(30):
        run("enqueue", "mail", "Job", str(n), "ü")
    lines = run("queues", "peek", "mail").stdout.splitlines()
    assert lines[:2] == ["INDEX  CLASS  ARGS", '    0  Job    [0, "ü"]']
    assert len(lines) == 21
    part = run("queues", "peek", "mail", "--start", "28", "--count", "5", "--json").stdout
    assert json.loads(part) == [
        {
            "index": n,
            "class": "Job",
            "args": [n, "ü"],
            "payload": {"class": "Job", "args": [n, "ü"]},
        }
        for n in (28, 29)
    ]
    assert "mail     30" in run("queues").stdout


def test_peek_at_what_is_no_job(run, redis: Redis) -> None:
    """What others pushed is shown as it is, readable or not."""
    strange = [b"{broken \x1b", b"[1]", b'{"args":[1]}', b'{"class":"A","args":[1e999],"id":5}']
    redis.rpush("resque:queue:q", *strange, b"\xff", b"[" * 5000, b'{"class":"B","args":"x"}')
    lines = run("queues", "peek", "q").stdout.splitlines()
    assert lines[1:5] == [
        "    0  ?      {broken \\x1b",
        "    1  ?      [1]",
        '    2  ?      {"args": [1]}',
        "    3  A      [Infinity]",
    ]
    rows = json.loads(run("queues", "peek", "q", "--json").stdout)
    assert [row["class"] for row in rows] == [None, None, None, "A", None, None, "B"]
    assert rows[3]["payload"] == {"class": "A", "args": ["inf"], "id": 5}
    assert rows[4]["payload"] == "\\xff"
    assert rows[5]["payload"] == "[" * 5000
    assert rows[6]["args"] == "x"


def test_peek_beyond_the_end(run, redis: Redis) -> None:
    """Where there is no job it says so."""
    redis.sadd("resque:queues", "q")
    assert run("queues", "peek", "q", "--start=3").stderr == "There is no job at 3 or after in q.\n"
    assert run("queues", "peek", "q", "--count=0", status=2)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["queues", "peek", "mial"], 0),
        (["queues", "clear", "mial"], 1),
        (["queues", "remove", "mial"], 1),
        (["dequeue", "mial", "Job"], 1),
    ],
)
def test_no_such_queue(run, redis: Redis, words: list[str], status: int) -> None:
    """A queue that nobody knows is named, and nothing is said to be done."""
    result = run(*words, status=status)
    told = "There is no queue mial; resque-fork queues shows those there are.\n"
    assert result.stderr.removeprefix("resque-fork: ") == told
    redis.sadd("resque:queues", "mail")
    result = run(*words, status=status)
    told = "There is no queue mial; did you mean 'mail'?\n"
    assert result.stderr.removeprefix("resque-fork: ") == told
    assert result.stdout == ""


def test_peek_is_whole_for_programs(run, redis: Redis) -> None:
    """People see twenty jobs, programs all of them, unless told."""
    redis.rpush("resque:queue:q", *[b'{"class":"A","args":[]}'] * 1500)
    assert len(run("queues", "peek", "q").stdout.splitlines()) == 21
    rows = json.loads(run("queues", "peek", "q", "--json").stdout)
    assert [row["index"] for row in rows] == list(range(1500))
    assert len(json.loads(run("queues", "peek", "q", "--json", "--count=3").stdout)) == 3
    assert json.loads(run("queues", "peek", "none", "--json").stdout) == []


def test_clear_keeps_the_queue(run, redis: Redis) -> None:
    """clear deletes the jobs of one queue, which stays known."""
    for queue in ("mail", "low"):
        run("enqueue", queue, "Job")
    assert run("queues", "clear", "mail").stdout == "Removed 1 job from mail.\n"
    assert run("queues").stdout == "QUEUE  JOBS\nlow       1\nmail      0\n"


def test_remove_forgets_the_queue(run, redis: Redis) -> None:
    """remove deletes a queue with its jobs."""
    run("enqueue", "mail", "Job")
    run("enqueue", "mail", "Job")
    assert run("queues", "remove", "mail").stdout == "Removed mail with 2 jobs.\n"
    assert redis.keys() == []
