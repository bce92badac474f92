"""Statuses of tracked jobs: found, shown whatever stands there, and killed."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from life.harness import Stage, until
from redis import Redis

from resque_fork import Receipt, Resque, job
from resque_fork.store.statuses import LARGEST
from resque_fork.web import dashboard, search
from resque_fork.web.access import everybody

from .acting import act, said, text_of
from .hostile import STATUSES
from .records import known
from .served import Served

pytestmark = pytest.mark.usefixtures("own_jobs")


def numbers(served: Served, query: str = "") -> list[int]:
    """The statuses on a page, as they were numbered."""
    return [int(row["id"], 16) for row in rows(served, query)]


def rows(served: Served, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.get(f"/statuses.json?{query}").json["statuses"]
    return found


def test_what_is_known(served: Served, redis: Redis) -> None:
    """A job is listed, and shown, with its state, progress, message, times and result."""
    job_id = known(redis, 1_700_000_000, num=1234, total=2000, message="<b>", result={"a": [1]})
    [row] = rows(served)
    assert row == {
        "id": job_id,
        "state": "completed",
        "class": "Report",
        "queue": "mail",
        "message": "<b>",
        "num": 1234,
        "total": 2000,
        "percent": 61,
        "result": {"a": [1]},
        "created_at": "2023-11-14T22:13:20Z",
        "due_at": None,
        "problem": None,
    }
    for path in ("/statuses", f"/status?id={job_id}"):
        page = served.get(path)
        assert '<progress value="61" max="100"' in page.text
        assert "61 %, 1,234 of 2,000" in text_of(page)
        assert "&lt;b&gt;" in page.text
    shown = text_of(served.get(f"/status?id={job_id}"))
    assert 'Result {"a": [1]} As it stands in Redis {"uuid": ' in shown
    answer = served.get(f"/status.json?id={job_id}").json
    assert (answer["status"], answer["raw"]["num"]) == (row, 1234)


def test_a_result_of_nothing(served: Served, redis: Redis) -> None:
    """A job that has returned None has a result, one whose result is not kept has none."""
    assert "Result null" in text_of(served.get(f"/status?id={known(redis, 1, result=None)}"))
    assert "Result" not in text_of(served.get(f"/status?id={known(redis, 2)}"))


def test_pages(served: Served, redis: Redis) -> None:
    """The newest stands first; each page goes on where the last has ended, whatever is new."""
    for number in range(120):
        known(redis, number)
    first = served.get("/statuses.json").json
    assert (first["count"], first["go_on_before"]) == (120, 70)
    assert numbers(served) == [*range(119, 69, -1)]
    known(redis, 120)
    assert numbers(served, "before=70") == [*range(69, 19, -1)]
    assert numbers(served, "before=20") == [*range(19, -1, -1)]
    assert 'href="/statuses?before=71">Older</a>' in served.get("/statuses").text


def test_expired(served: Served, redis: Redis) -> None:
    """An id whose status has expired is left out, and has no page."""
    known(redis, 1)
    redis.delete(f"resque:status:{known(redis, 2)}")
    assert numbers(served) == [1]
    assert "Looked at 2 of 2." in text_of(served.get("/statuses"))
    assert served.get(f"/status?id={2:032x}").status == 404


def test_search(served: Served, redis: Redis) -> None:
    """Jobs are found by state, class, queue and text."""
    known(redis, 1, "failed", name="Mail", message="No such Address")
    known(redis, 2, "failed", queue="other", result="in [it]")
    known(redis, 3, "queued", options={"to": "ädä"})
    assert numbers(served, "state=failed") == [2, 1]
    assert numbers(served, "class=M*") == [1]
    assert numbers(served, "queue=oth?r&state=failed") == [2]
    assert numbers(served, "text=such+address") == [1]
    assert numbers(served, "text=IN+[IT]") == [2]
    assert numbers(served, "text=%C3%84D%C3%84") == [3]
    assert numbers(served, f"text={2:032x}") == [2]
    assert numbers(served, "state=killed") == []
    page = served.get("/statuses?state=failed&class=M*").text
    assert "<option selected>failed</option>" in page
    assert 'name="class" value="M*"' in page
    assert "No tracked job matches." in served.get("/statuses?state=killed").text


def test_search_among_many(served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request looks at so many only, and says where to go on."""
    monkeypatch.setattr(search, "MOST_LOOKED_AT", 200)
    for number in range(300):
        known(redis, number)
    known(redis, 0, name="Mail")
    page = served.get("/statuses?class=Mail")
    assert "Looked at 200 of 300." in text_of(page)
    assert "None so far." in page.text
    assert 'href="/statuses?before=100&amp;class=Mail">Go on searching</a>' in page.text
    assert numbers(served, "class=Mail&before=100") == [0]


