"""What the buttons do, each after a page that asks."""

import html
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from life.harness import Stage, until
from redis import ConnectionError, Redis

from resque_fork import Resque
from resque_fork.web import dashboard, failed, retries
from resque_fork.web.access import everybody
from resque_fork.web.dashboard import ACTIONS, PAGES
from resque_fork.wire.delayed import digest_of, item_of
from resque_fork.wire.job import Payload

from .acting import act, act_on, hidden, said
from .records import entries, fail, queued
from .served import Served


def test_nothing_is_changed_by_looking(served: Served) -> None:
    """No action is done by a GET: it asks, or is not allowed."""
    for action in ACTIONS:
        assert served.get(action.path).status in ((200, 400) if action.question else (405,))
    assert {page.path for page in PAGES} & {action.path for action in ACTIONS} == set()


def test_read_only_has_no_actions(resque: Resque, serve: Callable[..., Served]) -> None:
    """With read_only there is no address that changes anything, and no button."""
    resque.enqueue_to("mail", "Mail", 1)
    served = serve(dashboard(resque, access=everybody, read_only=True))
    for action in ACTIONS:
        assert served.post(f"{action.path}?name=mail").status == 404
    assert "<button" not in served.get("/queue?name=mail").text
    assert resque.size("mail") == 1


def test_queues(served: Served, resque: Resque, caplog: pytest.LogCaptureFixture) -> None:
    """A queue is cleared and deleted once that was confirmed, and the log says who did it."""
    caplog.set_level(logging.INFO, "resque_fork.life")
    name = "a/b c?&=#"
    resque.enqueue_to(name, "Mail", 1)
    path = f"?name={quote(name, safe='')}"
    question = f"Delete the 1 job of {name} for good? The queue stays."
    assert said(act(served, f"/queue/clear{path}", question=question)) == (
        f"Removed 1 job from {name}."
    )
    assert (resque.size(name), resque.queues()) == (0, [name])
    question = f"Delete the queue and the 0 jobs of {name} for good?"
    assert said(act(served, f"/queue/delete{path}", question=question)) == (
        f"Removed {name} with 0 jobs."
    )
    assert resque.queues() == []
    assert f"ada: Removed 1 job from {name}." in caplog.messages


def test_a_queue_whose_name_is_not_utf8(served: Served, redis: Redis) -> None:
    """A name of any bytes reaches Redis as it is."""
    redis.sadd("resque:queues", b"\xff\x00")
    redis.rpush(b"resque:queue:\xff\x00", "{}")
    assert "1 job waits" in served.get("/queue?name=%ff%00").text
    assert 'action="/queue/delete?name=%FF%00"' in served.get("/queue/delete?name=%ff%00").text
    act(served, "/queue/delete?name=%ff%00")
    assert redis.exists(b"resque:queue:\xff\x00") == 0


def test_pause_of_all(served: Served, resque: Resque) -> None:
    """All workers are paused and resumed; the pages say so in between."""
    act(served, "/pause", question="Keep all workers on all hosts from taking new jobs?")
    assert resque.paused()
    assert all("All workers are paused" in served.get(p).text for p in ("/", "/queues", "/workers"))
    act(served, "/resume", question="Let all workers take jobs again?")
    assert not resque.paused()


def test_selected_failed_jobs(served: Served, redis: Redis) -> None:
    """The selected entries are queued again or removed, wherever they have moved to."""
    fail(redis, *range(5))
    jobs = served.get("/failed.json").json["jobs"]
    names = [f"entry={job['index']}:{job['id']}" for job in jobs]
    redis.lpop("resque:failed")
    question = "Queue these 2 failed jobs again?"
    page = act(served, f"/failed/retry?{'&'.join(names[:2])}", question)
    assert said(page) == "Queued 2 failed jobs again."
    assert sorted(queued(redis)) == [3, 4]
    question = "Remove Mail (ValueError) for good?"
    page = act(served, f"/failed/remove?class=Mail&{names[2]}", question)
    assert said(page) == "Removed 1 failed job."
    assert entries(redis) == [1, 3, 4]
    gone = served.post(f"/failed/remove?{names[2]}")
    assert gone.status == 409
    assert "is no longer as it was shown" in gone.text
    assert "No failed job is selected." in served.post("/failed/retry").text
    far = served.get("/failed/retry?entry=1:00000000&entry=100000:00000000")
    assert (far.status, "are too far apart." in far.text) == (400, True)
    assert "No failed job is selected." in served.get("/failed/retry?entry=x").text


