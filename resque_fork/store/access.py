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
    refused = [to_text(name) for name in scripts.run(redis, "access", [keys.access], [])]
    if refused:
        raise AccessRefused(
            f"Redis at {server} does not allow what we need: "
            f"its user lacks {' '.join(f'+{name}' for name in refused)}."
        )
