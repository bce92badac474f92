"""What the tests of the store share: key names, clients, servers, and a WorkerStore."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clock import Clock
from redis import Redis
from redis._parsers import _HiredisParser, _RESP3Parser
from redis.utils import HIREDIS_AVAILABLE

from resque_fork import embedded
from resque_fork.store.client import Client
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.scripts import script
from resque_fork.store.worker_connection import WorkerConnection
from resque_fork.store.worker_store import FailedEntry, Finish, WorkerStore
from resque_fork.system.loop import Loop
from resque_fork.wire.keys import Keys

KEY = "resque:queues"
ID = "vm:22916:email,low"
IDENTITY = {"boot": "b", "pid_namespace": "p", "start": "1"}
KEYS = Keys()
LIST = KEYS.failed
DONE = Finish("done")
BACK = Finish("back")
A, B = b'{"class":"A","args":[]}', b'{"class":"B","args":[1.0,{},[]]}'
SCRIPTS = {script(name).sha: name for name in ("remove_entries", "requeue_entries")}


class BothWays(Client):
    """The store's client, on which a test also calls what redis-py's has."""

    def __enter__(self) -> "BothWays":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.redis, name)


def over(redis: Redis) -> Client:
    """The store's client over one of redis-py's."""
    client = Client(RedisURL("redis://"))
    client.redis = redis
    return client


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="module")
def long_client(server: embedded.Server) -> Iterator[Any]:
    """A client for tests that empty the server by themselves, many times over."""
    with BothWays(RedisURL(server.url)) as client:
        yield client


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A client of the kind that applications get, of a server that is empty."""
    with BothWays(RedisURL(redis_url)) as client:
        yield client


@pytest.fixture
def store(client: Any, keys: Keys) -> WorkerStore:
    """The WorkerStore of a worker that is registered."""
    store = WorkerStore(client, keys, ID, IDENTITY)
    assert store.heartbeat()
    return store


@pytest.fixture
def full_server() -> Iterator[embedded.Server]:
    """A server of the test's own, which may be filled up with `fill`."""
    with embedded.Server(config={"maxmemory-policy": "noeviction"}) as server:
        yield server


def push(client: Any, queue: str, *payloads: bytes) -> None:
    client.sadd(KEYS.queues, queue)
    client.rpush(KEYS.queue(queue), *payloads)


def fill(client: Any) -> None:
    """From now on the server refuses every command that needs memory."""
    client.config_set("maxmemory", "1mb")


def failed(entry: bytes = b"{}", list_key: str = KEYS.failed, member: str = "") -> Finish:
    """The job on record has failed, with this entry."""
    return Finish("failed", [FailedEntry(list_key, entry, member)])


def lost(entry: bytes = b"{}") -> Finish:
    """The job on record was lost with its child; the entry is that of a poison pill."""
    return Finish("lost", [FailedEntry(KEYS.failed, entry)])


def counts(client: Any) -> tuple[int, int, int, int]:
    """Processed and failed, of the fleet, and of the worker."""
    names = [KEYS.stat(n, who) for who in (None, ID) for n in ("processed", "failed")]
    one, two, three, four = (int(value or 0) for value in client.mget(names))
    return one, two, three, four


def dump(client: Any) -> dict[bytes, Any]:
    """Everything in the database, by key."""
    read = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


@pytest.fixture
def hasty_loop() -> Iterator[Loop]:
    """A loop in whose every round a second goes by, but no time."""
    clock = Clock()
    loop = Loop(clock)
    reader, writer = os.pipe()

    def tick() -> None:
        clock.now += 1

    loop.watch(reader, tick)
    os.write(writer, b"never read")
    yield loop
    os.close(reader)
    os.close(writer)


@pytest.fixture(params=[_RESP3Parser, *([_HiredisParser] if HIREDIS_AVAILABLE else [])])
def parser(request: pytest.FixtureRequest) -> type:
    """Each of the parsers that redis-py may choose here."""
    kind: type = request.param
    return kind


class ParsedBy(RedisURL):
    """A server whose connections have a certain parser."""

    def __init__(self, url: str, parser: type) -> None:
        super().__init__(url)
        self.options["parser_class"] = parser


def wait_for(loop: Loop, condition: Callable[[], object], seconds: float = 20) -> None:
    """Let the loop go on until the condition holds."""
    deadline = loop.clock() + seconds
    while not condition():
        assert loop.clock() < deadline, "nothing happened"
        loop.wait(deadline)


def connection_to(url: str, loop: Loop | None = None, **more: Any) -> WorkerConnection:
    return WorkerConnection(RedisURL(url), loop or Loop(), KEY, **more)


@pytest.fixture
def own_server() -> Iterator[embedded.Server]:
    """A server of the test's own, which it may stop, start and configure."""
    with embedded.Server() as server:
        yield server


class Pieces(threading.Thread):
    """A server that answers each thing it reads by the next of its scripted replies.

    Each reply goes out byte by byte, as a bad network would have it.
    """

    def __init__(self, path: Path, replies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.replies = replies
        self.read: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self) -> None:
        with self.listener, self.listener.accept()[0] as connection:
            for reply in self.replies:
                self.read.append(connection.recv(65536))
                with contextlib.suppress(BrokenPipeError):
                    for byte in reply:
                        connection.send(bytes([byte]))
            connection.recv(1)


class Meddled:
    """A client in whose way others come: `meddle` is called before each of its commands."""

    def __init__(self, client: Any, meddle: Callable[[], object] = lambda: None) -> None:
        self.client = client
        self.meddle = meddle
        self.pages: list[int] = []  # entries asked for, a page each
        self.steps: list[tuple[str, list[Any]]] = []  # scripts with their arguments

    def execute_command(self, *command: Any) -> Any:
        if command[0] != "LLEN":
            self.meddle()
        if command[0] == "LRANGE":
            self.pages.append(command[3] - command[2] + 1)
        if command[0] == "EVALSHA":
            self.steps.append((SCRIPTS[command[1]], list(command)))
        return self.client.execute_command(*command)


def rows(count: int, size: int = 0) -> list[bytes]:
    return [b"%d" % i + b"x" * size for i in range(count)]


def fill_list(client: Any, values: list[bytes]) -> None:
    for start in range(0, len(values), 10_000):
        client.rpush(LIST, *values[start : start + 10_000])


def read_list(client: Any) -> list[bytes]:
    values: list[bytes] = client.lrange(LIST, 0, -1)
    return values
