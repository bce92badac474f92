"""Lines of throughput and failures, latency and pauses of queues, and what Prometheus scrapes."""

import re
import time
from collections.abc import Callable

import pytest
from life.harness import Stage, until
from redis import Redis

from resque_fork import Resque
from resque_fork.metrics.names import METRICS
from resque_fork.web import dashboard, minutes
from resque_fork.web.access import NOTHING, everybody

from .acting import act, said, text_of
from .served import Served


def began(redis: Redis, ago: int) -> int:
    """When the minute began that is so many minutes ago."""
    now = int(redis.time()[0])
    return now - now % 60 - 60 * ago


def count(redis: Redis, ago: int, **outcomes: int) -> None:
    for outcome, number in outcomes.items():
        key = f"resque:fork:metrics:{began(redis, ago)}"
        redis.hincrby(key, f"jobs\tmail\tMail\t{outcome}", number)


def spans(served: Served) -> list[dict[str, object]]:
    found: list[dict[str, object]] = served.get("/overview.json").json["lines"]
    return found


def until_read(served: Served) -> list[dict[str, object]]:
    """All minutes of the day are read by and by."""
    until(lambda: all(span["complete"] for span in spans(served)))
    return spans(served)


def test_lines(served: Served, redis: Redis) -> None:
    """Numbers of the last hour and the last day are there as text and as lines."""
    count(redis, 30, done=60, failed=2, later=3, lost=1, back=9)
    count(redis, 600, done=1000)
    count(redis, 1500, done=5)
    hour, day = until_read(served)
    assert (hour["done"], hour["failed"], hour["again"]) == (60, 2, 4)
    assert (day["done"], day["failed"], day["again"]) == (1060, 2, 4)
    page = served.get("/").text
    text = text_of(served.get("/"))
    assert "Last hour: 60 done, 2 failed, 4 to be tried again" in text
    assert "Last 24 hours: 1,060 done, 2 failed, 4 to be tried again" in text
    assert "Failed or to be tried again: at most 6 a minute in the last hour" in text
    assert "Done: at most 100 a minute in the last 24 hours" in text
    charts = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"><title>([^<]*)</title>', page)
    assert len(charts) == 4
    assert all(label == title for label, title in charts)
    lines = [line.split() for line in re.findall(r'<polyline points="([^"]*)"', page)]
    assert [len(line) for line in lines] == [60, 60, 144, 144]
    assert sum(point.endswith(",0") for point in lines[0]) == 1
    assert (lines[0][0].split(",")[0], lines[0][-1].split(",")[0]) == ("0", "600")


def test_jobs_of_a_worker_are_in_the_lines(served: Served, stage: Stage) -> None:
    """What has ended in a minute is shown when the minute is over."""
    worker = stage.idle()
    stage.push("quick")
    stage.push("boom")
    stage.failed(1)
    assert worker.stop() == 0
    for key in stage.redis.keys("resque:fork:metrics:[0-9]*"):
        stage.redis.rename(key, f"resque:fork:metrics:{int(key.split(b':')[-1]) - 120}")
    hour, _ = until_read(served)
    assert (hour["done"], hour["failed"]) == (1, 1)


