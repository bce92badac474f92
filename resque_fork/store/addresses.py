"""Names and addresses of hosts."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

_LIKE_AN_ADDRESS = re.compile(r"[\d.]+|[\da-f]*:[\w.:%-]*", re.ASCII | re.IGNORECASE)


class Endpoint(NamedTuple):
    """A node of Redis: its host as it is named, and the addresses that this name has."""

    host: str
    port: int
    addresses: tuple[str, ...]


def is_address(host: str) -> bool:
    """Whether it is an address already, and no name that has one."""
    if not _LIKE_AN_ADDRESS.fullmatch(host):
        return False
    try:
        socket.getaddrinfo(encoded(host), None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True


def encoded(host: str) -> str | bytes:
    """As bytes, if it is no name to be looked up: Python's codec of names takes half a megabyte."""
    return host.encode() if host == "localhost" or _LIKE_AN_ADDRESS.fullmatch(host) else host
