"""A primary with a replica, watched by Sentinels: it dies, and another takes over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from life.harness import Stage, until
from redis.sentinel import Sentinel

from resque_fork import AccessRefused, MaybeEnqueued, RedisUnavailable, Resque

from .nodes import PRIMARY, Sentinels

Stages = Callable[[str], Stage]
PASSWORD = "open-sesame"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    """Sentinels that ask for a password."""
    with Sentinels(tmp_path_factory.mktemp("guarded"), PASSWORD) as sentinels:
        yield sentinels


def kill_primary(sentinels: Sentinels) -> None:
    """Once the replica has all; returns when the Sentinels agree on it as the new primary."""
    assert sentinels.primary.redis.wait(1, 5000) == 1
    sentinels.primary.server.kill()
    found = {("127.0.0.1", sentinels.replica.port)}
    until(lambda: sentinels.addresses() == found, lambda: sentinels.said)


def enqueue(resque: Resque, name: str) -> None:
    """Until it is accepted."""

    def accepted() -> bool:
        try:
            return resque.enqueue_to("jobs", name)
        except RedisUnavailable:
            return False

    until(accepted)


def test_a_client_of_redis_py(guarded: Sentinels) -> None:
    """A Resque asks the Sentinels of a redis-py client, and logs in to them as it does."""
    hosts = [("127.0.0.1", port) for port in guarded.ports]
    asked = Sentinel(hosts, sentinel_kwargs={"password": PASSWORD})
    resque = Resque(asked.master_for(PRIMARY, decode_responses=True))
    assert resque.enqueue_to("jobs", "quick")
    assert guarded.primary.redis.llen("resque:queue:jobs") == 1
    resque.clear_queue("jobs")
    resque.close()


def test_the_primary_dies_while_the_worker_is_idle(sentinels: Sentinels, on: Stages) -> None:
    """It goes on with the new primary, and hears of pushes there at once."""
    stage, resque = on(sentinels.url), Resque(sentinels.url)
    worker = stage.idle("--interval", "60")
    resque.enqueue_to("jobs", "quick")
    stage.told("quick", by=worker)
    worker.until_idle()

    kill_primary(sentinels)
    enqueue(resque, "quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    started = time.monotonic()
    enqueue(resque, "quick")
    stage.told("quick", by=worker)
    assert time.monotonic() - started < 5.0  # far less than the interval: it subscribes anew
    assert resque.workers() == [stage.id_of(worker)]
    assert worker.stop() == 0
    assert (resque.stats.get("processed"), resque.failed().count()) == (3, 0)
    assert (resque.workers(), resque.working(), resque.size("jobs")) == ([], {}, 0)
    resque.close()


def test_the_primary_dies_while_a_job_runs(sentinels: Sentinels, on: Stages) -> None:
    """The job notices nothing, and its outcome is written once, where the new primary is."""
    stage, resque = on(sentinels.url), Resque(sentinels.url)
    resque.enqueue_to("jobs", "hold")
    worker = stage.work("--heartbeat-interval", "1")
    child = stage.told("begun", by=worker)["pid"]

    kill_primary(sentinels)
    worker.until_said("answers again")  # a heartbeat was due meanwhile
    until(lambda: worker.children == [child])  # whoever asked the Sentinels may still be leaving
    assert resque.working()[stage.id_of(worker)].queue == "jobs"
    stage.open_gate()
    assert stage.told("done", by=worker)["pid"] == child
    until(lambda: resque.stats.get("processed") == 1)
    enqueue(resque, "boom")
    until(lambda: resque.failed().count() == 1)
    assert worker.stop() == 0
    assert (resque.stats.get("processed"), resque.stats.get("failed")) == (2, 1)
    assert (resque.workers(), resque.size("jobs")) == ([], 0)
    assert "Traceback" not in worker.said
    resque.close()


def test_what_waits_outlives_the_primary(sentinels: Sentinels, on: Stages) -> None:
    """A delayed job, a retry and a schedule: the new primary has them, and the clock goes on."""
    stage, resque = on(sentinels.url), Resque(sentinels.url)
    (stage.directory / "app.py").write_text(
        "import jobs\nfrom resque_fork import job\n"
        "@job(queue='jobs', retry=[6])\n"
        "def again(): jobs.tell('again'); raise ValueError('not yet')\n"
        "@job(queue='jobs', every='2s')\n"
        "def tick(): jobs.tell('tick')\n"
    )
    worker = stage.idle(require="app")
    resque.enqueue_in_to("jobs", 6, "quick", "delayed")
    resque.enqueue_to("jobs", "again")
    stage.told("again", by=worker)
    until(lambda: resque.info()["delayed"] == 2)

    kill_primary(sentinels)
    told = {"again": 0, "quick": 0, "tick": 0}

    def all_told() -> bool:
        for message in stage.everything_told():
            told[message["what"]] += 1
        return min(told.values()) > 0 and told["tick"] > 1

    until(all_told, lambda: f"{told}\n{worker.said}")
    until(lambda: resque.failed().count() == 1)
    assert worker.stop() == 0
    assert (told["again"], told["quick"]) == (1, 1)
    assert resque.info()["delayed"] == resque.info()["retrying"] == 0
    assert "Traceback" not in worker.said
    resque.close()


def test_a_push_while_there_is_no_primary(sentinels: Sentinels) -> None:
    """It raises what it should, and works again when there is one, with the same client."""
    resque = Resque(sentinels.url)
    resque.enqueue_to("jobs", "Early")
    assert sentinels.primary.redis.wait(1, 5000) == 1
    sentinels.primary.server.kill()
    with pytest.raises(RedisUnavailable, match="Connection refused") as raised:
        resque.enqueue_to("jobs", "Unsent")
    assert not isinstance(raised.value, MaybeEnqueued)
    enqueue(resque, "Late")
    assert [job["class"] for job in resque.peek("jobs", 0, 9)] == ["Early", "Late"]
    resque.close()


def test_the_sentinels_ask_for_a_password(guarded: Sentinels, on: Stages) -> None:
    """``sentinel_password`` opens them, and is never shown."""
    stage, resque = on(guarded.url), Resque(guarded.url)
    worker = stage.idle("-vv")
    resque.enqueue_to("jobs", "quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert PASSWORD not in worker.said + str(resque.info()) + repr(resque)
    resque.close()


@pytest.mark.parametrize("query", ["", "?sentinel_password=wrong"])
def test_a_wrong_password_for_the_sentinels(guarded: Sentinels, on: Stages, query: str) -> None:
    """The worker leaves at once; it and the client say that a Sentinel refused."""
    url = guarded.url.partition("?")[0] + query
    with pytest.raises(AccessRefused, match=r"refused the credentials \(a Sentinel said: "):
        Resque(url).enqueue_to("jobs", "quick")
    worker = on(url).work()
    assert worker.ended() == 1
    assert worker.said.count("a Sentinel said: ") == 1
    assert "Traceback" not in worker.said


def test_an_unknown_primary(guarded: Sentinels) -> None:
    """It is named in the error."""
    resque = Resque(guarded.url.replace(PRIMARY, "another"))
    with pytest.raises(RedisUnavailable, match="know no primary 'another' that is up"):
        resque.queues()
    with pytest.raises(RedisUnavailable) as raised:
        resque.enqueue_to("jobs", "quick")
    assert not isinstance(raised.value, MaybeEnqueued)


def test_a_server_that_is_no_sentinel(guarded: Sentinels) -> None:
    """The error says what the server said."""
    resque = Resque(f"redis+sentinel://127.0.0.1:{guarded.primary.port}/{PRIMARY}")
    with pytest.raises(Exception, match="said: unknown command 'SENTINEL'"):
        resque.queues()


def test_all_sentinels_away(tmp_path: Path, on: Stages) -> None:
    """Who is connected does not need them; who comes new is told so, and waits."""
    with Sentinels(tmp_path) as sentinels:
        stage, resque = on(sentinels.url), Resque(sentinels.url)
        resque.enqueue_to("jobs", "quick")
        worker = stage.work()
        stage.told("quick", by=worker)
        worker.until_idle()
        sentinels.kill_sentinels()
        resque.enqueue_to("jobs", "quick")
        stage.told("quick", by=worker)
        resque.close()

        with pytest.raises(RedisUnavailable, match="none of its Sentinels answers") as raised:
            Resque(sentinels.url).enqueue_to("jobs", "quick")
        assert not isinstance(raised.value, MaybeEnqueued)
        other = stage.work()
        other.until_said("none of its Sentinels answers: Error 111 connecting to ")
        assert other.stop() == 1
        assert "Traceback" not in other.said
        assert worker.stop() == 0
