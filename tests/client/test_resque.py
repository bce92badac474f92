"""The client: what it reads from a Resque, and what it changes there."""

from typing import Any

import pytest
from redis import Redis

from resque_fork import ArgumentsError, NoClassError, Resque, UnreadablePayload
from resque_fork.wire.record import WorkerRecord

# --- queues


def test_push_any_object(resque: Resque, redis: Any) -> None:
    """Any object with a class goes to a queue as it is; what has none is refused."""
    resque.push("q", {"class": "A", "args": [1], "id": "x"})
    assert redis.lrange("resque:queue:q", 0, -1) == [b'{"class":"A","args":[1],"id":"x"}']
    for item in ({"args": []}, {"class": ""}, {"class": 7}):
        with pytest.raises(NoClassError) as caught:
            resque.push("q", item)
        assert str(caught.value) == (
            "Jobs must be given a class: pass a declared job or the name its workers know it by."
        )
    with pytest.raises(ArgumentsError, match=r"^A: args must be a list of arguments, not a str"):
        resque.push("q", {"class": "A", "args": "abc"})
    assert resque.size("q") == 1


def test_pop_is_first_in_first_out(resque: Resque) -> None:
    """Pop gives payloads in order and then None; size follows."""
    for n in (1, 2):
        resque.enqueue_to("q", "A", n)
    assert resque.size("q") == 2
    assert [resque.pop("q") for _ in range(3)] == [
        {"class": "A", "args": [1]}, {"class": "A", "args": [2]}, None,
    ]  # fmt: skip
    assert (resque.size("q"), resque.queues()) == (0, ["q"])


def test_peek(resque: Resque, redis: Any) -> None:
    """Peek shows the head, or a list of more, and removes nothing; what is not JSON is text."""
    assert resque.peek("q") is None
    assert resque.peek("q", 0, 3) == []
    redis.rpush("resque:queue:q", b'{"class":"A"}', b"\xffoops", b"[1]")
    assert resque.peek("q") == {"class": "A"}
    assert resque.peek("q", 1) == "\\xffoops"
    assert resque.peek("q", 1, 5) == ["\\xffoops", [1]]
    assert resque.size("q") == 3


def test_reserve(resque: Resque, redis: Any) -> None:
    """Reserve takes the first job with its class and arguments, or None; no job is an error."""
    resque.enqueue_to("q", "A", 1, [2])
    redis.rpush("resque:queue:q", "oops")
    reservation = resque.reserve("q")
    assert reservation is not None
    assert (reservation.queue, reservation.class_name) == ("q", "A")
    assert reservation.args == [1, [2]]
    with pytest.raises(UnreadablePayload, match=r"^The payload cannot be read: it is not JSON"):
        resque.reserve("q")
    assert resque.reserve("q") is None


def test_queues_and_sizes(resque: Resque) -> None:
    """Queues are known by name, sorted, with their sizes; none is an empty list."""
    assert (resque.queues(), resque.queue_sizes()) == ([], {})
    resque.enqueue_to("b", "A")
    resque.enqueue_many("A", [[], []], queue="a")
    assert resque.queues() == ["a", "b"]
    assert resque.queue_sizes() == {"a": 2, "b": 1}


def test_sample_queues(resque: Resque) -> None:
    """A sample holds a queue's true size and its first jobs, in order."""
    resque.enqueue_many("A", [[1], [2], []], queue="q")
    assert resque.sample_queues(2) == {
        "q": {"size": 3, "samples": [{"class": "A", "args": [1]}, {"class": "A", "args": [2]}]}
    }
    assert resque.sample_queues()["q"]["samples"][2] == {"class": "A", "args": []}


def test_remove_and_clear(resque: Resque) -> None:
    """A removed queue is forgotten with its jobs, a cleared one stays known; others stay."""
    for queue in ("a", "b", "c"):
        resque.enqueue_many("A", [[1], [2]], queue=queue)
    assert (resque.remove_queue("a"), resque.clear_queue("b")) == (2, 2)
    assert (resque.remove_queue("a"), resque.clear_queue("b")) == (0, 0)
    assert resque.queue_sizes() == {"b": 0, "c": 2}


# --- workers, failures and the rest


def test_workers_and_what_they_do(resque: Resque, redis: Any) -> None:
    """Workers are listed by id, and those that have a job with it; what cannot be read is None."""
    assert (resque.workers(), resque.working()) == ([], {})
    record = WorkerRecord("q", "2026-11-23T06:51:50Z", b'{"class":"A","args":[]}')
    redis.sadd("resque:workers", "vm:2:q", "vm:1:q", "vm:3:q")
    redis.set("resque:worker:vm:1:q", record.to_json())
    redis.set("resque:worker:vm:3:q", "oops")
    assert resque.workers() == ["vm:1:q", "vm:2:q", "vm:3:q"]
    assert resque.working() == {"vm:1:q": record, "vm:3:q": None}


