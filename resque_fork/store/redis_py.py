"""What resque-fork needs of redis-py beside its public face: connections that it can trust.

A client's connections keep to a deadline. A worker's go to an address that was looked up before;
`worker_connection` reads from them. No other module uses a private name of redis-py.
"""

from __future__ import annotations

import contextlib
import gc
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from redis import exceptions
from redis._parsers import Encoder, _RESP2Parser, _RESP3Parser
from redis.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    PythonRespSerializer,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.sentinel import SentinelManagedConnection

from .addresses import encoded
from .refusals import OtherProtocol, code_of, was_said

INSTANT = 0.001  # seconds that are left after a deadline; 0 would mean: without blocking

# hiredis has a packer of its own, which refuses names that are not UTF-8
PACKER = PythonRespSerializer(6000, Encoder("utf-8", "surrogateescape", False).encode)


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
    """Whether the error of a handshake shows that the other side speaks TLS."""
    if not isinstance(error, ssl.SSLError):
        return not isinstance(error, TimeoutError | ConnectionResetError | BrokenPipeError)
    reason = error.reason or ""
    return "ALERT" in reason or "CERTIFICATE" in reason or "CIPHER" in reason


# --- of clients: redis-py limits each wait by itself, so a server that sends a byte now and then
# could hold up a caller for ever


class Deadline(threading.local):
    """Until when a thread may use the connections of one client."""

    def __init__(self) -> None:
        self._at = math.inf

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        self._at = time.monotonic() + seconds
        try:
            yield
        finally:
            self._at = math.inf

    @property
    def is_over(self) -> bool:
        return self._at <= time.monotonic()

    def limit(self, seconds: float | None) -> float | None:
        """That many seconds, or those that are left if they are fewer."""
        if self._at == math.inf or seconds == 0:
            return seconds
        left = max(self._at - time.monotonic(), INSTANT)
        return left if seconds is None else min(left, seconds)


class _TimedSocket:
    """A socket on which no wait goes beyond the deadline."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._timeout: float | None = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def recv(self, *how: Any) -> bytes:
        self._hurry()
        received: bytes = self._sock.recv(*how)
        return received

    def recv_into(self, *how: Any) -> int:
        self._hurry()
        return int(self._sock.recv_into(*how))

    def sendall(self, data: bytes) -> None:
        """Sends all of it. A broken connection raises only when it is read from.

        A server that hangs up may have said why, and reading shows that.
        """
        unsent = memoryview(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while unsent:
                self._hurry()
                unsent = unsent[self._sock.send(unsent) :]

    def _hurry(self) -> None:
        if self._timeout != 0 and self._deadline.is_over:
            raise TimeoutError("timed out")
        self._sock.settimeout(self._deadline.limit(self._timeout))


class _Timed(AbstractConnection):
    """What they have in common. An error has ``unsent`` if no command had been sent yet."""

    def __init__(self, *, deadline: Deadline, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(**options)

    @property
    def socket_connect_timeout(self) -> float | None:
        return self._deadline.limit(self._socket_connect_timeout)

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, value: float | None) -> None:
        self._socket_connect_timeout = value

    def connect(self) -> None:
        with _nothing_sent():
            super().connect()  # type: ignore[no-untyped-call]

    def check_health(self) -> None:
        with _nothing_sent():
            super().check_health()  # type: ignore[no-untyped-call]

    def read_response(self, *how: Any, **more: Any) -> Any:
        try:
            return super().read_response(*how, **more)
        except ValueError as error:  # of redis-py's parser, about what is no reply
            self.disconnect()  # type: ignore[no-untyped-call]
            raise exceptions.InvalidResponse(str(error)) from error

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and get a reply before the first command that matters is sent.

        A server with too many clients says so and hangs up, whatever the command is. (TLS too
        sends something first, which redis-py would take for a stray reply.)
        """
        try:
            super().on_connect_check_health(check_health)
            if not (self.username or self.password or self.client_name or self.db):
                self._ask()
        except exceptions.TimeoutError:
            raise
        except (exceptions.ConnectionError, exceptions.InvalidResponse) as error:
            if was_said(error) or isinstance(self, TLSConnection | UnixDomainSocketConnection):
                raise
            raise OtherProtocol(f"no reply: {error}") from error

    def _ask(self) -> None:
        self.send_command("PING", check_health=False)  # type: ignore[no-untyped-call]
        try:
            self.read_response()
        except exceptions.ResponseError as error:
            if code_of(error) == "DENIED":  # it hangs up; others may forbid a PING and nothing else
                raise

    def _connect(self) -> Any:
        sock = super()._connect()  # type: ignore[no-untyped-call, safe-super]
        return _TimedSocket(sock, self._deadline)


@contextlib.contextmanager
def _nothing_sent() -> Iterator[None]:
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        error.unsent = True  # type: ignore[union-attr]
        raise


class _ByTCP(_Timed, Connection): ...


class _ByTLS(_Timed, TLSConnection): ...


class _BySocket(_Timed, UnixDomainSocketConnection): ...


class _ToPrimary(_Timed, SentinelManagedConnection): ...


class _ToPrimaryByTLS(_Timed, SentinelManagedConnection, TLSConnection): ...


def client_connection(kind: str, tls: bool) -> type[_Timed]:
    """The class of connections for a client of ``unix``, ``sentinel`` or any other kind."""
    if kind == "unix":
        return _BySocket
    if kind == "sentinel":
        return _ToPrimaryByTLS if tls else _ToPrimary
    return _ByTLS if tls else _ByTCP


# --- of workers


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
    """The handshake follows, and checks the certificate against the name."""


def connection_with(options: Mapping[str, Any]) -> Any:
    """One connection, from the options of a pool."""
    of_one = {name: value for name, value in options.items() if name != "max_connections"}
    tls = of_one.pop("ssl", False)
    kind: Any = _ToAddressByTLS if tls else _ToAddress
    if "path" in of_one:
        kind = UnixDomainSocketConnection
    return kind(**of_one)


# --- what a worker does on its connection by itself


def start_parser(connection: Any) -> None:
    """Let a new connection parse what comes in."""
    connection._parser.on_connect(connection)


def speak_resp2(connection: Any) -> None:
    connection.protocol = 2
    if isinstance(connection._parser, _RESP3Parser):  # hiredis reads both
        connection.set_parser(_RESP2Parser)
        start_parser(connection)


def on_invalidation(connection: Any, read_as: Callable[[list[Any]], object]) -> None:
    """Have messages of client tracking read as what `read_as` makes of them."""
    connection._parser.set_invalidation_push_handler(read_as)


def socket_of(connection: Any) -> Any:
    return connection._sock


def idle_descriptors() -> set[int]:
    """The descriptors of idle connections in all redis-py pools of this process.

    Looks at every object that there is.
    """
    # not isinstance: it would create what is lazy, and remember every class
    pools = [thing for thing in gc.get_objects() if ConnectionPool in type(thing).__mro__]
    idle = [connection for pool in pools for connection in pool._get_free_connections()]
    return {c._sock.fileno() for c in idle if getattr(c, "_sock", None) is not None}
