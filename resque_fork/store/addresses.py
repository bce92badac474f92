"""Names and addresses of hosts."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

_LIKE_AN_ADDRESS = re.compile(r"[\d.]+|[\da-f]*:[\w.:%-]*", re.ASCII | re.IGNORECASE)


class Endpoint(NamedTuple):
    """A node of Redis: its host name, its port, and the addresses of that name."""

    host: str
    port: int
    addresses: tuple[str, ...]


def is_address(host: str) -> bool:
    """Whether it is an address, and not a name."""
    if not _LIKE_AN_ADDRESS.fullmatch(host):
        return False
    try:
        socket.getaddrinfo(encoded(host), None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True


def encoded(host: str) -> str | bytes:
    """As bytes, if no name has to be looked up: Python's codec for names takes half a megabyte."""
    return host.encode() if host == "localhost" or _LIKE_AN_ADDRESS.fullmatch(host) else host
