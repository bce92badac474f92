"""Workers of other hosts, which the dashboard asks through Redis."""

import html
import json
import threading
from urllib.parse import quote

import pytest
from life.harness import Running, Stage, until
from redis import Redis

from resque_fork.web import workers
from resque_fork.web.memory import MOST_ASKED

from .acting import act, said
from .served import Served


def moved_away(stage: Stage, worker: Running) -> str:
    """Have the worker seem to run on another host; returns its id."""
    worker_id = stage.id_of(worker)
    stage.redis.hset(f"resque:fork:{worker_id}", "boot", "another")
    return worker_id


def answer(redis: Redis, worker_id: str, text: str) -> None:
    """Answer the request to a worker in its stead."""
    _, request = redis.blpop([f"resque:fork:ask:{worker_id}"], timeout=60)
    redis.rpush(f"resque:fork:answer:{json.loads(request)['token']}", text)


def registered(redis: Redis, worker_id: str) -> str:
    """A worker of another host that nobody runs; returns the fields of its page."""
    redis.sadd("resque:workers", worker_id)
    fields = {"boot": "b", "pid_namespace": "p", "start": "1"}
    redis.hset(f"resque:fork:{worker_id}", mapping=fields)
    return f"?id={quote(worker_id, safe='')}"


def test_a_busy_worker(served: Served, stage: Stage) -> None:
    """Its stack is shown, its job is stopped and it is told to stop, as on this host."""
    worker, child = stage.holding()
    name = moved_away(stage, worker)
    path = f"?id={quote(name, safe='')}"
    shown = served.get(f"/worker.json{path}").json
    assert (shown["told"], shown["processes"]) == ("by_request", [])
    page = html.unescape(served.get(f"/worker{path}").text)
    assert ": they can be seen only there." in page
    assert "a busy one within seconds" in page
    stacks = served.post(f"/worker/stacks{path}").text
    assert f"<h2>Process {child}</h2>" in stacks
    assert "in wait_at_gate" in stacks
    page = act(served, f"/worker/kill-job{path}")
    assert said(page) == (
        f"{name} has answered: its job is stopped and fails, and it goes on with the next."
    )
    assert [entry["exception"] for entry in stage.failed(1)] == ["Resque::TermException"]
    worker.until_idle()
    assert "It has no job at the moment." in served.post(f"/worker/stacks{path}").text
    act(served, f"/worker/pause{path}")
    worker.until_title("Paused")
    assert served.get(f"/worker.json{path}").json["worker"]["state"] == "paused"
    act(served, f"/worker/resume{path}")
    worker.until_idle()
    page = act(served, f"/worker/stop{path}")
    assert said(page) == f"{name} has answered: it finishes its job, and ends."
    assert worker.ended() == 0


def test_nobody_answers(served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds a sentence says so, and the request is withdrawn."""
    monkeypatch.setattr(workers, "PATIENCE", 1)
    path = registered(redis, "gone:1:mail")
    page = act(served, f"/worker/stop{path}")
    assert "gone:1:mail has not answered within 1 seconds." in page.text
    until(lambda: not redis.exists("resque:fork:ask:gone:1:mail"))


def test_others_are_served_meanwhile(served: Served, redis: Redis) -> None:
    """Those that wait for a worker keep nobody from looking at pages: only so many may wait."""
    path = registered(redis, "slow:1:mail")
    waiting = [
        threading.Thread(target=served.post, args=(f"/worker/stacks{path}",))
        for _ in range(MOST_ASKED)
    ]
    for thread in waiting:
        thread.start()
    until(lambda: redis.llen("resque:fork:ask:slow:1:mail") == len(waiting))
    assert served.get("/workers").status == 200
    refused = served.post(f"/worker/stacks{path}")
    assert "10 workers are being asked already: try again in a moment." in refused.text
    assert all(thread.is_alive() for thread in waiting)
    for _ in waiting:
        answer(redis, "slow:1:mail", '{"found":[],"problem":""}')
    for thread in waiting:
        thread.join()


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        ("garbage", 409, "The answer of odd:1:mail cannot be read."),
        ("[" * 100_000, 409, "The answer of odd:1:mail cannot be read."),
        ('{"found":null,"problem":"<b>no</b>"}', 409, "&lt;b&gt;no&lt;/b&gt;"),
        ('{"found":7,"problem":""}', 200, "It has no job at the moment."),
        ('{"found":[1,{},{"child":"<b>","stack":7}],"problem":""}', 200, "Process &lt;b&gt;"),
        ('{"found":[{"stack":["<b>",{"a":1}]}],"problem":""}', 200, "&lt;b&gt;\n"),
    ],
)
def test_any_answer_is_shown(
    served: Served, redis: Redis, text: str, status: int, sentence: str
) -> None:
    """What somebody else has answered is escaped, and breaks no page."""
    path = registered(redis, "odd:1:mail")
    answering = threading.Thread(target=answer, args=(redis, "odd:1:mail", text))
    answering.start()
    page = served.post(f"/worker/stacks{path}")
    answering.join()
    assert page.status == status
    assert sentence in page.text
    assert "<b>no" not in page.text


def test_a_worker_of_another_language(served: Served, redis: Redis) -> None:
    """It takes no requests: what to run on its host is shown instead of buttons."""
    redis.sadd("resque:workers", "ruby:12:mail")
    page = html.unescape(served.get("/worker?id=ruby:12:mail").text)
    assert "It runs on ruby: they can be seen only there." in page
    assert "kill -QUIT 12" in page
    assert "/worker/stop" not in page
    refused = act(served, "/worker/stop?id=ruby:12:mail")
    assert "ruby:12:mail is not a worker of resque-fork" in html.unescape(refused.text)