def test_forms_of_a_list_with_any_name(served: Served, redis: Redis) -> None:
    """A form takes the list along, also one whose name is not UTF-8, or has control characters."""
    for name in (b"mail\xff&<failed", b"line\nfeed_failed"):
        redis.flushdb()
        fail(redis, 1, 2)
        redis.rename("resque:failed", b"resque:" + name)
        redis.sadd("resque:failed_queues", name)
        page = served.get(f"/failed?list={quote(name)}")
        job = served.get(f"/failed.json?list={quote(name)}").json["jobs"][0]
        searched, selected = hidden(page.text)
        found = served.get(f"/failed?{urlencode([searched, ('class', 'Mail')])}")
        assert "Searched 2 of them" in found.text
        entry = ("entry", f"{job['index']}:{job['id']}")
        page = act(served, f"/failed/remove?{urlencode([selected, entry])}")
        assert said(page) == "Removed 1 failed job."
        assert redis.llen(b"resque:" + name) == 1


def test_a_job_that_cannot_be_queued_again(served: Served, redis: Redis) -> None:
    """What is left out is said."""
    redis.rpush("resque:failed", "[]")
    [job] = served.get("/failed.json").json["jobs"]
    page = act(served, f"/failed/retry?entry=0:{job['id']}")
    assert said(page) == (
        "Queued 0 failed jobs again; left out 1: gone, redacted, or without a queue or class."
    )