def test_a_minute_that_is_over_is_read_once(
    served: Served, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page reads those that are new, and of those before as many as it has time for."""
    monkeypatch.setattr(minutes, "BUDGET", 0)
    assert [span["minutes"] for span in spans(served)] == [20, 20]
    assert "(the newest 40 minutes are read)" in text_of(served.get("/"))
    until_read(served)
    before = redis.info("commandstats")["cmdstat_hgetall"]["calls"]
    assert all(span["complete"] for span in spans(served))
    after = redis.info("commandstats")["cmdstat_hgetall"]["calls"]
    assert after - before < 100


def test_nothing_was_performed(served: Served) -> None:
    """Lines of nothing stay at the bottom."""
    hour, day = until_read(served)
    assert (hour["done"], day["done"]) == (0, 0)
    assert "Done: at most 0 a minute in the last hour" in served.get("/").text


def test_anything_may_stand_in_a_minute(served: Served, redis: Redis) -> None:
    """What is no count is left out; a key of another type is named, and costs only the lines."""
    key = f"resque:fork:metrics:{began(redis, 3)}"
    for field in ("jobs\ta\tb\t<b>", "<script>", "jobs\t\t\tdone\tx", b"\xff\t\t\t"):
        redis.hset(key, field, 7)
    redis.hset(key, "jobs\tq\tMail\tdone", "9" * 5000)
    hour, _ = until_read(served)
    assert hour["done"] == 0
    redis.set(f"resque:fork:metrics:{began(redis, 0)}", "text")
    assert served.get("/").status == 200


# --- queues


def test_one_queue_is_paused(served: Served, resque: Resque) -> None:
    """A button pauses one queue and another resumes it; in between pages say so."""
    resque.enqueue_to("a/b&", "Mail", 1)
    path = "?name=a%2Fb%26"
    page = act(served, f"/queue/pause{path}", question="Keep workers from taking new jobs of a/b&?")
    assert said(page) == "Paused a/b&: no worker takes a job of it."
    assert resque.paused_queues() == ["a/b&"]
    assert "This queue is paused." in page.text
    assert "/queue/pause?" not in page.text
    for where in ("/", "/queues"):
        assert '<span class="state paused">paused</span>' in served.get(where).text
    page = act(served, f"/queue/resume{path}", question="Let workers take jobs of a/b& again?")
    assert said(page) == "Resumed a/b&: workers take its jobs again."
    assert resque.paused_queues() == []
    assert "This queue is paused." not in page.text


def test_a_paused_queue_that_does_not_exist(served: Served, resque: Resque) -> None:
    """It is shown with the others, and can be resumed."""
    resque.pause("later")
    [row] = served.get("/queues.json").json["queues"]
    assert (row["queue"], row["size"], row["paused"]) == ("later", 0, True)
    act(served, "/queue/resume?name=later")
    assert served.get("/queue?name=later").status == 404
    assert "does not name one" in act(served, "/queue/pause?name=").text


def test_latency(served: Served, stage: Stage) -> None:
    """For how long the next job has waited is on every page of queues, and grows by itself."""
    stage.push("quick")
    assert served.get("/queue.json?name=jobs").json["latency_seconds"] is None
    stage.start(*stage.command()[:5], "clock")
    since = until(lambda: served.get("/queue.json?name=jobs").json["waits_since"])
    shown = f'<time datetime="{since}"'
    assert shown in served.get("/queue?name=jobs").text
    assert shown in served.get("/queues").text
    assert shown in served.get("/").text
    assert served.get("/queues.json").json["queues"][0]["waits_since"] == since


def test_a_thousand_queues(served: Served, redis: Redis) -> None:
    """All of them are on one page."""
    pipe = redis.pipeline()
    for n in range(1000):
        pipe.sadd("resque:queues", f"queue{n}")
        pipe.rpush(f"resque:queue:queue{n}", "{}")
        pipe.hset(f"resque:fork:marks:queue{n}", "marks", f"{int(time.time() - n)}000 1")
    pipe.execute()
    page = served.get("/queues")
    assert (page.status, page.text.count("<time ")) == (200, 1000)
    assert len(served.get("/queues.json").json["queues"]) == 1000
    redis.sadd("resque:queues", "one more")
    assert "These are the longest of 1,001." in served.get("/queues").text


def test_states_of_workers(served: Served, redis: Redis) -> None:
    """Every worker is counted under its state."""
    redis.sadd("resque:workers", "a:1:mail", "b:1:mail")
    redis.hset("resque:fork:a:1:mail", "paused", "1")
    assert "0 working, 1 idle, 1 paused, 0 dead." in text_of(served.get("/workers"))


def test_more_than_a_thousand_workers(served: Served, redis: Redis) -> None:
    """The page says that these are not all."""
    redis.sadd("resque:workers", *[f"host:{n}:mail" for n in range(1001)])
    assert "These are 1,000 of 1,001" in served.get("/workers").text


# --- Prometheus


def test_more_than_a_thousand_schedules_and_findings(served: Served, redis: Redis) -> None:
    """They are shown page by page; of paused queues as many as a page can hold."""
    schedule = '{"class":"A","cron":"0 0 1 1 *","queue":"q"}'
    redis.hset("resque:persistent_schedules", mapping={f"s{n:04}": schedule for n in range(1101)})
    first, last = served.get("/schedules").text, served.get("/schedules?start=1000").text
    assert ("s0499" in first, "s0500" in first, "s1100" in last) == (True, False, True)
    assert 'href="/schedules?start=500">Next</a>' in first
    assert len(served.get("/schedules.json?start=1000").json["schedules"]) == 101
    redis.sadd("resque:fork:queues:paused", *(f"q{n}" for n in range(1101)))
    until(lambda: served.get("/overview.json").json["findings"] is not None)
    assert served.get("/").status == 200
    assert {*map(type, served.get("/overview.json").json["findings"])} == {dict}


def test_more_than_a_thousand_jobs_of_a_queue_run(served: Served, redis: Redis) -> None:
    """All of them are counted."""
    ids = [f"host:{n}:mail" for n in range(1, 1102)]
    record = '{"queue":"mail","run_at":"2026-01-01T00:00:00Z","payload":{"class":"A","args":[]}}'
    redis.sadd("resque:workers", *ids)
    redis.sadd("resque:queues", "mail")
    redis.mset({f"resque:worker:{worker}": record for worker in ids})
    assert "and 1,096 more." in served.get("/queue?name=mail").text


def test_what_prometheus_scrapes(served: Served, resque: Resque) -> None:
    """All metrics are there in its text format, whatever queues are called."""
    resque.enqueue_to('a"\udcff', "Mail", 1)
    answer = served.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}\n" in answer.text
    assert "\nresque_up 1\n" in answer.text
    assert 'resque_queue_jobs{queue="a\\"\\\\xff"} 1\n' in answer.text


def test_prometheus_without_redis(serve: Callable[..., Served]) -> None:
    """It learns that Redis is away."""
    served = serve(dashboard(Resque("redis://127.0.0.1:1"), access=everybody))
    answer = served.get("/metrics")
    assert (answer.status, answer.text.splitlines()[-1]) == (200, "resque_up 0")


def test_prometheus_and_a_key_of_another_type(served: Served, redis: Redis) -> None:
    """The key is named."""
    redis.set("resque:fork:metrics", "text")
    answer = served.get("/metrics")
    assert answer.status == 500
    assert "The Redis key 'resque:fork:metrics' does not hold" in answer.text


def test_prometheus_has_to_be_let_in(serve: Callable[..., Served], resque: Resque) -> None:
    """Numbers are for those who may look at the pages."""
    served = serve(dashboard(resque, access=lambda request: NOTHING))
    assert served.get("/metrics").status == 403
