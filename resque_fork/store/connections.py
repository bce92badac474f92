"""Bare connections, to the addresses that a place was found to have."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from redis.connection import Connection, SSLConnection


class Place(NamedTuple):
    """A node of Redis: its host as it is named, and the addresses that this name has."""

    host: str
    port: int
    addresses: tuple[str, ...]


class _ToAddress(Connection):
    """Connects to the first of `addresses` that answers; the name is for the certificate only."""

    addresses: tuple[str, ...] = ()

    def _connect(self) -> Any:
        name, problem = self.host, OSError("its name has no address")
        for address in self.addresses:
            self.host = address
            try:
                return super()._connect()  # type: ignore[no-untyped-call]
            except OSError as error:
                problem = error
            finally:
                self.host = name
        raise problem


class _ToAddressByTLS(SSLConnection, _ToAddress):
    """The handshake comes after the above, and goes by the name."""


def connection_with(options: Mapping[str, Any]) -> Any:
    """A connection with the options of a pool of such connections."""
    of_one = {name: value for name, value in options.items() if name != "max_connections"}
    kind = of_one.pop("connection_class", _ToAddress)
    if of_one.pop("ssl", False) or kind is SSLConnection:
        kind = _ToAddressByTLS
    return kind(**of_one)


def is_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True
