"""Where Redis is: one URL, and the clients and connections that it gives."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
import redis.exceptions
from redis._parsers import Encoder
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import PythonRespSerializer, SSLConnection, parse_url
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from ..errors import AccessRefused, RedisUnavailable, ResqueError, SettingsError, WrongKeyType
from .connections import Place, connection_with, encoded, is_address
from .refusals import is_of_acl

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0  # a client waits this long for a reply

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
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in SCHEMES:
            known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise SettingsError(f"The Redis URL {without_secrets(url)!r} must begin with {known}.")
        self.kind = SCHEMES[scheme]
        self._sentinel_options: dict[str, Any] = {}
        self._options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "encoding_errors": "surrogateescape",
            "command_packer": PACKER,
            "driver_info": None,
        }
        try:
            if self.kind == "single":
                self._options |= parse_url(url)
                if scheme != "unix":
                    _database(urlsplit(url).path.strip("/"))
            else:
                self._read_hosts(url)
            self._check_options()
        except ValueError as error:
            raise SettingsError(
                f"The Redis URL {without_secrets(url)!r} cannot be understood: "
                f"{_why_not_understood(url, error)}."
            ) from None

    def __str__(self) -> str:
        return without_secrets(self.url)

    def check_namespace(self, namespace: str) -> None:
        """Raises SettingsError if a Cluster would keep the keys of a namespace on several nodes."""
        if self.kind == "cluster" and not re.match(r"[^{]*\{[^}]+\}", namespace):
            raise SettingsError(
                f"A Redis Cluster would spread the keys of the namespace {namespace!r} over its "
                "nodes: use a namespace in braces, such as {resque}."
            )

    def client(self) -> Any:
        """A redis-py client for applications: pooled, safe for threads and forks.

        It never repeats a command by itself: a repeated push queues a job twice.
        That of a Cluster connects at once, and may raise REDIS_ERRORS.
        """
        options = {**self._protocol(), **self._options, "retry": NO_RETRY}
        if self.kind == "sentinel":
            return self._sentinels(options).master_for(self._primary)
        if self.kind == "cluster":
            return self._cluster(options)
        return redis.Redis.from_pool(redis.ConnectionPool(**options))  # which closes with it

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
        connection = self._connection(self.find(""), self._protocol())
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
        """RESP2, which every server knows and which costs no round trip; RESP3 over TLS.

        There redis-py takes what TLS itself sends first for a stray reply, unless it has
        something to ask for on connecting.
        """
        tls = self._options.get("ssl") or self._options.get("connection_class") is SSLConnection
        return {"protocol": 3 if tls else 2}

    def _check_options(self) -> None:
        """What is wrong with an option would else be found out when first connecting."""
        for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
            if name in self._options and not os.path.exists(self._options[name]):
                raise ValueError(f"there is no file {self._options[name]}")
        for options in (self._options, {**self._sentinel_options, "driver_info": None}):
            try:
                connection_with(options)
            except TypeError as error:
                unknown = re.search("unexpected keyword argument '(.+)'", str(error))
                if unknown is None:
                    raise
                raise ValueError(f"there is no option {unknown[1]}") from None

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
        query = dict(parse_qsl(parts.query))
        self._sentinel_options = {
            name.removeprefix("sentinel_"): query.pop(name)
            for name in list(query)
            if name.startswith("sentinel_")
        }
        self._options |= parse_url("redis://?" + urlencode(query))
        if parts.scheme.startswith("rediss"):
            self._options["ssl"] = True
        path = [part for part in parts.path.split("/") if part]
        if self.kind == "sentinel":
            if not path:
                raise ValueError(
                    "it names no primary, as in redis+sentinel://host:26379/mymaster/0"
                )
            self._primary = unquote(path.pop(0))
            self._options["db"] = _database(path[0] if path else "")

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
        raise ValueError(f"a database has a number, and {text!r} is none")
    return int(text or 0)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is not a host")
    return parts.hostname, parts.port or default


def without_secrets(url: str) -> str:
    """The URL with every password replaced, as it may be shown, also if it is none.

    A password that is not encoded may hold anything: all up to the last @ is taken for it.
    """
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    login, at, place = rest.rpartition("@")
    if ":" in login:
        login = login.partition(":")[0] + ":***"
    place = re.sub(r"([?&][^=&]*password[^=&]*=)[^&]*", r"\1***", place)
    return scheme + separator + login + at + place


def _why_not_understood(url: str, error: ValueError) -> str:
    """What Python says may quote a part of the password."""
    login = url.partition("://")[2].rpartition("@")[0]
    if ":" in login and re.search(r"[/?#\[\]]", login):
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
            "that signed it with ?ssl_ca_certs=FILE in the URL."
        )
    if isinstance(
        error, (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
    ):
        return RedisUnavailable(f"Redis at {server} does not answer ({text}).")
    return ResqueError(f"Redis at {server} said: {text}.")


def _of_a_cluster(error: Exception, server: Server) -> ResqueError:
    """redis-py wraps what happened to the last node that it asked."""
    cause = error.__cause__
    if isinstance(cause, Exception):
        return in_our_words(cause, server)
    if "not enabled" in str(error):
        return SettingsError(f"Redis at {server} is no cluster: name it with a redis:// URL.")
    return RedisUnavailable(f"The Redis Cluster at {server} does not answer ({error}).")


def _is_from_a_cluster(error: Exception) -> bool:
    return isinstance(error, redis.exceptions.AskError | redis.exceptions.ClusterCrossSlotError)


def never_sent(error: Exception) -> bool:
    """Whether the error came before the command could leave."""
    if isinstance(error, RedisClusterException):  # it may come of looking for a node anew
        return False
    return isinstance(error, NoPrimary) or "connecting to" in str(error)