def test_all_that_match(served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that match are queued again in their order, slice by slice; others stay."""
    monkeypatch.setattr(failed, "SLICE", 4)
    fail(redis, *range(10))
    fail(redis, 100, 101, class_name="Other")
    question = (
        "Queue all failed jobs that match class Mail (of 12) again, "
        "but for those that were retried before?"
    )
    page = act(served, "/failed/retry-all?class=Mail", question=question)
    assert "Queued 4 failed jobs again. Looked at 4 of 12." in page.text
    assert queued(redis) == [0, 1, 2, 3]
    turns = 1
    while "data-goes-on" in page.text:
        page = act_on(served, "/failed/retry-all?class=Mail", page)
        turns += 1
    assert (turns, said(page)) == (3, "Queued 10 failed jobs again.")
    assert queued(redis) == [*range(10)]
    page = act(served, "/failed/retry-all?class=Mail")
    assert said(page) == "Queued 0 failed jobs again."


def test_removing_all_that_match(
    served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that match are removed although indexes shift; what fails meanwhile stays."""
    monkeypatch.setattr(failed, "SLICE", 3)
    fail(redis, *range(8))
    fail(redis, 100, class_name="Other")
    fail(redis, 8, 9)
    page = act(served, "/failed/remove-all?class=Mail")
    assert "Removed 3 failed jobs. Looked at 3 of 11." in page.text
    fail(redis, 50)
    while "data-goes-on" in page.text:
        page = act_on(served, "/failed/remove-all?class=Mail", page)
    assert said(page) == "Removed 10 failed jobs."
    assert entries(redis) == [100, 50]


def test_other_lists_are_left_alone(served: Served, resque: Resque) -> None:
    """A list of Redis that is none of failed jobs is neither shown nor changed."""
    resque.enqueue_to("mail", "Mail", 1)
    for path in ("/failed", "/failed/remove-all", "/failed/retry-all"):
        answer = served.get(f"{path}?list=queue:mail")
        assert (answer.status, "There is no list of failed jobs" in answer.text) == (404, True)
    assert served.post("/failed/remove-all?list=queue:mail").status == 404
    assert resque.size("mail") == 1


def test_retries(served: Served, resque: Resque, stage: Stage) -> None:
    """A job that waits for its retry is queued now, or removed."""
    worker = stage.idle(require="retrying", queues="jobs")
    for n in (1, 2):
        stage.push("patient", n)
    until(lambda: served.get("/retries.json").json["count"] == 2, lambda: worker.said)
    worker.stop()
    first, second = served.get("/retries.json").json["jobs"]
    assert said(act(served, f"/retries/now?id={first['digest']}")) == "Queued 1 job."
    assert resque.size("jobs") == 1
    again = act(served, f"/retries/now?id={first['digest']}")
    assert "does not wait: it is in its queue or runs." in again.text
    assert said(act(served, f"/retries/remove?id={second['digest']}")) == "Removed 1 job."
    assert len(served.get("/retries.json").json["jobs"]) == 1
    assert "No job that is retried begins with" in served.get("/retries/remove?id=abc").text


def retried(redis: Redis, due: int, payload: dict[str, object]) -> str:
    """A job that waits for its retry; its digest."""
    raw = json.dumps(payload).encode()
    digest = digest_of(Payload.take(raw))
    redis.zadd("resque:fork:retries", {digest: due})
    redis.hset(f"resque:fork:retry:{digest}", mapping={"due": due, "attempt": 1})
    redis.zadd("resque:delayed_queue_schedule", {str(due): due})
    redis.rpush(f"resque:delayed:{due}", item_of(raw, "mail"))
    return digest


def test_round_trips_of_retries(served: Served, redis: Redis) -> None:
    """What waits for fifty retries is read at once, each second once."""
    for n in range(50):
        retried(redis, 2_000_000_000 + n // 10, {"class": "Mail", "args": [n]})
    before = redis.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"]
    rows = served.get("/retries.json").json["jobs"]
    assert redis.info("commandstats")["cmdstat_lrange"]["calls"] - before == 5
    assert sorted(row["args"][0] for row in rows) == [*range(50)]
    assert '<td class="n">1 time</td>' in served.get("/retries").text


def test_many_retries_of_one_second(
    served: Served, redis: Redis, resque: Resque, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is due in the same second as many others is found, and not said to run."""
    jobs: list[dict[str, object]] = [{"class": "Mail", "args": [n]} for n in range(6)]
    *_, last, other = [retried(redis, 2_000_000_000, job) for job in jobs]
    monkeypatch.setattr(retries, "LOOKED_AT", 2)
    rows = served.get("/retries.json").json["jobs"]
    assert sorted(str(row["waits"]) for row in rows) == ["None"] * 4 + ["True"] * 2
    page = served.get("/retries").text
    assert page.count("not among the first jobs that are due then") == 4
    assert "or running" not in page
    assert page.count(">Run now</a>") == 6
    assert said(act(served, f"/retries/now?id={last}")) == "Queued 1 job."
    assert queued(redis) == [4]
    monkeypatch.setattr(retries, "MOST_LOOKED_AT", 4)
    for verb in ("now", "remove"):
        problem = act(served, f"/retries/{verb}?id={other}").text
        assert f"resque-fork retries now {other[:8]} and" in problem
    assert resque.info()["retrying"] == 6
    monkeypatch.undo()
    assert said(act(served, f"/retries/remove?id={other}")) == "Removed 1 job."


def test_a_retry_that_is_too_large_to_show(served: Served, redis: Redis) -> None:
    """It waits as others do, and can be queued."""
    digest = retried(redis, 2_000_000_000, {"class": "Mail", "args": ["x" * 70_000]})
    page = served.get("/retries").text
    assert "too large to show" in page
    assert f'href="/retries/now?id={digest}">Run now</a>' in page
    assert said(act(served, f"/retries/now?id={digest}")) == "Queued 1 job."


def test_a_retry_without_a_name(served: Served, redis: Redis) -> None:
    """What cannot be read is the job of nobody."""
    retried(redis, 2_000_000_000, {"class": "Mail", "args": []})
    redis.rpush("resque:delayed:2000000000", "?")
    redis.zadd("resque:fork:retries", {"": 2_000_000_000})
    redis.hset("resque:fork:retry:", "due", 2_000_000_000)
    assert [row["waits"] for row in served.get("/retries.json").json["jobs"]] == [False, True]


def test_delayed(served: Served, resque: Resque) -> None:
    """The jobs of one time are queued now, or removed."""
    for moment in (2_000_000_000, 2_000_000_001):
        for n in (1, 2):
            resque.enqueue_at_to("mail", moment, "Mail", n)
    question = "Queue the 2 jobs due at 2033-05-18T03:33:20Z now?"
    page = act(served, "/delayed/now?time=2000000000", question=question)
    assert said(page) == "Queued 2 delayed jobs."
    assert resque.size("mail") == 2
    page = act(served, "/delayed/remove?time=2000000001")
    assert said(page) == "Removed 2 delayed jobs."
    assert resque.info()["delayed"] == 0


def test_delayed_up_to_one_that_is_no_job(
    served: Served, resque: Resque, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The problem says how many were queued before it, and so does the log."""
    caplog.set_level(logging.INFO)
    resque.enqueue_at_to("mail", 2_000_000_000, "Mail", 1)
    redis.rpush("resque:delayed:2000000000", "oops")
    page = act(served, "/delayed/now?time=2000000000")
    problem = "it is not JSON (Expecting value: line 1 column 1 (char 0))."
    problem = (
        f"The delayed job cannot be read: {problem} Before that, 1 delayed job had been queued."
    )
    assert (page.status, problem in html.unescape(page.text)) == (409, True)
    assert f"ada: /delayed/now failed: {problem}" in caplog.messages
    assert queued(redis) == [1]


@pytest.mark.parametrize(("path", "what"), [("retry", "queued again"), ("remove", "removed")])
def test_an_error_among_failed_jobs(
    served: Served,
    resque: Resque,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    what: str,
) -> None:
    """Redis fails with the third slice: the page says what was done with those before."""
    fail(redis, *range(9))
    monkeypatch.setattr(failed, "SLICE", 3)
    page = served.post(f"/failed/{path}-all")
    page = act_on(served, f"/failed/{path}-all", page)
    resque.client.redis = Breaks(resque.client.redis)
    page = act_on(served, f"/failed/{path}-all", page)
    assert page.status == 503
    assert f"Before that, 6 failed jobs had been {what}, and 3 more may have been." in page.text


class Breaks:
    """A client that loses Redis when it is to run a script."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def execute_command(self, *command: Any) -> Any:
        if command[0] == "EVALSHA":
            raise ConnectionError("Connection closed by server.")
        return self._redis.execute_command(*command)


def test_schedules(served: Served, resque: Resque) -> None:
    """A schedule is run, paused, resumed and removed."""
    resque.set_schedule("every hour", "Mail", 7, every="1h", queue="mail")
    path = "?name=every%20hour"
    assert said(act(served, f"/schedule/run{path}")) == "Queued Mail on mail."
    assert resque.peek("mail") == {"class": "Mail", "args": [7]}
    assert said(act(served, f"/schedule/pause{path}")) == "Paused every hour."
    assert served.get("/schedules.json").json["schedules"][0]["state"] == "paused"
    assert said(act(served, f"/schedule/resume{path}")) == "Resumed every hour."
    assert "every hour is not paused." in act(served, f"/schedule/resume{path}").text
    assert said(act(served, f"/schedule/remove{path}")) == "Removed every hour."
    gone = served.get(f"/schedule/remove{path}")
    assert (gone.status, "There is no schedule" in gone.text) == (404, True)


def test_a_worker_of_this_host(served: Served, stage: Stage) -> None:
    """A worker here is shown with its processes, and does what it is told."""
    worker, child = stage.holding()
    name = stage.id_of(worker)
    path = f"?id={quote(name, safe='')}"
    shown = served.get(f"/worker.json{path}").json
    assert [row["pid"] for row in shown["processes"]][:2] == [worker.pid, child]
    assert "Processing jobs" in shown["processes"][1]["title"]
    expected = {"class": "hold", "args": [], "attempt": 1, "tracked": None, "problem": None}
    assert shown["job"] == expected
    stacks = served.post(f"/worker/stacks{path}")
    assert "wait_at_gate" in stacks.text
    question = f"Stop the job of {name}? The job fails, the worker goes on."
    page = act(served, f"/worker/kill-job{path}", question=question)
    assert said(page) == (
        f"Sent SIGUSR1 to {name}: its job is stopped and fails, and it goes on with the next."
    )
    stage.failed(1)
    worker.until_idle()
    assert "It has no job at the moment." in served.post(f"/worker/stacks{path}").text
    act(served, f"/worker/pause{path}")
    worker.until_title("Paused")
    act(served, f"/worker/resume{path}")
    worker.until_idle()
    page = act(served, f"/worker/stop{path}")
    assert said(page) == f"Sent SIGQUIT to {name}: it finishes its job, and ends."
    assert worker.ended() == 0


def test_forms_that_are_too_large(served: Served) -> None:
    """A form of a megabyte is not read to its end, and one of thousands of fields is refused."""
    large = served.post("/failed/retry", {"entry": "x" * 1_000_000})
    assert (large.status, large.text) == (413, "The form is too large.\n")
    many = served.post("/failed/retry", [("entry", "")] * 3000)
    assert (many.status, "There are too many fields." in many.text) == (400, True)