def test_time_is_up(served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request takes so much time only."""
    monkeypatch.setattr(search, "MOST_SECONDS", 0)
    known(redis, 1)
    found = served.get("/statuses.json").json
    assert (found["looked_at"], found["go_on_before"]) == (0, 1)


def test_round_trips(served: Served, redis: Redis) -> None:
    """A page costs as much of ten thousand jobs as of a hundred."""

    def commands() -> int:
        before = redis.info("commandstats")
        served.get("/statuses")
        after = redis.info("commandstats")
        calls = [
            int(after[name]["calls"]) - before.get(name, {"calls": 0})["calls"] for name in after
        ]
        return sum(calls)

    for number in range(100):
        known(redis, number)
    commands()  # connects
    few = commands()
    redis.zadd("resque:_statuses", {f"expired {number}": -number for number in range(10_000)})
    assert commands() == few < 110


PROBLEMS = {
    "a set": "Its key in Redis does not hold a text.",
    "[]": "What stands in Redis is not the status of a job.",
    '{"status":"lost"}': "What stands in Redis is not the status of a job.",
    "\udcff": "What stands in Redis is not the status of a job.",
    '{"status":"delayed","name":"Mail","due":1}': (
        "It was due more than an hour ago: Ruby's scheduler may have moved it, without its id."
    ),
    f'{{"status":"completed","x":"{"y" * LARGEST}"}}': (
        "It has more than 262,144 bytes: too many to be read."
    ),
}


@pytest.mark.parametrize("text", PROBLEMS, ids=lambda text: text[:20].encode("ascii", "replace"))
def test_what_cannot_be_read(served: Served, redis: Redis, text: str) -> None:
    """A status that tells nothing says why, and is shown as it stands there."""
    job_id = known(redis, 1)
    if text == "a set":
        redis.delete(f"resque:status:{job_id}")
        redis.sadd(f"resque:status:{job_id}", "x")
    else:
        redis.set(f"resque:status:{job_id}", text.encode("utf-8", "surrogateescape"))
    [row] = rows(served)
    assert (row["state"], row["problem"]) == ("unknown", PROBLEMS[text])
    assert PROBLEMS[text] in text_of(served.get("/statuses"))
    page = served.get(f"/status?id={job_id}")
    assert PROBLEMS[text] in text_of(page)
    assert ("As it stands in Redis" in page.text) == (text != "a set")
    assert "/status/kill" not in page.text
    assert len(page.body) < 20_000
    assert numbers(served, "text=nobody+says+this") == []


@pytest.mark.parametrize("number", range(len(STATUSES)))
def test_fields_of_any_type(served: Served, redis: Redis, number: int) -> None:
    """What others have written of a job breaks neither the list nor its page."""
    job_id = known(redis, 1)
    redis.set(f"resque:status:{job_id}", STATUSES[number])
    assert numbers(served) == [1]
    for path in ("/statuses", "/statuses.json", "/statuses?text=a"):
        assert served.get(path).status == 200
    for path in ("/status", "/status.json"):
        assert served.get(f"{path}?id={job_id}").status == 200


def test_a_list_of_ids_of_another_type(served: Served, redis: Redis) -> None:
    """The key is named."""
    redis.set("resque:_statuses", "text")
    assert "The Redis key 'resque:_statuses' does not hold" in text_of(served.get("/statuses"))


# --- where tracked jobs are


@pytest.mark.parametrize(
    ("delay", "path"), [(0, "/queue?name=jobs"), (3600, "/due?time={}"), (None, "/worker?id={}")]
)
def test_links(served: Served, resque: Resque, stage: Stage, delay: int | None, path: str) -> None:
    """A tracked job that waits or runs is linked with its status, another is not."""
    job_id = enqueued(resque, "works", delay or 0)
    if delay is None:
        worker = stage.work(require="tracked")
        stage.told("begun", by=worker)
        path = path.format(stage.id_of(worker))
    elif delay:
        due = resque.status(job_id).due
        assert due is not None
        path = path.format(int(due.timestamp()))
        resque.enqueue_at_to("jobs", due, "quick")
    else:
        stage.push("quick")
    assert served.get(path).text.count(f'<a href="/status?id={job_id}"') == 1
    assert served.get(path).text.count("/status?") == 1


# --- killing


def enqueued(resque: Resque, name: str, delay: int = 0) -> str:
    """A tracked job of `life/tracked.py`; returns its id."""

    def elsewhere(*args: Any) -> None: ...

    tracked: Any = job(queue="jobs", name=name, track=True)(elsewhere)
    receipt = resque.enqueue_in(delay, tracked)
    assert isinstance(receipt, Receipt)
    return receipt.id


@pytest.mark.parametrize(("delay", "state"), [(0, "queued"), (3600, "delayed")])
def test_kill_one_that_waits(
    served: Served, resque: Resque, caplog: pytest.LogCaptureFixture, delay: int, state: str
) -> None:
    """Once that was confirmed it is taken out, and the log says who did it."""
    caplog.set_level(logging.INFO, "resque_fork.life")
    job_id = enqueued(resque, "works", delay)
    assert f'href="/status/kill?id={job_id}"' in served.get(f"/status?id={job_id}").text
    question = (
        f"Kill the job {job_id} (works), which is {state}? "
        "It does not fail, and is not tried again."
    )
    page = act(served, f"/status/kill?id={job_id}", question)
    assert said(page) == f"Killed the job {job_id}."
    assert resque.status(job_id).state == "killed"
    assert (resque.size("jobs"), resque.info()["delayed"]) == (0, 0)
    assert f"ada: Killed the job {job_id}." in caplog.messages
    assert "/status/kill" not in served.get(f"/status?id={job_id}").text
    assert served.get(f"/status/kill?id={job_id}").status == 409


def test_kill_one_that_runs(served: Served, resque: Resque, stage: Stage) -> None:
    """Its worker ends it, and goes on."""
    job_id = enqueued(resque, "works")
    worker = stage.work(require="tracked")
    stage.told("begun", by=worker)
    page = act(served, f"/status/kill?id={job_id}")
    assert said(page) == f"The job {job_id} is to be killed: its worker ends it within seconds."
    until(lambda: resque.status(job_id).state == "killed", lambda: worker.said)
    worker.until_idle()
    assert worker.stop() == 0


def test_kill_one_that_is_on_its_way(served: Served, resque: Resque, redis: Redis) -> None:
    """One that is in no queue at the moment is killed by the worker that takes it."""
    job_id = enqueued(resque, "works")
    redis.delete("resque:queue:jobs")
    page = act(served, f"/status/kill?id={job_id}")
    assert said(page) == f"The job {job_id} is to be killed: the worker that takes it ends it."
    assert redis.sismember("resque:_kill", job_id)


def test_what_cannot_be_killed(served: Served, redis: Redis) -> None:
    """A job that has ended or is not known is not killed, and the reason is said."""
    job_id = known(redis, 1)
    for answer in (
        served.get(f"/status/kill?id={job_id}"),
        served.post(f"/status/kill?id={job_id}"),
    ):
        assert answer.status == 409
        sentence = f"The job {job_id} cannot be killed: its state is completed."
        assert sentence in text_of(answer)
    assert served.get("/status/kill?id=x").status == 404
    assert "cannot be killed: its state is unknown." in text_of(served.post("/status/kill?id=x"))
    assert not redis.exists("resque:_kill")


def test_read_only(resque: Resque, serve: Callable[..., Served]) -> None:
    """Whoever may only look has no button, and no address."""
    job_id = enqueued(resque, "works")
    served = serve(dashboard(resque, access=everybody, read_only=True))
    assert "Kill" not in served.get(f"/status?id={job_id}").text
    assert served.post(f"/status/kill?id={job_id}").status == 404
    looking = serve(dashboard(resque, access=lambda request: ("read", "eve")))
    assert "Kill" not in looking.get(f"/status?id={job_id}").text
    assert looking.post(f"/status/kill?id={job_id}").status == 403
    assert resque.status(job_id).state == "queued"
