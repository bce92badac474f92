"""What a server says about itself and its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import RedisRefused
from .client import Client


def info(redis: Client) -> dict[str, Any]:
    """The reply to INFO; empty if we may not ask."""
    try:
        return dict(redis.execute_command("INFO"))
    except RedisRefused as error:
        if not error.sent:
            raise
        return {}


def config(redis: Client, name: str) -> str | None:
    """One directive; None if the server does not tell it, as managed servers do not."""
    try:
        value = redis.execute_command("CONFIG GET", name).get(name)
    except RedisRefused:
        return None
    return None if value is None else str(value)


def types_of(redis: Client, keys: Sequence[str]) -> list[str]:
    """The type of each key, such as ``list``; ``none`` of one that does not exist."""
    return [kind.decode() for kind in redis.execute_many([("TYPE", key) for key in keys])]
