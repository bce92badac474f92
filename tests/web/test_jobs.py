"""The page of jobs: what each class takes, and how it is retried."""

import html
import json
import re

import pytest
from life.harness import Stage, until
from redis import Redis

from resque_fork import Retry
from resque_fork.metrics.names import BEYOND, SCALES
from resque_fork.web.jobs import UNKNOWN, retry_in_words

from .hostile import fill
from .served import Served


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (Retry(1, [60]), "Tried again up to 1 time, after 1m."),
        (Retry(3), "Tried again up to 3 times, after 16s, 31s, 1m 36s."),
        (Retry(2, delay="10m"), "Tried again up to 2 times, after 10m each."),
        (
            Retry(8, delay=1, growth=2, jitter=0.5, longest=4),
            "Tried again up to 8 times, after 1s, 2s, 4s, 4s, 4s, 4s and so on and up to 50% more.",
        ),
        (
            Retry(1, [0], on=(TimeoutError, "a.B"), never=ValueError, within="1h", queue="slow"),
            "Tried again up to 1 time, after 0s; only after TimeoutError, a.B; never after "
            "ValueError; for at most 1h after it first failed; on the queue slow.",
        ),
    ],
)
def test_retries_in_words(retry: Retry, words: str) -> None:
    """What a job declares is said as a person would."""
    assert retry_in_words(retry.to_json().encode()) == words


@pytest.mark.parametrize("text", [b"\xff", b"[]", b"{}", b'{"attempts":1,"moon":2}', b"[" * 9999])
def test_retries_that_cannot_be_read(text: bytes) -> None:
    """What another version or somebody else has written is said to be unknown."""
    assert retry_in_words(text) == UNKNOWN


def test_jobs_that_were_performed(served: Served, stage: Stage) -> None:
    """Each class has its runs, failures, deaths, times, memory, CPU time and retries."""
    worker = stage.idle(require="retrying")
    stage.push("quick")
    stage.push("burn", 0.2)
    stage.push("kill_self", 11)
    stage.push("patient", 1)
    until(lambda: served.get("/retries.json").json["count"] == 1, lambda: worker.said)
    assert worker.stop() == 0
    rows = {row["class"]: row for row in served.get("/jobs.json").json["jobs"]}
    ends = {name: (row["runs"], row["failed"], row["again"]) for name, row in rows.items()}
    expected = {"quick": (1, 0, 0), "burn": (1, 0, 0), "kill_self": (1, 1, 0), "patient": (1, 0, 1)}
    assert {name: ends[name] for name in expected} == expected
    assert rows["kill_self"]["deaths"] == {"SIGSEGV": 1}
    assert rows["burn"]["cpu_seconds"] >= 0.1
    assert 0.1 < rows["burn"]["seconds"]["p50"] < rows["burn"]["seconds"]["p99"]
    assert rows["quick"]["memory_growth"]["p95"] > 0
    assert rows["patient"]["retries"].startswith("Tried again up to 3 times, after 16s")
    assert rows["quick"]["retries"] is None
    page = html.unescape(served.get("/jobs").text)
    assert "1 SIGSEGV" in page
    assert rows["patient"]["retries"] in page


def test_a_class_that_is_retried_and_never_ran(served: Served, redis: Redis) -> None:
    """It is shown without numbers."""
    redis.hset("resque:fork:jobs", "Mail", Retry(1, [60]).to_json())
    [row] = served.get("/jobs.json").json["jobs"]
    none = {"p50": None, "p95": None, "p99": None}
    assert (row["runs"], row["seconds"], row["cpu_seconds"]) == (0, none, None)
    assert "after 1m." in served.get("/jobs").text


def test_the_link_to_failed_jobs(served: Served, redis: Redis) -> None:
    """It leads to those of this very class, whatever is in its name."""
    redis.hset("resque:fork:metrics", "jobs\tmail\tMail[*]\tfailed", 1)
    for name in ("Mail[*]", "Mail*"):
        redis.rpush("resque:failed", json.dumps({"payload": {"class": name, "args": []}}))
    [link] = re.findall(r'<th scope="row"><a href="([^"]*)">Mail', served.get("/jobs").text)
    found = served.get(html.unescape(link).replace("/failed", "/failed.json")).json["jobs"]
    assert [job["class"] for job in found] == ["Mail[*]"]


def test_values_beyond_the_last_bound(served: Served, redis: Redis) -> None:
    """Of the longest jobs it is only known that they took longer than that."""
    redis.hset(
        "resque:fork:metrics",
        mapping={
            "jobs\tmail\tMail\tdone": 1,
            "duration\tMail\t+Inf": 1,
            "growth\tMail\t+Inf": 1,
        },
    )
    page = served.get("/jobs").text
    assert page.count("over 30m 0s</td>") == 3
    assert page.count("over 4.0 GB</td>") == 3


def test_anything_may_stand_there(served: Served, redis: Redis) -> None:
    """Whatever is counted or declared is escaped, and what is no number is left out."""
    fill(redis)
    redis.hset("resque:fork:metrics", "jobs\tq\tlong\tdone", "9" * 5000)
    page = served.get("/jobs")
    assert page.status == 200
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert UNKNOWN in page.text
    assert "<script>alert(1)</script>" in html.unescape(page.text)
    assert "long" not in [row["class"] for row in served.get("/jobs.json").json["jobs"]]


def test_a_key_of_another_type(served: Served, redis: Redis) -> None:
    """What is counted is shown even if nobody can tell how jobs are retried."""
    redis.set("resque:fork:jobs", "text")
    redis.hset("resque:fork:metrics", "jobs\tmail\tMail\tdone", 1)
    page = html.unescape(served.get("/jobs").text)
    assert "The Redis key 'resque:fork:jobs' does not hold what Resque keeps there" in page
    assert ">Mail</a>" in page


def test_five_hundred_classes(served: Served, redis: Redis) -> None:
    """All that are counted by themselves are shown, and no more."""
    pipe = redis.pipeline()
    for n in range(600):
        pipe.hset("resque:fork:metrics", f"jobs\tmail\tMail{n}\tdone", n + 1)
        pipe.hset("resque:fork:jobs", f"Mail{n}", Retry(3).to_json())
        for bound in (*SCALES["duration"].bounds, BEYOND):
            pipe.hset("resque:fork:metrics", f"duration\tMail{n}\t{bound}", n)
    pipe.execute()
    page = served.get("/jobs")
    assert page.status == 200
    assert ">Mail599</a>" in page.text
    assert ">Mail99</a>" not in page.text
    assert "These are the most frequent of 600." in page.text
