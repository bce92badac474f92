"""What workers do, read as it stands in Redis."""

from __future__ import annotations

from typing import Any

import pytest

from resque_fork.store.fleet import Work, fleet
from resque_fork.wire.keys import Keys

AT = "2026-11-23T06:51:50Z"
SECONDS = 1795416710.0


@pytest.mark.parametrize(
    ("record", "process", "unread", "work"),
    [
        (None, {}, {}, Work(None, busy=False)),
        (None, {"beat": AT}, {}, Work(SECONDS, busy=False)),
        (
            b'{"queue":"q","run_at":"%b","payload":{"class":"A","args":[]}}' % AT.encode(),
            {},
            {},
            Work(None, True, SECONDS, "A"),
        ),
        (None, {"queue": "q", "run_at": AT}, {"class": "B"}, Work(None, True, SECONDS, "B")),
        (None, {"queue": "q", "run_at": AT}, {}, Work(None, True, SECONDS)),
        (b'{"queue":"q","run_at":"x","payload":7}', {}, {}, Work(None, busy=True)),
        (b"[" * 100_000, {}, {}, Work(None, busy=True)),
    ],
)
def test_a_worker(
    client: Any, keys: Keys, record: bytes | None, process: Any, unread: Any, work: Work
) -> None:
    """A job is found on either record, and a heartbeat that a Ruby worker has removed too."""
    client.sadd(keys.workers, "a:1:q")
    if record is not None:
        client.set(keys.worker("a:1:q"), record)
    for key, fields in ((keys.fork("a:1:q"), process), (keys.unread("a:1:q"), unread)):
        if fields:
            client.hset(key, mapping=fields)
    assert fleet(client, keys) == [work]


def test_keys_of_another_type(client: Any, keys: Keys) -> None:
    """What is in the way of one worker hides no other."""
    client.sadd(keys.workers, "a:1:q", "b:1:q")
    client.set(keys.fork("a:1:q"), "x")
    client.set(keys.unread("a:1:q"), "x")
    client.hset(keys.heartbeats, "b:1:q", AT)
    assert fleet(client, keys) == [Work(None, busy=False), Work(SECONDS, busy=False)]
