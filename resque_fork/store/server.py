"""Where Redis is: one URL, and the clients and connections that it gives."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.exceptions
from redis._parsers import Encoder
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import PythonRespSerializer, parse_url
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from ..errors import AccessRefused, RedisUnavailable, ResqueError, SettingsError, WrongKeyType
from .clients import Deadline, client_connection
from .connections import OtherProtocol, Place, connection_with, encoded, is_address
from .masking import without_secrets
from .options import as_seconds, check_tls, read_options
from .refusals import is_of_acl, was_said

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0  # a worker, and the command line, wait this long for a reply
CLIENT_SECONDS = 3.0  # an application that enqueues waits this long, unless it says otherwise
PUSHED_A_SECOND = 1_000_000  # bytes: a large push is given more time

# The parent must not wait long for anything that blocks: a TLS handshake, an answer of a Sentinel.
HASTY = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": CONNECT_SECONDS}
NO_RETRY = Retry(NoBackoff(), 0)

# What redis-py raises when Redis does; those of a Cluster are none of its RedisErrors.
REDIS_ERRORS = (redis.exceptions.RedisError, RedisClusterException)

# hiredis has a packer of its own, which refuses names that are not UTF-8
PACKER = PythonRespSerializer(6000, Encoder("utf-8", "surrogateescape", False).encode)

SCHEMES = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}


class Server:
    """One Redis, behind a URL of any of the forms in `SCHEMES`. Connects to nothing by itself.

    Raises SettingsError if the URL cannot be understood.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._deadline = Deadline()
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in SCHEMES:
            known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise SettingsError(f"The Redis URL {without_secrets(url)!r} must begin with {known}.")
        self.scheme = scheme
        self.kind = SCHEMES[scheme]
        self._options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "encoding_errors": "surrogateescape",
            "command_packer": PACKER,
            "driver_info": None,
        }
        try:
            self._read(url)
        except ValueError as error:
            raise SettingsError(
                f"The Redis URL {without_secrets(url)!r} cannot be understood: "
                f"{_why_not_understood(url, error)}."
            ) from None

    def _read(self, url: str) -> None:
        given = read_options(urlsplit(url).query, self.tls)
        of_sentinels = [name for name in given if name.startswith("sentinel_")]
        self._sentinel_options = {
            name.removeprefix("sentinel_"): given.pop(name) for name in of_sentinels
        }
        self._own_timeout: float | None = given.get("socket_timeout")
        self._options |= given
        if self.kind == "single":
            self._read_host(url, given)
        else:
            self._read_hosts(url)
        check_tls(self._options)

    def __str__(self) -> str:
        return without_secrets(self.url)

    def check_namespace(self, namespace: str) -> None:
        """Raises SettingsError if a Cluster would keep the keys of a namespace on several nodes."""
        if self.kind == "cluster" and not re.match(r"[^{]*\{[^}]+\}", namespace):
            raise SettingsError(
                f"A Redis Cluster would spread the keys of the namespace {namespace!r} over its "
                "nodes: use a namespace in braces, such as {resque}."
            )

    @property
    def tls(self) -> bool:
        return self.scheme.startswith("rediss")

    def timeout(self, seconds: float | None) -> float:
        """How long a client waits: as told, else as the URL says. Raises SettingsError."""
        if seconds is None:
            return self._own_timeout or CLIENT_SECONDS
        try:
            return as_seconds(seconds)
        except ValueError as expected:
            raise SettingsError(f"The timeout is {expected}, not {seconds!r}.") from None

    def client(self, seconds: float | None = None) -> Any:
        """A redis-py client for applications: pooled, safe for threads and forks.

        It waits `seconds` for each reply, and for no connection longer than that. It never
        repeats a command by itself: a repeated push queues a job twice. That of a Cluster
        connects at once, and may raise REDIS_ERRORS.
        """
        seconds = self.timeout(seconds)
        connecting = min(self._options["socket_connect_timeout"], seconds)
        waits = {"socket_timeout": seconds, "socket_connect_timeout": connecting}
        options = {**self._options, **waits, "retry": NO_RETRY}
        if self.kind == "cluster":
            return self._cluster({**self._protocol(), **options})
        kind = "unix" if self.scheme == "unix" else self.kind
        timed = {
            **options,
            "protocol": 2,
            "connection_class": client_connection(kind, self.tls),
            "deadline": self._deadline,
        }
        timed.pop("ssl", None)
        if self.kind == "sentinel":
            asking = {**self._protocol(), **options}
            return self._sentinels(asking).master_for(self._primary, **timed)
        return redis.Redis.from_pool(redis.ConnectionPool(**timed))  # which closes with it

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """What this thread does with a client in this context is over after so many seconds."""
        return self._deadline.within(seconds)

    @property
    def is_to_be_found(self) -> bool:
        """Whether somebody has to be asked where it is: a name server, a Sentinel, a Cluster."""
        host = self._options.get("host", "localhost")
        return self.kind != "single" or not (host == "localhost" or is_address(host))

    def find(self, key: str) -> Place | None:
        """The node that holds `key` now; None for a socket in the file system.

        Blocks where it `is_to_be_found`, for as long as a name server may be
        silent. Raises redis-py's errors.
        """
        if "path" in self._options:
            return None
        host, port = self._node(key)
        try:
            found = socket.getaddrinfo(encoded(host), port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise redis.exceptions.ConnectionError(
                f"Error {error.errno} looking up {host}. {error.strerror}."
            ) from error
        return Place(host, port, tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))

    def connection(self, place: Place | None, on_connect: Callable[[Any], None]) -> Any:
        """A bare connection, not yet connected, to a place that was found.

        `on_connect` replaces redis-py's handshake.
        """
        return self._connection(place, {"protocol": 3, "redis_connect_func": on_connect})

    def ping(self) -> None:
        """See whether it answers, and lets us in. Raises redis-py's errors."""
        connection = self._connection(self.find(""), {"protocol": 2})
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()

    def _connection(self, place: Place | None, more: Mapping[str, Any]) -> Any:
        options = {**self._options, **HASTY, **more}
        if place is not None:
            options |= {"host": place.host, "port": place.port}
        connection = connection_with(options)
        if place is not None:
            connection.addresses = place.addresses
        return connection

    def _node(self, key: str) -> tuple[str, int]:
        asking = {**self._protocol(), **self._options, **HASTY, "retry": NO_RETRY}
        if self.kind == "sentinel":
            primary: tuple[str, int] = self._sentinels(asking).discover_master(self._primary)
            return primary
        if self.kind == "cluster":
            with self._cluster(asking) as cluster:
                node = cluster.get_node_from_key(key)
                if node is None:
                    raise RedisClusterException(f"no node has the slot of {key}")
                return node.host, node.port
        return self._options.get("host", "localhost"), self._options.get("port", PORTS["single"])

    def _protocol(self) -> dict[str, int]:
        """RESP2, which every server knows; RESP3 over TLS, where the client is all redis-py's.

        It takes what TLS itself sends first for a stray reply, unless it has something to ask
        for on connecting.
        """
        return {"protocol": 3 if self.tls else 2}

    def _read_host(self, url: str, given: Mapping[str, Any]) -> None:
        found = parse_url(url.partition("#")[0].partition("?")[0])
        if self.scheme != "unix":
            _database(urlsplit(url).path.strip("/"))
            if "db" in given:
                found["db"] = given["db"]
        self._options |= found

    def _read_hosts(self, url: str) -> None:
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        default = PORTS[self.kind]
        self._hosts = [_host_and_port(host, default) for host in hosts.split(",") if host]
        if not self._hosts:
            raise ValueError("it names no host")
        if login:
            username, _, password = login.partition(":")
            self._options["username"] = unquote(username) or None
            self._options["password"] = unquote(password) or None
        if self.tls:
            self._options["ssl"] = True
        path = [part for part in parts.path.split("/") if part]
        if self.kind == "sentinel":
            if not path:
                raise ValueError(
                    "it names no primary, as in redis+sentinel://host:26379/mymaster/0"
                )
            self._primary = unquote(path.pop(0))
            self._options["db"] = _database(path[0] if path else str(self._options.get("db", "")))
        elif _database(path[0] if path else str(self._options.pop("db", ""))):
            raise ValueError("a Cluster has one database, 0")

    def _sentinels(self, options: dict[str, Any]) -> Any:
        asking = {
            key: value
            for key, value in options.items()
            if key.startswith(("socket_", "ssl")) or key in ("protocol", "driver_info", "retry")
        }
        return _Sentinels(  # type: ignore[no-untyped-call]
            self._hosts, sentinel_kwargs={**asking, **self._sentinel_options}, **options
        )

    def _cluster(self, options: dict[str, Any]) -> RedisCluster:
        nodes = [ClusterNode(host, port) for host, port in self._hosts]
        # whether it can go on without some of its slots is the Cluster's own affair
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)


