"""Bare connections, to the addresses that a place was found to have, and what all of them share."""

from __future__ import annotations

import gc
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import ConnectionError

_LIKE_AN_ADDRESS = re.compile(r"[\d.]+|[\da-f]*:[\w.:%-]*", re.ASCII | re.IGNORECASE)


class Place(NamedTuple):
    """A node of Redis: its host as it is named, and the addresses that this name has."""

    host: str
    port: int
    addresses: tuple[str, ...]


class OtherProtocol(ConnectionError):
    """Nothing that makes sense came from the server: it may be that one side alone speaks TLS."""


class TLSConnection(SSLConnection):
    """Tells a port that does not answer a handshake from one that cannot be reached."""

    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        sock.settimeout(self.socket_connect_timeout)
        try:
            wrapped = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        except OSError as error:
            if speaks_tls(error):
                raise
            raise OtherProtocol(f"no TLS handshake: {error}") from error
        wrapped.settimeout(self.socket_timeout)
        return wrapped


def speaks_tls(error: OSError) -> bool:
    """Whether a handshake failed for a reason that only one who speaks TLS can have."""
    if not isinstance(error, ssl.SSLError):
        return not isinstance(error, TimeoutError | ConnectionResetError | BrokenPipeError)
    reason = error.reason or ""
    return "ALERT" in reason or "CERTIFICATE" in reason or "CIPHER" in reason


class _ToAddress(Connection):
    """Connects to the first of `addresses` that answers; the name is for the certificate only."""

    addresses: tuple[str, ...] = ()

    def _connect(self) -> Any:
        name, problem = self.host, OSError("its name has no address")
        for address in self.addresses:
            self.host = encoded(address)  # type: ignore[assignment]
            try:
                return super()._connect()  # type: ignore[no-untyped-call]
            except OSError as error:
                problem = error
            finally:
                self.host = name
        raise problem


class _ToAddressByTLS(TLSConnection, _ToAddress):
    """The handshake comes after the above, and goes by the name."""


def connection_with(options: Mapping[str, Any]) -> Any:
    """A connection with the options of a pool of such connections."""
    of_one = {name: value for name, value in options.items() if name != "max_connections"}
    kind = of_one.pop("connection_class", _ToAddress)
    if of_one.pop("ssl", False) or kind is SSLConnection:
        kind = _ToAddressByTLS
    return kind(**of_one)


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


def idle_descriptors() -> set[int]:
    """Of connections that lie in a pool of redis-py, of whoever's, and are in nobody's hands.

    It looks at every object that there is.
    """
    # not isinstance, which would have lazy objects made, and remember every class
    pools = [thing for thing in gc.get_objects() if ConnectionPool in type(thing).__mro__]
    idle = [connection for pool in pools for connection in pool._get_free_connections()]
    return {c._sock.fileno() for c in idle if getattr(c, "_sock", None) is not None}
