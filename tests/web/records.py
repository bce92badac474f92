"""What pages are about, as it stands in Redis: failed jobs, queues, statuses of tracked jobs."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis


def fail(redis: Redis, *numbers: int, class_name: str = "Mail") -> None:
    for n in numbers:
        payload = {"class": class_name, "args": [n]}
        entry = {"payload": payload, "queue": "mail", "exception": "ValueError", "error": f"e{n}"}
        redis.rpush("resque:failed", json.dumps(entry))


def entries(redis: Redis) -> list[int]:
    """The arguments of the failed jobs, the oldest first."""
    return [json.loads(raw)["payload"]["args"][0] for raw in redis.lrange("resque:failed", 0, -1)]


def queued(redis: Redis, queue: str = "mail") -> list[int]:
    return [json.loads(raw)["args"][0] for raw in redis.lrange(f"resque:queue:{queue}", 0, -1)]


def known(redis: Redis, number: int, status: str = "completed", **more: Any) -> str:
    """A tracked job, enqueued at this second; returns its id."""
    job_id = f"{number:032x}"
    redis.zadd("resque:_statuses", {job_id: number})
    text = {"uuid": job_id, "status": status, "time": number, "name": "Report", "queue": "mail"}
    redis.set(f"resque:status:{job_id}", json.dumps(text | more))
    return job_id
