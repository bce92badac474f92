"""What a URL names is found, or its name is told."""

import re

import pytest

from resque_fork.errors import RedisUnavailable
from resque_fork.store.connecting import find
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
