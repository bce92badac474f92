"""A job is begun at once, whoever pushed it, however long the interval of an idle worker."""

from __future__ import annotations

import signal
import time

import pytest

from .harness import Running, Stage, until

AT_ONCE = 1.0  # seconds: far below the interval, and far above what it takes


def assert_begun_at_once(stage: Stage, worker: Running) -> None:
    pushed = time.monotonic()
    stage.told("quick", by=worker)
    assert time.monotonic() - pushed < AT_ONCE


def test_a_push_onto_a_known_queue(stage: Stage) -> None:
    """A plain RPUSH by anyone, and nothing else, wakes a worker that sleeps for 5 seconds."""
    worker = stage.idle()
    for _ in range(3):
        stage.redis.rpush("resque:queue:jobs", b'{"class":"quick","args":[]}')
        assert_begun_at_once(stage, worker)
        worker.until_idle()


def test_a_push_onto_a_new_queue(stage: Stage) -> None:
    """A worker of ``*`` hears of a queue that did not exist, in whichever order it is made."""
    worker = stage.idle(queues="*")
    stage.redis.sadd("resque:queues", "first")
    stage.redis.rpush("resque:queue:first", b'{"class":"quick","args":[]}')
    assert_begun_at_once(stage, worker)
    worker.until_idle()
    stage.redis.rpush("resque:queue:second", b'{"class":"quick","args":[]}')
    stage.redis.sadd("resque:queues", "second")
    assert_begun_at_once(stage, worker)


def test_a_push_to_a_long_sleeper(stage: Stage) -> None:
    """The interval does not matter."""
    worker = stage.idle("--interval", "3600")
    stage.push("quick")
    assert_begun_at_once(stage, worker)


def test_jobs_that_wait_at_the_start(stage: Stage) -> None:
    """All of them, one after the other, without a pause between."""
    for number in range(20):
        stage.push("quick", number)
    worker = stage.work()
    told = [stage.told("quick", by=worker)["args"][0] for _ in range(20)]
    assert told == list(range(20))


def test_queues_in_priority_order(stage: Stage) -> None:
    """After every job the first queue is looked at first again."""
    for queue in ("low", "mid", "high"):
        for number in (1, 2):
            stage.push("quick", queue, number, queue=queue)
    worker = stage.work(queues="high,mid,low")
    told = [stage.told("quick", by=worker)["args"] for _ in range(6)]
    assert told == [[q, n] for q in ("high", "mid", "low") for n in (1, 2)]


def test_a_better_job_that_comes_in_meanwhile(stage: Stage) -> None:
    """What is pushed onto a better queue while a job runs is next."""
    stage.push("quick", "low", queue="low")
    stage.push("hold", queue="high")
    worker = stage.work(queues="high,low")
    stage.told("begun", by=worker)
    stage.push("quick", "high", queue="high")
    stage.open_gate()
    assert [stage.told("quick", by=worker)["args"] for _ in range(2)] == [["high"], ["low"]]


def test_a_better_queue_that_comes_in_meanwhile(stage: Stage) -> None:
    """A worker that is always busy hears of new queues too, one job later at most."""
    stage.push("hold", queue="low")
    worker = stage.work(queues="high*,low")
    stage.told("begun", by=worker)
    for number in range(3):
        stage.push("quick", "low", number, queue="low")
    stage.push("quick", "high", queue="high1")
    stage.open_gate()
    told = [stage.told("quick", by=worker)["args"][0] for _ in range(4)]
    assert "high" in told[:2]


def test_star_serves_the_rest_in_its_place(stage: Stage) -> None:
    """Alphabetically, where the star stands; what is excluded is left alone."""
    for queue in ("z", "b", "a", "last", "first", "no"):
        stage.push("quick", queue, queue=queue)
    worker = stage.work(queues="first,*,last,!no")
    told = [stage.told("quick", by=worker)["args"][0] for _ in range(5)]
    assert told == ["first", "a", "b", "last", "z"] or told == ["first", "a", "b", "z", "last"]
    worker.until_idle()
    assert len(stage.queue("no")) == 1


def test_other_queues_are_left_alone(stage: Stage) -> None:
    """Neither by notifications nor otherwise."""
    worker = stage.idle()
    stage.push("quick", queue="jobs2")
    stage.push("quick", "mine")
    assert stage.told("quick", by=worker)["args"] == ["mine"]
    worker.until_idle()
    assert worker.stop() == 0
    assert len(stage.queue("jobs2")) == 1


