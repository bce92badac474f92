"""What a URL names is found, and asked whether anybody is there."""

import re

import pytest

from resque_fork.errors import AccessRefused, RedisUnavailable
from resque_fork.store.connecting import find, ping
from resque_fork.store.redis_url import RedisURL
from resque_fork.store.refusals import translated


def test_a_name_that_nobody_has() -> None:
    """A name that cannot be resolved is told like a connection that cannot be had."""
    server = RedisURL("redis://redis.invalid:7/0")
    with pytest.raises(RedisUnavailable) as caught, translated(server):
        find(server, "resque:queues")
    assert re.fullmatch(
        r"Redis at redis://redis\.invalid:7/0 does not answer "
        r"\(Error -?\d+ looking up redis\.invalid\. .+\)\.",
        str(caught.value),
    )


def test_a_ping(redis_url: str) -> None:
    """It asks whoever is there, and says who is not, in the words of any connection."""
    ping(RedisURL(redis_url))
    for url in ("unix:///nowhere", "redis://127.0.0.1:1", "redis://localhost:1"):
        with pytest.raises(RedisUnavailable) as caught:
            ping(RedisURL(url))
        assert not caught.value.sent
    with pytest.raises(AccessRefused):
        ping(RedisURL(redis_url.replace("://", "://nobody:wrong@")))
