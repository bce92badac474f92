"""Where the Redis of a redis-py client is, as a URL: a Resque makes connections of its own to it.

The client itself is not used. Its replies may be decoded, and it may repeat commands, by which a
job would be queued twice.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from redis import Redis, RedisCluster
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from ..errors import SettingsError
from ..text import a_or_an
from .options import OPTIONS

RedisClient = Redis | RedisCluster

# Other classes may connect to something else, or in another way.
PLAIN = (Connection, UnixDomainSocketConnection, SentinelManagedConnection)
TLS = (SSLConnection, SentinelManagedSSLConnection)

# What a client has to connect or log in with that no URL can say.
UNSAYABLE = (
    "credential_provider",
    "redis_connect_func",
    "ssl_ocsp_context",
    "ssl_ocsp_expected_cert",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
)

# Where they stand in a URL is another place than its options.
IN_FRONT = ("db", "username", "password")


def url_of_client(client: object) -> str:
    """The URL of its server, Sentinels or Cluster, with its login, its timeouts and its TLS.

    Raises SettingsError for what is no such client, or has something that no URL can say.
    """
    if isinstance(client, RedisCluster):
        return _of_cluster(client)
    if not isinstance(client, Redis):
        name = f"{type(client).__module__}.{type(client).__qualname__}"
        raise SettingsError(
            "Give Resque a URL, or a client of redis-py, which is a redis.Redis or a "
            f"redis.RedisCluster, not {a_or_an(name)}."
        )
    pool = client.connection_pool
    options = pool.connection_kwargs
    _refuse_unsayable(options)
    if pool.connection_class not in PLAIN + TLS:
        raise _cannot_take_over(f"connections of the class {pool.connection_class.__name__}")
    tls = pool.connection_class in TLS
    if isinstance(pool, SentinelConnectionPool):
        return _of_sentinels(pool, tls)
    if pool.connection_class is UnixDomainSocketConnection:
        return _url("unix", options, [], quote(options["path"]))
    place = (options.get("host", "localhost"), options.get("port", 6379))
    return _url("rediss" if tls else "redis", options, [place], f"/{options.get('db') or 0}")


def _of_cluster(client: RedisCluster) -> str:
    options = client.get_connection_kwargs()
    own_function = client.user_on_connect_func
    _refuse_unsayable({**options, "redis_connect_func": own_function})
    if client.nodes_manager.address_remap:
        raise _cannot_take_over("the option address_remap")
    tls = options.get("ssl") or options.get("connection_class") in TLS
    nodes = [(node.host, node.port) for node in client.get_nodes()]
    return _url("rediss+cluster" if tls else "redis+cluster", options, nodes)


def _of_sentinels(pool: SentinelConnectionPool, tls: bool) -> str:
    manager = pool.sentinel_manager
    of_sentinels = manager.sentinel_kwargs
    if not pool.is_master:
        raise SettingsError(
            "The redis-py client that was given to Resque is one of slave_for, and nothing can be "
            "written to a replica: give Resque the client of master_for."
        )
    _refuse_unsayable(of_sentinels)
    if tls != bool(of_sentinels.get("ssl")):
        raise _cannot_take_over("TLS to the primary or to the Sentinels, and not to both")
    asked = [client.connection_pool.connection_kwargs for client in manager.sentinels]
    places = [(one.get("host", "localhost"), one.get("port", 26379)) for one in asked]
    options = pool.connection_kwargs
    path = f"/{quote(pool.service_name, safe='')}/{options.get('db') or 0}"
    scheme = "rediss+sentinel" if tls else "redis+sentinel"
    return _url(scheme, options, places, path, sentinel=of_sentinels)


def _refuse_unsayable(options: Mapping[str, Any]) -> None:
    for name in UNSAYABLE:
        if options.get(name):
            raise _cannot_take_over(f"the option {name}")


def _cannot_take_over(what: str) -> SettingsError:
    return SettingsError(
        f"The redis-py client that was given to Resque has {what}, which resque-fork cannot take "
        "over for its own connections: give Resque a URL instead."
    )


def _url(
    scheme: str,
    options: Mapping[str, Any],
    places: Iterable[tuple[str, int]],
    path: str = "",
    sentinel: Mapping[str, Any] | None = None,
) -> str:
    username, password = (
        quote(_text(options.get(name) or ""), safe="") for name in ("username", "password")
    )
    login = f"{username}:{password}@" if username or password else ""
    hosts = ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places
    )
    tls = scheme.startswith("rediss")
    query = {name: value for name, value in _query(options, tls) if name not in IN_FRONT}
    query |= {f"sentinel_{name}": value for name, value in _query(sentinel or {}, tls)}
    if scheme == "unix" and options.get("db"):
        query["db"] = str(options["db"])
    return f"{scheme}://{login}{hosts}{path}" + (f"?{urlencode(query)}" if query else "")


def _query(options: Mapping[str, Any], tls: bool) -> Iterable[tuple[str, str]]:
    """Those of the options that have an effect, as text."""
    for name in OPTIONS:
        if name not in options or name == "max_connections" or (name[:3] == "ssl" and not tls):
            continue
        if name == "ssl_cert_reqs":
            yield name, _cert_reqs(options[name])
        elif options[name] is not None:
            yield name, _text(options[name])


def _cert_reqs(value: Any) -> str:
    """As text: redis-py takes also what the module ssl has, and None."""
    if isinstance(value, str):
        return value
    return ssl.VerifyMode(value or ssl.CERT_NONE).name.removeprefix("CERT_").lower()


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, ssl.TLSVersion):
        return str(int(value))
    if isinstance(value, list | tuple | set):  # of ssl.VerifyFlags
        return ",".join(flag.name for flag in value)
    return str(value)
