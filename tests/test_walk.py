"""One job through every station, seen from outside: its bytes, the title, the log, and the end."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from life.harness import TITLE, Stage, title_of, until

from resque_fork import Resque

APPLICATION = """
import jobs
from resque_fork import job

@job(queue="send_mail")
def send_mail(to, template="welcome"):
    jobs.tell("begun", to=to, template=template)
    jobs.wait_at_gate()
    if template == "broken":
        raise LookupError(f"no template for {to}")
    jobs.tell("sent")
"""

PAYLOAD = '{"class":"send_mail","args":["ada@exämple.com","%s"]}'


@pytest.fixture
def stage(tmp_path: Path, redis_url: str) -> Iterator[Stage]:
    stage = Stage(tmp_path, redis_url)
    (tmp_path / "walk.py").write_text(APPLICATION)
    try:
        yield stage
    finally:
        stage.close()


@pytest.mark.parametrize("template", ["bye", "broken"])
def test_way_of_a_job(stage: Stage, resque: Resque, template: str) -> None:
    """enqueue -> redis -> reserve -> fork -> perform -> done or failed, each as documented."""
    payload = (PAYLOAD % template).encode()
    redis = stage.redis

    # enqueue -> redis: its bytes stand in its queue, which is known
    resque.enqueue_to("send_mail", "send_mail", "ada@exämple.com", template)
    assert set(redis.keys()) == {b"resque:queues", b"resque:queue:send_mail"}
    assert stage.queue("send_mail") == [payload]

    # reserve: off the queue, and on the worker's record
    worker = stage.work("-vv", queues="send_mail", require="walk")
    begun = stage.told("begun", by=worker)
    worker_id = stage.id_of(worker, "send_mail")
    record = redis.get(f"resque:worker:{worker_id}")
    assert isinstance(record, bytes)
    run_at = rb'"run_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"'
    assert re.fullmatch(
        rb'\{"queue":"send_mail",' + run_at + rb',"payload":' + re.escape(payload) + rb"\}", record
    )
    assert stage.queue("send_mail") == []
    assert stage.workers() == [worker_id]
    assert redis.hexists("resque:workers:heartbeat", worker_id)
    assert redis.exists(f"resque:worker:{worker_id}:started", f"resque:fork:{worker_id}") == 2

    # fork: the parent says whom it forked, the child is its child
    child = begun["pid"]
    assert begun["parent"] == worker.pid
    assert re.fullmatch(rf"{TITLE}Forked {child} at \d{{10}}", worker.until_title("Forked"))

    # perform: the child says what it does, and never with what
    assert (begun["to"], begun["template"]) == ("ada@exämple.com", template)
    assert re.fullmatch(
        rf"{TITLE}Processing send_mail since \d{{10}} \[send_mail\]", title_of(child)
    )

    # done or failed: counted once, off the record, and the worker waits for the next
    stage.open_gate()
    worker.until_title("Waiting for send_mail")
    until(lambda: stage.stat("processed"))
    assert redis.get(f"resque:worker:{worker_id}") is None
    assert title_of(child) == ""
    shown = f"(Job{{send_mail}} | send_mail | ['ada@exämple.com', '{template}'])"
    if template == "bye":
        stage.told("sent", by=worker)
        assert (stage.stat("processed"), stage.stat("failed"), stage.failed()) == (1, 0, [])
        last_word = f"done: {shown}"
    else:
        assert (stage.stat("processed"), stage.stat("failed")) == (1, 1)
        check_entry(stage, payload, worker_id)
        last_word = f"{shown} failed: LookupError: no template for ada@exämple.com"

    # the log tells it in Resque's words, in order
    points = [
        "Checking send_mail", "Found job on send_mail", f"got: {shown}", f"Forked {child} at ",
        last_word,
    ]  # fmt: skip
    places = [worker.said.find(point) for point in points]
    assert -1 not in places, dict(zip(points, places, strict=True))
    assert places == sorted(places)

    # the end: nothing of the worker is left, and its counters are the fleet's, as are all numbers
    assert worker.stop(signal.SIGTERM) == 0
    stage.assert_left(worker)
    left = {b"resque:queues", b"resque:stat:processed"}
    if template == "broken":
        left |= {b"resque:failed", b"resque:stat:failed"}
    assert {key for key in redis.keys("*") if b":fork:metrics" not in key} == left


def check_entry(stage: Stage, payload: bytes, worker_id: str) -> None:
    """The failed entry has Resque's seven keys around the payload's own bytes, then ours."""
    (raw,) = stage.redis.lrange("resque:failed", 0, -1)
    entry = json.loads(raw)
    assert list(entry) == [
        "failed_at", "payload", "exception", "error", "backtrace", "worker", "queue", "forensics",
    ]  # fmt: skip
    assert b'"payload":' + payload + b',"exception":"LookupError",' in raw
    assert re.fullmatch(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d UTC", entry["failed_at"])
    assert entry["error"] == "no template for ada@exämple.com"
    assert re.fullmatch(r".*/walk\.py:10:in send_mail", entry["backtrace"][0])
    assert len(entry["backtrace"]) == 1
    assert (entry["worker"], entry["queue"]) == (worker_id, "send_mail")
    assert all(isinstance(value, int | str | list) for value in entry["forensics"].values())


def test_next_worker_takes_what_the_last_left(stage: Stage, resque: Resque) -> None:
    """A job that was enqueued while no worker ran is performed by the first that starts."""
    for number in range(3):
        resque.enqueue_to("send_mail", "send_mail", str(number))
        stage.open_gate()
    worker = stage.work("--interval", "0", queues="*", require="walk")
    assert worker.ended() == 0
    assert [m["to"] for m in stage.everything_told() if m["what"] == "begun"] == ["0", "1", "2"]
    assert stage.stat("processed") == 3
    assert stage.workers() == []
