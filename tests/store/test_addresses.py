"""What is an address and what a name, and how either is passed to the system."""

from __future__ import annotations

import pytest

from resque_fork.store.addresses import encoded, is_address

ADDRESSES = ["127.0.0.1", "10", "127.1", "::1", "fe80::1%lo", "2001:DB8::7334", "::ffff:10.0.0.1"]
NAMES = ["localhost", "redis.test", "1.2.3.4.5", "dead", "dead:beef", "m\xfcnchen.test", "a..b", ""]


@pytest.mark.parametrize("host", ADDRESSES)
def test_an_address(host: str) -> None:
    """Nobody has to be asked about it; it goes to the system as it is."""
    assert is_address(host)
    assert encoded(host) == host.encode()


@pytest.mark.parametrize("host", NAMES)
def test_a_name(host: str) -> None:
    """Somebody has to be asked, whatever it looks like."""
    assert not is_address(host)


def test_what_python_has_to_encode() -> None:
    """Names do, but not that of this very host, which a worker looks up by itself."""
    for name in ("m\xfcnchen.test", "redis.test"):
        assert encoded(name) == name
    assert encoded("localhost") == b"localhost"
