"""Connects with redis-py to the Redis that a URL names: clients, and bare connections.

Raises the errors of redis-py; only `ping` translates them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    RedisClusterException,
    TimeoutError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from .addresses import Endpoint, encoded
from .redis_py import PACKER, Deadline, client_connection, connection_with
from .redis_url import CONNECT_SECONDS, PORTS, RedisURL
from .refusals import translated

# The parent must not wait long for anything that blocks: a TLS handshake, an answer of a Sentinel.
HASTY = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": CONNECT_SECONDS}
SENT_ONCE = {"command_packer": PACKER, "retry": Retry(NoBackoff(), 0)}


def open_client(server: RedisURL, seconds: float, deadline: Deadline) -> Any:
    """A redis-py client for applications: pooled, safe for threads and forks.

    It waits `seconds` for each reply, and for no connection longer than that; never beyond the
    `deadline`, but for a Cluster. It never repeats a command by itself: a repeated push queues a
    job twice. That of a Cluster connects at once.
    """
    connecting = min(server.options["socket_connect_timeout"], seconds)
    waits = {"socket_timeout": seconds, "socket_connect_timeout": connecting}
    options = {**server.options, **waits, **SENT_ONCE}
    if server.kind == "cluster":
        return _cluster(server, options)
    kind = "unix" if server.scheme == "unix" else server.kind
    timed = {
        **options,
        "protocol": 2,
        "connection_class": client_connection(kind, server.tls),
        "deadline": deadline,
    }
    timed.pop("ssl", None)
    if server.kind == "sentinel":
        return _sentinels(server, options).master_for(server.primary, **timed)
    return redis.Redis.from_pool(redis.ConnectionPool(**timed))  # which closes with it


def find(server: RedisURL, key: str) -> Endpoint | None:
    """The node that holds `key` now; None for a socket in the file system.

    If the server `is_to_be_found`, this blocks for as long as a name server is silent.
    """
    if "path" in server.options:
        return None
    host, port = _node(server, key)
    try:
        found = socket.getaddrinfo(encoded(host), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionError(
            f"Error {error.errno} looking up {host}. {error.strerror}."
        ) from error
    return Endpoint(host, port, tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))


def bare_connection(
    server: RedisURL, place: Endpoint | None, on_connect: Callable[[Any], None]
) -> Any:
    """A bare connection, not yet connected, to a place that was found.

    `on_connect` replaces redis-py's handshake.
    """
    return _connection(server, place, {"protocol": 3, "redis_connect_func": on_connect})


def ping(server: RedisURL) -> None:
    """See whether it answers, and lets us in. Raises our errors. (A client would load more.)"""
    with translated(server):
        connection = _connection(server, find(server, ""), {"protocol": 2})
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()


def _connection(server: RedisURL, place: Endpoint | None, more: Mapping[str, Any]) -> Any:
    options = {**server.options, "command_packer": PACKER, **HASTY, **more}
    if place is None:
        return connection_with(options)
    connection = connection_with({**options, "host": place.host, "port": place.port})
    connection.addresses = place.addresses
    return connection


def _node(server: RedisURL, key: str) -> tuple[str, int]:
    asking = {**server.options, **HASTY, **SENT_ONCE}
    if server.kind == "sentinel":
        primary: tuple[str, int] = _sentinels(server, asking).discover_master(server.primary)
        return primary
    if server.kind == "cluster":
        with _cluster(server, asking) as cluster:
            node = cluster.get_node_from_key(key)
            if node is None:
                raise RedisClusterException(f"no node has the slot of {key}")
            return node.host, node.port
    return server.options.get("host", "localhost"), server.options.get("port", PORTS["single"])


def _protocol(server: RedisURL) -> int:
    """RESP2, which every server knows; RESP3 over TLS, where the client is all redis-py's.

    Over TLS it takes the first bytes of TLS itself for a stray reply, unless it sends a
    command on connecting, as it does for RESP3.
    """
    return 3 if server.tls else 2


def _cluster(server: RedisURL, options: dict[str, Any]) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in server.hosts]
    # whether it can go on without some of its slots is the Cluster's own affair
    return RedisCluster(
        startup_nodes=nodes, require_full_coverage=False, protocol=_protocol(server), **options
    )


def _sentinels(server: RedisURL, options: dict[str, Any]) -> Any:
    options = {"protocol": _protocol(server), **options}
    asking = {
        key: value
        for key, value in options.items()
        if key.startswith(("socket_", "ssl")) or key in ("protocol", "driver_info", "retry")
    }
    return _Sentinels(  # type: ignore[no-untyped-call]
        server.hosts, sentinel_kwargs={**asking, **server.sentinel_options}, **options
    )


class NoPrimary(ConnectionError):
    """The Sentinels name no primary."""

    unsent = True


class _Sentinels(Sentinel):
    """Says why no primary was found."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        problems: list[Exception] = []
        for place, sentinel in enumerate(self.sentinels):
            try:
                primaries: Any = sentinel.sentinel_masters()
            except AuthenticationError as error:
                raise AuthenticationError(f"a Sentinel said: {error}") from error
            except (ConnectionError, TimeoutError) as error:
                problems.append(error)
                continue
            state = primaries.get(service_name)
            if state and not (state["is_sdown"] or state["is_odown"]):
                self.sentinels.insert(0, self.sentinels.pop(place))
                return state["ip"], state["port"]
        if len(problems) < len(self.sentinels):
            raise NoPrimary(f"its Sentinels know no primary {service_name!r} that is up")
        raise NoPrimary(f"none of its Sentinels answers: {problems[-1]}")
