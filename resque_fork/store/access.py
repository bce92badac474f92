"""Whether Redis lets a worker do what it will have to."""

from __future__ import annotations

from ..errors import AccessRefused
from ..wire.keys import Keys, to_text
from . import scripts
from .redis_url import RedisURL
from .scripts import Commands


def check_access(redis: Commands, server: RedisURL, keys: Keys) -> None:
    """Raises AccessRefused that names the commands which an access control list withholds.

    Without this check a worker would find out command by command, with a job in its hands.
    """
    if lacking := _lacking(redis, keys, "worker"):
        raise AccessRefused(
            f"Redis at {server} does not allow what we need: its user lacks {lacking}."
        )


def check_access_of_clock(redis: Commands, keys: Keys) -> None:
    """Raises AccessRefused that names the commands which a clock is not allowed."""
    if lacking := _lacking(redis, keys, "clock"):
        raise AccessRefused(f"The user of Redis lacks {lacking}.")


def _lacking(redis: Commands, keys: Keys, whose: str) -> str:
    refused = scripts.run(redis, "access", [keys.access], [whose])
    return " ".join(f"+{to_text(name)}" for name in refused)