def test_info(resque: Resque, redis: Any, redis_url: str) -> None:
    """The overview counts what is pending, done, failed, known and at work."""
    resque.enqueue_many("A", [[], []], queue="a")
    resque.enqueue_to("b", "A")
    redis.sadd("resque:workers", "vm:1:q", "vm:2:q")
    redis.set("resque:worker:vm:1:q", "{}")
    redis.rpush("resque:failed", "{}")
    redis.rpush("resque:a_failed", "{}")
    redis.sadd("resque:failed_queues", "a_failed")
    redis.mset({"resque:stat:processed": 7, "resque:stat:failed": 9})
    assert resque.info() == {
        "pending": 3,
        "delayed": 0,
        "retrying": 0,
        "processed": 7,
        "failed": 2,
        "queues": 2,
        "workers": 2,
        "working": 1,
        "servers": [redis_url],
    }


def test_failed_lists(resque: Resque, redis: Any) -> None:
    """The failed list is at hand, and any other by name."""
    redis.rpush("resque:failed", "{}")
    redis.rpush("resque:mail_failed", "{}", "{}")
    assert resque.failed().count() == 1
    assert resque.failed("mail_failed").count() == 2


@pytest.mark.parametrize("namespace", ["resque", "a[b]*?", "a\\-^"])
def test_keys_of_a_namespace(redis_url: str, redis: Any, namespace: str) -> None:
    """Keys are listed without their namespace, whatever it looks like, and nobody else's."""
    resque = Resque(redis_url, namespace=namespace)
    redis.mset({"other:queues": 1, "resqueue:x": 1, "ab:x": 1, "abz:x": 1})
    resque.enqueue_to("q", "A")
    assert resque.keys() == ["queue:q", "queues"]
    resque.close()


def test_namespaces_are_apart(redis_url: str, redis: Any) -> None:
    """Every key begins with the namespace, and what is queued in one is not seen in another."""
    one, other = Resque(redis_url, namespace="one"), Resque(redis_url, namespace="other")
    one.enqueue_to("q", "A")
    assert (one.queues(), other.queues()) == (["q"], [])
    one.stats.incr("mails")
    one.pause()
    assert all(key.startswith(b"one:") for key in redis.keys("*"))
    one.close()
    other.close()


def test_pause_of_all_workers(resque: Resque, redis: Any) -> None:
    """A pause is Resque's key; any case counts, as others write it, and anything else does not."""
    assert not resque.paused()
    resque.pause()
    assert redis.get("resque:pause-all-workers") == b"true"
    assert resque.paused()
    resque.resume()
    assert not redis.exists("resque:pause-all-workers")
    for value, paused in ((b"True\n", True), (b"false", False), (b"\xff", False)):
        redis.set("resque:pause-all-workers", value)
        assert resque.paused() is paused


def test_stats(resque: Resque) -> None:
    """Counters of an application are kept beside Resque's own."""
    assert resque.stats.incr("mails", 3) == 3
    assert resque.stats.get("mails") == 3


def test_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL the environment says which Redis and which namespace."""
    for variable in ("RESQUE_REDIS", "REDIS_URL", "RESQUE_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    assert repr(Resque()) == "<Resque redis://localhost:6379/0 namespace 'resque'>"
    monkeypatch.setenv("REDIS_URL", "redis://:pw@example.com/2")
    assert repr(Resque()) == "<Resque redis://:***@example.com/2 namespace 'resque'>"
    monkeypatch.setenv("RESQUE_REDIS", "redis://first.example.com")
    assert str(Resque().server) == "redis://first.example.com"
    assert str(Resque("unix:///tmp/x").server) == "unix:///tmp/x"


def test_a_client_of_redis_py(redis_url: str) -> None:
    """A Resque connects as a client of redis-py does, and leaves that client as it was."""
    with Redis.from_url(redis_url, decode_responses=True, max_connections=1) as client:
        resque = Resque(client)
        client.rpush("resque:queue:q", b'{"class":"A","args":["\xc3\xa9"]}')
        client.client_id()
        mine = client.connection_pool.get_connection()  # the only one that it may have
        resque.enqueue_to("q", "B")
        assert [job["args"] for job in resque.peek("q", 0, 2)] == [["\xe9"], []]
        resque.close()
        client.connection_pool.release(mine)
        assert client.lrange("resque:queue:q", 1, 1) == ['{"class":"B","args":[]}']
        assert str(resque.server) == redis_url
