"""A user of Redis that may not do all that a worker has to is found out at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from redis import Redis

from resque_fork import AccessRefused, embedded
from resque_fork.store.access import check_access, check_access_of_clock
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.worker_connection import WorkerConnection
from resque_fork.store.worker_store import NOTHING, FailedEntry, Finish, WorkerStore
from resque_fork.system.loop import Loop
from resque_fork.wire.keys import Keys

from .conftest import ID, IDENTITY, fill

LUA = resources.files("resque_fork.store") / "lua"
OF_A_WORKER = (
    *("prelude", "describe", "find", "heartbeat", "keep", "redeem", "rescue", "restore", "step"),
    *("unregister", "add_up", "counting", "marks", "status", "note_status"),
)
OF_A_CLOCK = (
    *("prelude", "waiting", "clock", "move_delayed", "release", "marks", "mark_queues"),
    *("status", "ticks", "schedules", "count_ticks", "tick", "remove_schedule"),
)


def used_by(*names: str) -> list[str]:
    """The commands that these scripts may come to."""
    texts = [(LUA / f"{name}.lua").read_text() for name in names]
    found = (re.findall(r"(?:redis\.p?call\(|read\(\w, '\w+', )'(\w+)'", text) for text in texts)
    return sorted({command.lower() for commands in found for command in commands})


USED = used_by(*OF_A_WORKER)


@pytest.fixture(scope="module")
def guarded() -> Iterator[embedded.Server]:
    """A server with a user ``worker``."""
    with embedded.Server() as server:
        yield server


@pytest.fixture
def admin(guarded: embedded.Server) -> Iterator[Any]:
    """Sees to it that the user may do everything, and that the server is empty."""
    with Redis.from_url(guarded.url) as admin:
        admin.flushall()
        admin.execute_command("ACL", "SETUSER", "worker", "reset", "on", ">pw", "~*", "+@all")
        yield admin


@pytest.fixture
def server(guarded: embedded.Server) -> RedisURL:
    return RedisURL(guarded.url.replace("unix://", "unix://worker:pw@"))


@pytest.fixture
def connection(server: RedisURL, admin: Any) -> Iterator[WorkerConnection]:
    connection = WorkerConnection(server, Loop(), Keys().queues)
    connection.open_or_refuse()
    yield connection
    connection.close()


def test_nothing_is_lacking(connection: WorkerConnection, server: RedisURL, admin: Any) -> None:
    """Who may do everything is let in, and nothing is left behind."""
    check_access(connection, server, Keys())
    assert admin.keys() == []


@pytest.mark.parametrize("command", USED)
def test_each_command_of_a_script(
    connection: WorkerConnection, server: RedisURL, admin: Any, command: str
) -> None:
    """One sentence names the command that is lacking, whichever script would come to it."""
    admin.execute_command("ACL", "SETUSER", "worker", f"-{command}")
    with pytest.raises(AccessRefused, match=rf"what we need: its user lacks \+{command}\."):
        check_access(connection, server, Keys())


@pytest.mark.parametrize("command", used_by(*OF_A_CLOCK))
def test_each_command_of_a_clock(connection: WorkerConnection, admin: Any, command: str) -> None:
    """It may be more than a worker needs, which works without a clock."""
    check_access_of_clock(connection, Keys())
    admin.execute_command("ACL", "SETUSER", "worker", f"-{command}")
    with pytest.raises(AccessRefused, match=rf"^The user of Redis lacks \+{command}\.$"):
        check_access_of_clock(connection, Keys())


def test_several_commands(connection: WorkerConnection, server: RedisURL, admin: Any) -> None:
    """All of them are named."""
    admin.execute_command("ACL", "SETUSER", "worker", "-hset", "-rpush", "-time")
    with pytest.raises(AccessRefused, match=r"its user lacks \+rpush \+hset \+time\."):
        check_access(connection, server, Keys())


def test_a_full_server_and_a_replica(
    connection: WorkerConnection, server: RedisURL, admin: Any
) -> None:
    """What passes by itself is no lack of permissions."""
    admin.config_set("maxmemory-policy", "noeviction")
    fill(admin)
    check_access(connection, server, Keys())
    admin.config_set("maxmemory", 0)
    admin.replicaof("127.0.0.1", "1")
    check_access(connection, server, Keys())
    admin.replicaof("NO", "ONE")


@pytest.mark.parametrize(("verb", "lacking"), [("failed", "rpush"), ("back", "lpush")])
def test_a_push_that_is_forbidden_later(
    connection: WorkerConnection,
    admin: Any,
    verb: str,
    lacking: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The step waits with the job on record, and loses nothing half way."""
    keys = Keys()
    store = WorkerStore(connection, keys, ID, IDENTITY)
    store.heartbeat()
    admin.rpush(keys.queue("low"), b'{"class":"A","args":[]}')
    assert store.step(NOTHING, ["low"]).found == "job"
    connection.authenticated = True
    admin.execute_command("ACL", "SETUSER", "worker", f"-{lacking}")
    held: list[bytes] = []

    def allow() -> None:
        held.append(admin.get(keys.worker(ID)))
        admin.execute_command("ACL", "SETUSER", "worker", f"+{lacking}")

    connection._loop.after(0.3, allow)
    entries = [FailedEntry(keys.failed, b"entry")] if verb == "failed" else []
    assert store.step(Finish(verb, entries), None).finish == verb
    assert b'"class":"A"' in held[0]
    assert admin.lrange(keys.failed, 0, -1) == ([b"entry"] if verb == "failed" else [])
    assert admin.llen(keys.queue("low")) == (verb == "back")
    assert "does not allow what we need" in caplog.text
