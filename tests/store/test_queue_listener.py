"""A listener is notified of what anybody pushes, and of nothing while nobody listens."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from resque_fork import embedded
from resque_fork.store.queue_listener import BUSY_NOTIFICATIONS, QueueListener
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_connection import WorkerConnection
from resque_fork.system.loop import Loop
from resque_fork.wire.keys import Keys

from .conftest import ParsedBy, wait_for


class Worker:
    """A loop, a connection, and the listener itself."""

    def __init__(self, server: RedisURL, keys: Keys) -> None:
        self.loop = Loop()
        self.connection = WorkerConnection(server, self.loop, keys.queues)
        self.listener = QueueListener(self.connection, keys, keys.ask("here:1:mail"))

    def hears(self) -> bool:
        """Whether it is notified, of what has happened so far."""
        for _ in range(2):  # what was done before is notified of before the second reply
            self.connection.execute_command("PING")
        return self.listener.notified


@pytest.fixture
def worker(redis_url: str, parser: type, keys: Keys) -> Iterator[Worker]:
    worker = Worker(ParsedBy(redis_url, parser), keys)
    yield worker
    worker.connection.close()


@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", "resque:queue:email", "{}"),
        ("SADD", "resque:queues", "email"),
        ("SET", "resque:pause-all-workers", "true"),
        ("SADD", "resque:fork:queues:paused", "email"),
    ],
)
def test_notified_of_whoever_pushes(worker: Worker, redis: Redis, command: tuple[str, ...]) -> None:
    """A push, a new queue and a pause by any other client are announced at once."""
    assert worker.listener.subscribe()
    assert worker.listener.subscribed
    assert not worker.hears()
    redis.execute_command(*command)
    wait_for(worker.loop, lambda: worker.listener.notified)


def test_hears_of_requests(worker: Worker, redis: Redis) -> None:
    """What is asked of this worker is no push; what is asked of others is nothing at all."""
    assert worker.listener.subscribe()
    redis.rpush("resque:fork:ask:there:1:mail", "{}")
    assert not worker.hears()
    assert not worker.listener.asked
    redis.rpush("resque:fork:ask:here:1:mail", "{}")
    assert not worker.hears()
    assert worker.listener.asked


def test_is_silent_for_the_rest(worker: Worker, redis: Redis) -> None:
    """Other keys, other namespaces and what the worker does itself are not announced."""
    assert worker.listener.subscribe()
    redis.set("resque:worker:x", "x")
    redis.rpush("other:queue:email", "x")
    worker.connection.execute_command("RPUSH", "resque:queue:email", "x")
    assert not worker.hears()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.listener.notified)


def test_silent_after_unsubscribing(worker: Worker, redis: Redis) -> None:
    """Nothing is announced any more, and what was announced before is forgotten."""
    worker.listener.subscribe()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.listener.notified)
    worker.listener.unsubscribe()
    assert not worker.listener.subscribed
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()


def test_muted_it_unsubscribes_before_long(worker: Worker, redis: Redis) -> None:
    """A busy worker does not hear what others do, and is not told of it for long."""
    worker.listener.subscribe()
    worker.listener.muted = True
    for _ in range(BUSY_NOTIFICATIONS):
        redis.rpush("resque:queue:email", "x")
        assert not worker.hears()
    assert worker.listener.subscribed
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: not worker.listener.subscribed)
    assert not worker.listener.notified
    worker.listener.muted = False
    assert worker.listener.subscribe()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.listener.notified)


def test_what_came_during_the_last_look_is_heard(worker: Worker, redis: Redis) -> None:
    """A busy worker that finds nothing more hears what was pushed while it was looking."""
    worker.listener.subscribe()
    worker.listener.muted = True
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()
    worker.listener.begin_look()
    worker.listener.muted = False
    assert not worker.listener.notified  # that was before the look
    worker.listener.muted = True
    worker.listener.begin_look()
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()
    worker.listener.muted = False
    assert worker.listener.notified


def test_subscribes_again_and_again(worker: Worker, redis: Redis) -> None:
    """It can subscribe when it has, and anew after it has unsubscribed."""
    for _ in range(3):
        assert worker.listener.subscribe()
        assert worker.listener.subscribe()
        redis.rpush("resque:queue:email", "x")
        wait_for(worker.loop, lambda: worker.listener.notified)
        worker.listener.unsubscribe()


def test_notified_when_the_connection_is_lost(worker: Worker, redis: Redis) -> None:
    """With its connection the subscription is gone: it is notified, and has to subscribe anew."""
    worker.listener.subscribe()
    redis.client_kill_filter(_type="normal", skipme=True)
    wait_for(worker.loop, lambda: worker.listener.notified)
    assert not worker.listener.subscribed
    assert worker.listener.subscribe()
    assert not worker.listener.notified
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.listener.notified)


def test_says_when_the_queues_may_have_changed(worker: Worker, redis: Redis) -> None:
    """A new queue is told from a push to a known one; after a silence nothing is known."""
    listener = worker.listener
    assert listener.queues_changed
    listener.subscribe()
    listener.queues_changed = False
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: listener.notified)
    assert not listener.queues_changed
    redis.sadd("resque:queues", "new")
    wait_for(worker.loop, lambda: listener.queues_changed)
    listener.queues_changed = False
    listener.unsubscribe()
    assert listener.queues_changed
    listener.subscribe()
    listener.queues_changed = False
    redis.client_kill_filter(_type="normal", skipme=True)
    wait_for(worker.loop, lambda: listener.notified)
    assert listener.queues_changed


def test_notified_of_a_flushed_database(worker: Worker, redis: Redis) -> None:
    """A database that is emptied is announced too: what was known is no longer true."""
    worker.listener.subscribe()
    worker.listener.queues_changed = False
    redis.flushall()
    wait_for(worker.loop, lambda: worker.listener.notified)
    assert worker.listener.queues_changed


def test_namespace_with_blanks(redis: Redis, redis_url: str) -> None:
    """The listener is for the worker's own namespace, whatever its name."""
    worker = Worker(RedisURL(redis_url), Keys("my {ns}"))
    worker.listener.subscribe()
    redis.rpush("my {ns}:queue:a", "x")
    wait_for(worker.loop, lambda: worker.listener.notified)
    worker.connection.close()


@pytest.mark.parametrize("rule", ["-client", "-client|tracking"])
def test_server_that_does_not_allow_it(rule: str, keys: Keys) -> None:
    """Where tracking is not allowed subscribing fails at once."""
    with embedded.Server() as server:
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "default", rule)
        worker = Worker(RedisURL(server.url), keys)
        assert not worker.listener.subscribe()
        assert not worker.listener.subscribed
        worker.listener.unsubscribe()
        assert not worker.hears()
        worker.connection.close()


def test_server_that_speaks_only_resp2(keys: Keys) -> None:
    """A server too old for RESP3 says OK and stays silent: that does not count."""
    config: dict[str, Any] = {"rename-command": 'HELLO ""'}
    with embedded.Server(config=config) as server:
        worker = Worker(RedisURL(server.url), keys)
        assert not worker.listener.subscribe()
        assert not worker.listener.subscribed
        worker.connection.close()


def test_server_that_is_away(keys: Keys) -> None:
    """Where there is no server subscribing fails; nothing is waited for."""
    worker = Worker(RedisURL("unix:///nowhere"), keys)
    assert not worker.listener.subscribe()