def test_other_namespaces_are_left_alone(stage: Stage) -> None:
    """Two Resques share a Redis."""
    worker = stage.idle("--namespace", "shop:resque")
    stage.push("quick", "other")
    stage.redis.rpush("shop:resque:queue:jobs", b'{"class":"quick","args":["ours"]}')
    assert stage.told("quick", by=worker)["args"] == ["ours"]
    worker.until_idle()
    assert worker.stop() == 0
    assert len(stage.queue()) == 1
    left = {key for key in stage.redis.keys("shop:*") if b":fork:metrics" not in key}
    assert left <= {b"shop:resque:stat:processed"}


def test_paused_by_key_and_resumed(stage: Stage) -> None:
    """``pause-all-workers`` is obeyed at once, and so is its end."""
    worker = stage.idle()
    stage.redis.set("resque:pause-all-workers", "true")
    worker.until_title("Paused")
    stage.push("quick")
    until(lambda: worker.title.endswith("Paused"))
    assert len(stage.queue()) == 1
    stage.redis.delete("resque:pause-all-workers")
    assert_begun_at_once(stage, worker)


def test_a_busy_worker_is_paused_by_key_after_its_job(stage: Stage) -> None:
    """The running job is finished and counted."""
    worker, _ = stage.holding()
    stage.push("quick")
    stage.redis.set("resque:pause-all-workers", "true")
    stage.open_gate()
    worker.until_title("Paused")
    assert stage.stat("processed") == 1
    assert len(stage.queue()) == 1


def test_two_workers_share(stage: Stage) -> None:
    """Each job is begun once, by whoever is free."""
    workers = [stage.idle(), stage.idle()]
    for number in range(2):
        stage.push("hold", number)
    told = [stage.told("begun") for _ in range(2)]
    assert {message["parent"] for message in told} == {worker.pid for worker in workers}
    assert sorted(message["args"][0] for message in told) == [0, 1]


def test_a_lost_race_does_not_make_deaf(stage: Stage) -> None:
    """Of three idle workers one gets each job; none of the next is missed."""
    workers = [stage.idle() for _ in range(3)]
    for number in range(10):
        stage.push("quick", number)
        assert_begun_at_once(stage, workers[0])


def test_interval_zero_drains(stage: Stage) -> None:
    """With --interval 0 the worker leaves when its queues are empty, exit 0."""
    for number in range(3):
        stage.push("quick", number)
    worker = stage.work("--interval", "0")
    assert worker.ended() == 0
    assert stage.stat("processed") == 3
    stage.assert_left(worker)


def test_a_minimum_of_zero_does_not_end_it(stage: Stage) -> None:
    """Where Ruby's worker leaves after its job, ours waits for the next: only --interval 0 ends."""
    worker = stage.idle("--min-interval", "0")
    for _ in range(2):
        stage.push("quick")
        stage.told("quick", by=worker)
        worker.until_idle()
    assert worker.stop() == 0


def test_without_notifications_it_looks_at_intervals(stage: Stage) -> None:
    """A server that refuses tracking is looked at every interval."""
    stage.redis.execute_command(
        "ACL", "SETUSER", "deaf", "on", ">x", "~*", "&*", "+@all", "-client"
    )
    try:
        url = stage.url.replace("unix://", "unix://deaf:x@")
        program = stage.command()[:3]
        options = ("work", "-q", "jobs", "-r", "jobs", "--interval", "0.2")
        worker = stage.start(*program, "--redis", url, *options)
        worker.until_idle()
        stage.push("quick")
        stage.told("quick", by=worker)
        assert worker.stop() == 0
        stage.assert_left(worker)
    finally:
        stage.redis.execute_command("ACL", "DELUSER", "deaf")


@pytest.mark.parametrize("count", [1, 5])
def test_a_burst_after_a_pause(stage: Stage, count: int) -> None:
    """All of what was pushed while it was paused is done after CONT."""
    worker = stage.idle()
    worker.send(signal.SIGUSR2)
    worker.until_title("Paused")
    for number in range(count):
        stage.push("quick", number)
    worker.send(signal.SIGCONT)
    for number in range(count):
        assert stage.told("quick", by=worker)["args"] == [number]
