"""The bell rings for what was pushed by anybody, and never while nobody listens."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from resque_fork import embedded
from resque_fork.store.bell import BUSY_RINGS, Bell
from resque_fork.store.line import Line
from resque_fork.store.server import Server
from resque_fork.system.loop import Loop
from resque_fork.wire.keys import Keys

from .conftest import ParsedBy, wait_for


class Worker:
    """What a worker has of the bell: a loop, a line, and the bell itself."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.loop = Loop()
        self.line = Line(server, self.loop, keys.queues)
        self.bell = Bell(self.line, keys)

    def hears(self) -> bool:
        """Whether the bell rings, for what has happened so far."""
        for _ in range(2):  # a ring for what was done before comes before the second reply
            self.line.execute_command("PING")
        return self.bell.rung


@pytest.fixture
def worker(redis_url: str, parser: type, keys: Keys) -> Iterator[Worker]:
    worker = Worker(ParsedBy(redis_url, parser), keys)
    yield worker
    worker.line.close()


@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", "resque:queue:email", "{}"),
        ("SADD", "resque:queues", "email"),
        ("SET", "resque:pause-all-workers", "true"),
    ],
)
def test_rings_for_whoever_pushes(worker: Worker, redis: Redis, command: tuple[str, ...]) -> None:
    """A push, a new queue and a pause by any other client are announced at once."""
    assert worker.bell.arm()
    assert worker.bell.armed
    assert not worker.hears()
    redis.execute_command(*command)
    wait_for(worker.loop, lambda: worker.bell.rung)


def test_is_silent_for_the_rest(worker: Worker, redis: Redis) -> None:
    """Neither other keys, nor other namespaces, nor what the worker does itself ring the bell."""
    assert worker.bell.arm()
    redis.set("resque:worker:x", "x")
    redis.rpush("other:queue:email", "x")
    worker.line.execute_command("RPUSH", "resque:queue:email", "x")
    assert not worker.hears()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.bell.rung)


def test_disarmed_it_is_silent(worker: Worker, redis: Redis) -> None:
    """Disarmed, nothing is announced, and what rang before is forgotten."""
    worker.bell.arm()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.bell.rung)
    worker.bell.disarm()
    assert not worker.bell.armed
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()


def test_hushed_it_is_disarmed_before_long(worker: Worker, redis: Redis) -> None:
    """A busy worker does not hear what others do, and is not told of it for long."""
    worker.bell.arm()
    worker.bell.hush(True)
    for _ in range(BUSY_RINGS):
        redis.rpush("resque:queue:email", "x")
        assert not worker.hears()
    assert worker.bell.armed
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: not worker.bell.armed)
    assert not worker.bell.rung
    worker.bell.hush(False)
    assert worker.bell.arm()
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.bell.rung)


def test_what_rang_during_the_last_look_is_heard(worker: Worker, redis: Redis) -> None:
    """A busy worker that finds nothing more hears what was pushed while it was looking."""
    worker.bell.arm()
    worker.bell.hush(True)
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()
    worker.bell.begin_look()
    worker.bell.hush(False)
    assert not worker.bell.rung  # that was before the look
    worker.bell.hush(True)
    worker.bell.begin_look()
    redis.rpush("resque:queue:email", "x")
    assert not worker.hears()
    worker.bell.hush(False)
    assert worker.bell.rung


def test_armed_again_and_again(worker: Worker, redis: Redis) -> None:
    """It can be armed when it is armed already, and anew after it was disarmed."""
    for _ in range(3):
        assert worker.bell.arm()
        assert worker.bell.arm()
        redis.rpush("resque:queue:email", "x")
        wait_for(worker.loop, lambda: worker.bell.rung)
        worker.bell.disarm()


def test_losing_the_line_rings(worker: Worker, redis: Redis) -> None:
    """With its connection the armed bell is gone: that rings, and it has to be armed anew."""
    worker.bell.arm()
    redis.client_kill_filter(_type="normal", skipme=True)
    wait_for(worker.loop, lambda: worker.bell.rung)
    assert not worker.bell.armed
    assert worker.bell.arm()
    assert not worker.bell.rung
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: worker.bell.rung)


def test_says_when_the_queues_may_have_changed(worker: Worker, redis: Redis) -> None:
    """A ring tells a new queue from a push to a known one; after a silence nothing is known."""
    bell = worker.bell
    assert bell.queues_changed
    bell.arm()
    bell.queues_changed = False
    redis.rpush("resque:queue:email", "x")
    wait_for(worker.loop, lambda: bell.rung)
    assert not bell.queues_changed
    redis.sadd("resque:queues", "new")
    wait_for(worker.loop, lambda: bell.queues_changed)
    bell.queues_changed = False
    bell.disarm()
    assert bell.queues_changed
    bell.arm()
    bell.queues_changed = False
    redis.client_kill_filter(_type="normal", skipme=True)
    wait_for(worker.loop, lambda: bell.rung)
    assert bell.queues_changed


def test_flushed_database_rings(worker: Worker, redis: Redis) -> None:
    """A database that is emptied rings too: what was known is no longer true."""
    worker.bell.arm()
    worker.bell.queues_changed = False
    redis.flushall()
    wait_for(worker.loop, lambda: worker.bell.rung)
    assert worker.bell.queues_changed


def test_namespace_with_blanks(redis: Redis, redis_url: str) -> None:
    """The bell is for the worker's own namespace, whatever its name."""
    worker = Worker(Server(redis_url), Keys("my {ns}"))
    worker.bell.arm()
    redis.rpush("my {ns}:queue:a", "x")
    wait_for(worker.loop, lambda: worker.bell.rung)
    worker.line.close()


@pytest.mark.parametrize("rule", ["-client", "-client|tracking"])
def test_server_that_does_not_allow_it(rule: str, keys: Keys) -> None:
    """Where the bell is not allowed the worker is told so at once, and can look at intervals."""
    with embedded.Server() as server:
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "default", rule)
        worker = Worker(Server(server.url), keys)
        assert not worker.bell.arm()
        assert not worker.bell.armed
        worker.bell.disarm()
        assert not worker.hears()
        worker.line.close()


def test_server_that_speaks_only_resp2(keys: Keys) -> None:
    """A server too old for RESP3 says OK to the bell and stays silent: it does not count."""
    config: dict[str, Any] = {"rename-command": 'HELLO ""'}
    with embedded.Server(config=config) as server:
        worker = Worker(Server(server.url), keys)
        assert not worker.bell.arm()
        assert not worker.bell.armed
        worker.line.close()


def test_server_that_is_away(keys: Keys) -> None:
    """Where there is no server the bell cannot be armed; nothing is waited for."""
    worker = Worker(Server("unix:///nowhere"), keys)
    assert not worker.bell.arm()