class NoPrimary(redis.exceptions.ConnectionError):
    """The Sentinels name no primary."""


class _Sentinels(Sentinel):
    """Says why no primary was found."""

    def discover_master(self, service_name: str) -> tuple[str, int]:
        problems: list[Exception] = []
        for place, sentinel in enumerate(self.sentinels):
            try:
                primaries: Any = sentinel.sentinel_masters()
            except redis.exceptions.AuthenticationError as error:
                raise redis.exceptions.AuthenticationError(f"a Sentinel said: {error}") from error
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                problems.append(error)
                continue
            state = primaries.get(service_name)
            if state and not (state["is_sdown"] or state["is_odown"]):
                self.sentinels.insert(0, self.sentinels.pop(place))
                return state["ip"], state["port"]
        if len(problems) < len(self.sentinels):
            raise NoPrimary(f"its Sentinels know no primary {service_name!r} that is up")
        raise NoPrimary(f"none of its Sentinels answers: {problems[-1]}")


def _database(text: str) -> int:
    if text and not text.isdecimal():
        raise ValueError(f"a database is a number, not {text!r}")
    return int(text or 0)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is not a host")
    return parts.hostname, parts.port or default


def _why_not_understood(url: str, error: ValueError) -> str:
    """What Python says may quote a part of the password."""
    login = url.partition("://")[2].rpartition("@")[0]
    if login and re.search(r"[/?#\[\]]", login):
        return "in a password / is written %2F, ? %3F, # %23, [ %5B and ] %5D"
    return str(error)


