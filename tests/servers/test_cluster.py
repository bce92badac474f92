"""A Redis Cluster: one hash tag keeps a Resque together on one of its nodes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import pytest
from life.harness import Running, Stage, until
from redis import RedisCluster

from resque_fork import MaybeEnqueued, RedisUnavailable, Resque, SettingsError

from .nodes import Cluster, Node, free_ports

Stages = Callable[[str], Stage]
TAGGED = ("--namespace", "{resque}")


def call(stage: Stage, *args: str) -> str:
    """A command of the program; what it printed."""
    program = stage.start(sys.executable, "-m", "resque_fork", "--redis", stage.url, *TAGGED, *args)
    assert program.ended() == 0, program.said
    return program.said


def other_node(cluster: Cluster, slot: int) -> Node:
    return next(node for node in cluster.nodes if node is not cluster.owner(slot))


def test_all_that_a_client_does(clustered: Resque) -> None:
    """Queues, jobs, the pause, the numbers and the keys, as on a single server."""
    resque = clustered
    assert resque.enqueue_to("mail", "Mail", 1, {"to": "ada"})
    assert resque.enqueue_many("Bulk", ([n] for n in range(2500)), queue="bulk") == 2500
    resque.push("other", {"class": "Other", "args": []})
    assert resque.queues() == ["bulk", "mail", "other"]
    assert resque.queue_sizes() == {"bulk": 2500, "mail": 1, "other": 1}
    assert resque.peek("mail") == {"class": "Mail", "args": [1, {"to": "ada"}]}
    assert [job["args"] for job in resque.peek("bulk", 2498, 5)] == [[2498], [2499]]
    assert resque.sample_queues(1)["mail"]["size"] == 1
    assert resque.dequeue("Bulk", 7, queue="bulk") == 1
    assert resque.pop("other") == {"class": "Other", "args": []}
    reservation = resque.reserve("mail")
    assert reservation is not None
    assert reservation.args == [1, {"to": "ada"}]
    assert (resque.clear_queue("bulk"), resque.remove_queue("bulk")) == (2499, 0)
    assert not resque.paused()
    resque.pause()
    assert resque.paused()
    assert resque.keys() == ["pause-all-workers", "queues"]
    resque.resume()
    assert resque.stats.incr("sent", 2) == 2
    info = resque.info()
    assert (info["queues"], info["pending"], info["servers"]) == (2, 0, [str(resque.server)])


def test_a_client_of_redis_py(cluster: Cluster, clustered: Resque) -> None:
    """A Resque finds the Cluster as a client of redis-py does; what nobody can say is refused."""
    host, port = cluster.url.rpartition("/")[2].split(",")[0].split(":")
    with RedisCluster(host=host, port=int(port), socket_timeout=2.5) as client:
        resque = Resque(client, namespace="{resque}")
        assert resque.enqueue_to("mail", "Mail", 1)
        resque.close()
        assert resque.timeout == 2.5
        assert clustered.peek("mail") == {"class": "Mail", "args": [1]}
    for option in ("redis_connect_func", "address_remap"):
        with (
            RedisCluster(host=host, port=int(port), **{option: lambda it: it}) as client,
            pytest.raises(SettingsError, match=f"has the option {option}, which"),
        ):
            Resque(client, namespace="{resque}")


def test_a_worker_and_its_failures(cluster: Cluster, clustered: Resque, on: Stages) -> None:
    """Jobs are picked up at once, fail, are queued again, shown and removed."""
    stage, resque = on(cluster.url), clustered
    worker = stage.idle(*TAGGED, "--interval", "60")
    started = time.monotonic()
    resque.enqueue_to("jobs", "quick")
    stage.told("quick", by=worker)
    assert time.monotonic() - started < 5.0
    for n in range(3):
        resque.enqueue_to("jobs", "boom", n)
    failed = resque.failed()
    until(lambda: failed.count() == 3)
    assert [job.error for job in failed.page()] == ["0", "1", "2"]
    assert failed.requeue(failed.page(0, 1)) == 1
    until(lambda: failed.count() == 4)
    assert failed.remove(failed.page(2, 1)) == 1
    assert failed.clear() == 3

    resque.enqueue_to("jobs", "hold")
    stage.told("begun", by=worker)
    record = resque.working()[stage.id_of(worker)]
    assert record is not None
    assert json.loads(record.raw)["class"] == "hold"
    stage.open_gate()
    until(lambda: resque.working() == {})
    assert (resque.stats.get("processed"), resque.stats.get("failed")) == (6, 4)
    assert worker.stop() == 0
    keys = resque.keys()
    left = [key for key in keys if not key.startswith("fork:metrics")]
    assert left == ["queues", "stat:failed", "stat:processed"]


def test_the_program(cluster: Cluster, clustered: Resque, on: Stages) -> None:
    """The commands, each against the cluster."""
    stage = on(cluster.url)
    call(stage, "enqueue", "jobs", "boom", "1")
    worker = stage.work(*TAGGED)
    until(lambda: clustered.failed().count() == 1)
    worker.until_idle()
    assert stage.id_of(worker) in call(stage, "list")
    assert json.loads(call(stage, "info", "--json"))["workers"] == 1
    assert "boom" in call(stage, "failed")
    call(stage, "pause")
    call(stage, "failed", "requeue", "--all")
    assert json.loads(call(stage, "queues", "--json"))[0]["size"] == 1
    call(stage, "resume")
    until(lambda: clustered.failed().count() == 2)
    call(stage, "prune")
    doctor = stage.start(
        *(sys.executable, "-m", "resque_fork", "--redis", stage.url, *TAGGED, "doctor")
    )
    assert doctor.ended() in (0, 1)
    assert "Traceback" not in doctor.said
    assert worker.stop() == 0


def test_jobs_that_come_back(cluster: Cluster, clustered: Resque, on: Stages) -> None:
    """Delayed jobs, retries and schedules, with all that people do to them."""
    stage, resque = on(cluster.url), clustered
    (stage.directory / "app.py").write_text(
        "import jobs\nfrom resque_fork import job\n"
        "@job(queue='jobs', retry=[0, 1, 600])\n"
        "def again(): jobs.tell('again'); raise ValueError('not yet')\n"
        "@job(queue='jobs', every='1s')\n"
        "def tick(): jobs.tell('tick')\n"
    )
    worker = stage.idle(*TAGGED, "--interval", "60", require="app")
    stage.told("tick", by=worker)
    resque.enqueue_in_to("jobs", 1, "again")
    for _ in range(3):
        stage.told("again", by=worker)
    resque.set_schedule("often", "quick", every=1, queue="jobs")
    stage.told("quick", by=worker)
    assert worker.until_idle().stop() == 0

    [(retried, *_)] = [json.loads(call(stage, "retries", "--json"))]
    assert (retried["class"], retried["failures"], retried["waiting"]) == ("again", 3, 1)
    assert resque.info()["delayed"] == resque.info()["retrying"] == 1
    assert call(stage, "retries", "now", "--all") == "Queued 1 job.\n"
    resque.enqueue_in_to("jobs", 600, "again")
    [moment] = json.loads(call(stage, "delayed", "--json"))
    assert json.loads(call(stage, "delayed", "show", str(moment["epoch"]), "--json"))
    assert resque.remove_delayed("again", queue="jobs") == 1
    names = [row["name"] for row in json.loads(call(stage, "schedule", "--json"))]
    assert names == ["often", "tick"]
    for command in ("pause", "resume", "run", "remove"):
        call(stage, "schedule", command, "often")
    waits = ("delayed_queue_schedule", "timestamps:", "fork:clock", "worker")
    assert not any(name.startswith(waits) for name in [*clustered.keys()])


def test_the_dead_are_rescued(cluster: Cluster, clustered: Resque, on: Stages) -> None:
    """A worker is killed with a job: the next one finds it, and the job is in the failed list."""
    stage = on(cluster.url)
    clustered.enqueue_to("jobs", "hold")
    victim = stage.work(*TAGGED)
    stage.told("begun", by=victim)
    victim.kill()
    worker = stage.work(*TAGGED)
    until(lambda: clustered.failed().count() == 1)
    worker.until_idle()
    (job,) = clustered.failed().page()
    assert (job.class_name, job.exception) == ("hold", "Resque::DirtyExit")
    assert clustered.workers() == [stage.id_of(worker)]
    assert worker.stop() == 0


def test_the_slot_moves_while_the_worker_is_idle(
    cluster: Cluster, clustered: Resque, on: Stages
) -> None:
    """It follows to the other node, and hears of pushes there."""
    stage, slot = on(cluster.url), cluster.slot("{resque}")
    worker = stage.work(*TAGGED, "--interval", "1")
    clustered.enqueue_to("jobs", "quick")
    stage.told("quick", by=worker)
    worker.until_idle()
    cluster.move(slot, other_node(cluster, slot))
    for _ in range(3):
        clustered.enqueue_to("jobs", "quick")
        stage.told("quick", by=worker)
        worker.until_idle()
    assert clustered.workers() == [stage.id_of(worker)]
    assert worker.stop() == 0
    assert (clustered.stats.get("processed"), clustered.workers()) == (4, [])


def test_the_slot_moves_while_a_job_runs(cluster: Cluster, clustered: Resque, on: Stages) -> None:
    """The outcome is written where the record has gone to."""
    stage, slot = on(cluster.url), cluster.slot("{resque}")
    clustered.enqueue_to("jobs", "hold")
    worker = stage.work(*TAGGED)
    stage.told("begun", by=worker)
    cluster.move(slot, other_node(cluster, slot))
    assert list(clustered.working()) == [stage.id_of(worker)]
    stage.open_gate()
    until(lambda: clustered.stats.get("processed") == 1, lambda: worker.said)
    clustered.enqueue_to("jobs", "quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert (clustered.stats.get("processed"), clustered.working()) == (2, {})
    assert clustered.failed().count() == 0


def test_heartbeats_of_a_job_in_place(on: Stages) -> None:
    """The thread that sends them survives the loss of the whole cluster."""
    with Cluster() as cluster:
        stage, resque = on(cluster.url), Resque(cluster.url, namespace="{resque}")
        resque.enqueue_to("jobs", "hold")
        resque.close()
        options = ("--no-fork-per-job", "--heartbeat-interval", "0.1", "--prune-interval", "5")
        worker = stage.work(*TAGGED, *options)
        stage.told("begun", by=worker)
        for node in cluster.nodes:
            node.server.kill()
        until(lambda: worker.said.count("A heartbeat could not be sent") > 1)
        assert "Traceback" not in worker.said


# --- what cannot work


def assert_left(worker: Running, status: int, saying: str) -> None:
    assert worker.ended() == status, worker.said
    assert worker.said.count(saying) == 1, worker.said
    assert "Traceback" not in worker.said


@pytest.mark.parametrize("namespace", ["resque", "{}resque", "resque}{"])
def test_a_namespace_without_a_tag(cluster: Cluster, on: Stages, namespace: str) -> None:
    """Its keys would be spread over the nodes: an error that says what to do."""
    with pytest.raises(SettingsError, match=r"use a namespace in braces, such as \{resque\}"):
        Resque(cluster.url, namespace=namespace)
    worker = on(cluster.url).work("--namespace", namespace)
    assert_left(worker, 2, "use a namespace in braces")


def test_a_node_under_a_plain_url(cluster: Cluster, on: Stages) -> None:
    """Only by chance would it have the keys: an error that names the right kind of URL."""
    slot = cluster.slot("{resque}")
    url = other_node(cluster, slot).url
    with pytest.raises(SettingsError, match=r"name it with a redis\+cluster:// URL"):
        Resque(url, namespace="{resque}").enqueue_to("jobs", "quick")
    worker = on(url).work(*TAGGED)
    assert_left(worker, 1, "name it with a redis+cluster:// URL")


def test_a_server_that_is_no_cluster(node: Node, on: Stages) -> None:
    """An error that names the right kind of URL."""
    url = node.url.removesuffix("/0").replace("redis://", "redis+cluster://")
    with pytest.raises(SettingsError, match="is not a cluster: use a redis:// URL"):
        Resque(url, namespace="{resque}").enqueue_to("jobs", "quick")
    worker = on(url).work(*TAGGED)
    assert_left(worker, 2, "is not a cluster: use a redis:// URL")


def test_nobody_there(on: Stages) -> None:
    """The client says so when it is first used, and the worker waits until it is told to stop."""
    url = f"redis+cluster://127.0.0.1:{free_ports(1)[0]}"
    resque = Resque(url, namespace="{resque}")
    with pytest.raises(RedisUnavailable, match="Connection refused") as raised:
        resque.enqueue_to("jobs", "quick")
    assert not isinstance(raised.value, MaybeEnqueued)
    worker = on(url).work(*TAGGED)
    worker.until_said("Trying again.")
    assert worker.stop() == 1
    assert "Traceback" not in worker.said
