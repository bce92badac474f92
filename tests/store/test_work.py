"""What workers do, read as it stands in Redis."""

from __future__ import annotations

from typing import Any

import pytest

from resque_fork.store.work import Work, look
from resque_fork.wire.keys import Keys
from resque_fork.wire.record import RecordHead

AT = "2026-11-23T06:51:50Z"
SECONDS = 1795416710.0


@pytest.mark.parametrize(
    ("record", "process", "unread", "work"),
    [
        (None, {}, {}, Work()),
        (None, {"beat": AT}, {}, Work(beat=SECONDS)),
        (
            b'{"queue":"q","run_at":"%b","payload":{"class":"A","args":[]}}' % AT.encode(),
            {},
            {},
            Work(RecordHead("q", AT, "A")),
        ),
        (None, {"queue": "q", "run_at": AT}, {"class": "B"}, Work(RecordHead("q", AT, "B"))),
        (None, {"queue": "q", "run_at": AT}, {}, Work(RecordHead("q", AT, ""))),
        (b'{"queue":"q","run_at":"x","payload":7}', {}, {}, Work(RecordHead("q", "x", ""))),
        (b"[" * 100_000, {}, {}, Work(RecordHead("", "", ""))),
    ],
)
def test_a_worker(
    client: Any, keys: Keys, record: bytes | None, process: Any, unread: Any, work: Work
) -> None:
    """A job is found on either record, and a heartbeat that a Ruby worker has removed too."""
    if record is not None:
        client.set(keys.worker("a:1:q"), record)
    for key, fields in ((keys.fork("a:1:q"), process), (keys.unread("a:1:q"), unread)):
        if fields:
            client.hset(key, mapping=fields)
    assert look(client, keys, ["a:1:q"]) == {"a:1:q": work}


def test_keys_of_another_type(client: Any, keys: Keys) -> None:
    """What is in the way of one worker hides no other."""
    client.set(keys.fork("a:1:q"), "x")
    client.set(keys.unread("a:1:q"), "x")
    client.hset(keys.fork("b:1:q"), "beat", AT)
    assert look(client, keys, ["a:1:q", "b:1:q"]) == {"a:1:q": Work(), "b:1:q": Work(beat=SECONDS)}