def in_our_words(error: Exception, server: Server, key: str | None = None) -> ResqueError:
    """A redis-py error as the sentence that its reader can act on."""
    text = str(error).rstrip(".")
    if key is not None and text.startswith("WRONGTYPE"):
        return WrongKeyType(key)
    if isinstance(error, RedisClusterException):
        return _of_a_cluster(error, server)
    if _is_from_a_cluster(error) and server.kind != "cluster":
        return SettingsError(
            f"Redis at {server} is a node of a Redis Cluster: name it with a redis+cluster:// URL, "
            "and use a namespace in braces, such as {resque}."
        )
    if isinstance(error, redis.exceptions.AuthenticationError) or text.startswith(
        ("NOAUTH", "WRONGPASS")
    ):
        return AccessRefused(f"Redis at {server} refused the credentials ({text}).")
    if is_of_acl(error):
        return AccessRefused(f"Redis at {server} does not allow what we need ({text}).")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return AccessRefused(
            f"The certificate of Redis at {server} cannot be trusted ({text}): name the authority "
            "that signed it with ?ssl_ca_certs=FILE in the URL, or trust whoever answers with "
            "?ssl_cert_reqs=none, which encrypts but keeps out nobody who can stand in between."
        )
    if isinstance(error, OtherProtocol) or "WRONG_VERSION_NUMBER" in text:
        return _of_another_protocol(text, server)
    if isinstance(error, redis.exceptions.InvalidResponse):
        return RedisUnavailable(f"Redis at {server} sent something that is not a reply ({text}).")
    if was_said(error) and isinstance(error, redis.exceptions.ConnectionError):
        return RedisUnavailable(f"Redis at {server} said: {text}.")
    if isinstance(
        error, (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
    ):
        return RedisUnavailable(f"Redis at {server} does not answer ({text}).")
    return ResqueError(f"Redis at {server} said: {text}.")


def _of_another_protocol(text: str, server: Server) -> RedisUnavailable:
    if server.tls:
        other, which = server.scheme.replace("rediss", "redis", 1), "If it is not"
    else:
        other, which = server.scheme.replace("redis", "rediss", 1), "If it is"
    return RedisUnavailable(
        f"Redis at {server} cannot be used ({text}): is that port TLS? "
        f"{which}, the URL begins with {other}://."
    )


def _of_a_cluster(error: Exception, server: Server) -> ResqueError:
    """redis-py wraps what happened to the last node that it asked."""
    cause = error.__cause__
    if isinstance(cause, Exception):
        return in_our_words(cause, server)
    if "not enabled" in str(error):
        return SettingsError(f"Redis at {server} is not a cluster: use a redis:// URL.")
    return RedisUnavailable(f"The Redis Cluster at {server} does not answer ({error}).")


def _is_from_a_cluster(error: Exception) -> bool:
    return isinstance(error, redis.exceptions.AskError | redis.exceptions.ClusterCrossSlotError)


def never_sent(error: Exception) -> bool:
    """Whether the error came before the command could leave."""
    if isinstance(error, RedisClusterException):  # it may come of looking for a node anew
        return False
    return (
        getattr(error, "unsent", False)
        or isinstance(error, NoPrimary | redis.exceptions.MaxConnectionsError)
        or "connecting to" in str(error)
        or str(error) in ("Connection has data", "Connection not ready")  # of a pool
    )
