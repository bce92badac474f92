"""A payload is in the queue, but its failed entry is larger than Redis takes in one piece."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resque_fork import embedded
from resque_fork.identity import Identity
from resque_fork.payload import KEPT_OF_TOO_LARGE

from .harness import Stage, until

LIMIT = 1024 * 1024  # Redis has 512 MB, and lets nobody have less than this
UNREADABLE = b"\xff\x00" * (LIMIT * 2 // 5)  # in base64 it is larger


@pytest.fixture
def server(tmp_path: Path) -> Iterator[embedded.Server]:
    config = {"proto-max-bulk-len": str(LIMIT)}
    with embedded.Server(config=config, directory=tmp_path / "redis") as server:
        yield server


def assert_shortened(entry: dict[str, Any], raw: bytes) -> None:
    assert base64.b64decode(entry["raw"]) == raw[:KEPT_OF_TOO_LARGE]
    assert entry["payload"] == raw[:1000].decode("utf-8", "backslashreplace")
    assert entry["error"].endswith(
        f" (The payload of {len(raw)} bytes was too large for a failed entry in Redis, "
        f"which keeps the first {KEPT_OF_TOO_LARGE}.)"
    )


def test_a_payload_that_cannot_be_read(stage: Stage) -> None:
    """It is failed with its beginning, and the worker goes on, without having waited."""
    worker = stage.idle()
    stage.push_raw(UNREADABLE)
    (entry,) = stage.failed(1)
    assert entry["exception"] == "ResqueFork::UnreadablePayload"
    assert_shortened(entry, UNREADABLE)
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
    assert_shortened(entry, raw)
    assert worker.stop() == 0
    assert (stage.stat("processed"), stage.stat("failed")) == (1, 1)


@pytest.mark.parametrize("options", [[], ["--on-lost", "requeue", "--max-attempts", "1"]])
def test_the_job_of_a_dead_worker(stage: Stage, options: list[str]) -> None:
    """It is rescued with its beginning, once."""
    dead = f"{os.uname().nodename}:99999999:jobs"
    fork = {"token": "t", "step": "1", "finish": "none", "queue": "jobs", "run_at": "x"}
    stage.redis.sadd("resque:workers", dead)
    stage.redis.hset(f"resque:fork:{dead}", mapping={**fork, **Identity.here().to_fields()})
    stage.redis.hset(f"resque:fork:unread:{dead}", mapping={"queue": "jobs", "payload": UNREADABLE})
    worker = stage.idle(*options)
    (entry,) = stage.failed(1)
    assert_shortened(entry, UNREADABLE)
    assert entry["worker"] == dead
    until(lambda: stage.workers() == [stage.id_of(worker)])
    assert worker.stop() == 0
    assert stage.redis.keys("resque:fork:*") == []
