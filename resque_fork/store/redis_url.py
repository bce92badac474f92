"""Where Redis is, and how to connect to it: what one URL says."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from ..errors import SettingsError
from .addresses import is_address
from .masking import without_secrets
from .options import as_seconds, check_tls, read_options

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0  # a worker, and the command line, wait this long for a reply
CLIENT_SECONDS = 3.0  # an application that enqueues waits this long, unless it says otherwise
PUSHED_A_SECOND = 1_000_000  # bytes: a large push is given more time

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


class RedisURL:
    """One Redis, behind a URL of any of the forms in `SCHEMES`. Connects to nothing by itself.

    Raises SettingsError if the URL cannot be understood.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme = url.partition("://")[0] if "://" in url else ""
        if scheme not in SCHEMES:
            known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise SettingsError(f"The Redis URL {without_secrets(url)!r} must begin with {known}.")
        self.scheme = scheme
        self.kind = SCHEMES[scheme]
        self.options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "encoding_errors": "surrogateescape",
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
        self.sentinel_options = {
            name.removeprefix("sentinel_"): given.pop(name) for name in of_sentinels
        }
        self._own_timeout: float | None = given.get("socket_timeout")
        self.options |= given
        if self.tls:
            self.options["ssl"] = True
        if self.kind == "single":
            self._read_host(url)
        else:
            self._read_hosts(url)
        check_tls(self.options)

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

    @property
    def is_to_be_found(self) -> bool:
        """Whether somebody has to be asked where it is: a name server, a Sentinel, a Cluster."""
        host = self.options.get("host", "localhost")
        return self.kind != "single" or not (host == "localhost" or is_address(host))

    def _read_host(self, url: str) -> None:
        parts = urlsplit(url.partition("#")[0].partition("?")[0])
        self._read_login(parts.username, parts.password)
        if self.scheme == "unix":
            self.options["path"] = unquote(parts.path)
            return
        database = _database(parts.path.strip("/"))
        self.options.setdefault("db", database)
        if parts.hostname:
            self.options["host"] = unquote(parts.hostname)
        if parts.port:
            self.options["port"] = parts.port

    def _read_login(self, username: str | None, password: str | None) -> None:
        if username:
            self.options["username"] = unquote(username)
        if password:
            self.options["password"] = unquote(password)

    def _read_hosts(self, url: str) -> None:
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        default = PORTS[self.kind]
        self.hosts = [_host_and_port(host, default) for host in hosts.split(",") if host]
        if not self.hosts:
            raise ValueError("it names no host")
        username, _, password = login.partition(":")
        self._read_login(username, password)
        path = [part for part in parts.path.split("/") if part]
        if self.kind == "sentinel":
            if not path:
                raise ValueError(
                    "it names no primary, as in redis+sentinel://host:26379/mymaster/0"
                )
            self.primary = unquote(path.pop(0))
            self.options["db"] = _database(path[0] if path else str(self.options.get("db", "")))
        elif _database(path[0] if path else str(self.options.pop("db", ""))):
            raise ValueError("a Cluster has one database, 0")


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
