"""A payload is in the queue, but its failed entry is larger than Redis takes in one piece."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.system.identity import Identity

from .harness import Stage, until

LIMIT = 1024 * 1024  # Redis has 512 MB, and lets nobody have less than this
UNREADABLE = b"\xff\x00" * (LIMIT * 2 // 5)  # in base64 it is larger


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Server]:
    config = {"proto-max-bulk-len": str(LIMIT)}
    with embedded.Server(config=config, directory=tmp_path / "redis") as server:
        yield server


def bytes_of(stage: Stage, entry: dict[str, Any]) -> bytes:
    """What stands under the key that the entry names."""
    (argument,) = entry["payload"]["args"]
    payload: Any = stage.redis.hget(argument["key"], "payload")
    return bytes(payload)


def test_a_payload_that_cannot_be_read(stage: Stage) -> None:
    """It is kept under a key of its own, and the worker goes on, without having waited."""
    worker = stage.idle()
    stage.push_raw(UNREADABLE)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert bytes_of(stage, entry) == UNREADABLE
    stage.push("quick")
    stage.told("quick", by=worker)
    assert worker.stop() == 0
    assert "Trying again." not in worker.said
    assert (stage.stat("processed"), stage.stat("failed")) == (2, 1)
    stage.assert_left(worker)


def test_a_good_job_with_much_to_say(stage: Stage) -> None:
    """A job that just fits in the queue, and fails with a long error, is kept in the same way."""
    text = "x" * (LIMIT - 200)
    raw = b'{"class":"boom","args":["%b"]}' % text.encode()
    worker = stage.idle()
    stage.push_raw(raw)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ValueError"
    assert bytes_of(stage, entry) == raw
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 1)


@pytest.mark.parametrize("options", [[], ["--on-lost", "requeue", "--max-attempts", "1"]])
def test_the_job_of_a_dead_worker(stage: Stage, options: list[str]) -> None:
    """It is rescued, once, and its bytes are kept."""
    dead = f"{os.uname().nodename}:99999999:jobs"
    fork = {"token": "t", "step": "1", "finish": "none", "queue": "jobs", "run_at": "x"}
    stage.redis.sadd("resque:workers", dead)
    stage.redis.hset(f"resque:fork:{dead}", mapping={**fork, **Identity.here().to_fields()})
    stage.redis.hset(f"resque:fork:unread:{dead}", mapping={"queue": "jobs", "payload": UNREADABLE})
    worker = stage.idle(*options)
    (entry,) = stage.failed(1)
    assert bytes_of(stage, entry) == UNREADABLE
    assert entry["worker"] == dead
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert worker.stop() == 0
    left = stage.redis.keys("resque:fork:*")
    kept, *others = sorted(key for key in left if b":metrics" not in key)
    assert kept.startswith(b"resque:fork:kept:")
    assert others == [b"resque:fork:rescued:t"]


@pytest.mark.parametrize("again", [1, 2])
def test_queued_again(stage: Stage, again: int) -> None:
    """A worker that takes its entry's payload has the bytes again, and keeps them as before."""
    worker = stage.idle()
    stage.push_raw(UNREADABLE)
    (entry,) = stage.failed(1)
    for count in range(2, 2 + again):
        stage.push_raw(json.dumps(entry["payload"]).encode())
        entry = stage.failed(count)[-1]
        assert entry["exception"] == "ResqueFork::UnreadablePayload"
        assert bytes_of(stage, entry) == UNREADABLE
    assert len(stage.redis.keys("resque:fork:kept:*")) == 1
    assert worker.stop() == 0


def test_bytes_that_are_gone(stage: Stage) -> None:
    """Queued again twice, the second finds nothing any more, and says so."""
    worker = stage.idle()
    stage.push_raw(UNREADABLE)
    (entry,) = stage.failed(1)
    stage.redis.delete(key := entry["payload"]["args"][0]["key"])
    stage.push_raw(json.dumps(entry["payload"]).encode())
    *_, last = stage.failed(2)
    assert last["error"] == (
        f"The payload names the Redis key {key!r}, where its bytes were kept, "
        "and they are no longer there."
    )
    assert worker.stop() == 0
