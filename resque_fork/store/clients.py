"""The connections of clients: what is done on them can be given a time by which it is over.

redis-py's own limits are for each wait alone, so a server that sends a byte now and then would
hold up its caller for ever.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from redis import exceptions
from redis.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.sentinel import SentinelManagedConnection

from .connections import OtherProtocol, TLSConnection
from .refusals import code_of, was_said

INSTANT = 0.001  # seconds: what is left of a time that is over, where 0 would mean something else


class Deadline(threading.local):
    """When a thread has to be done with what it does on the connections of one client."""

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
        """As long as that, or as long as there is time."""
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
        """Sends all of it, or leaves it to reading to tell why it cannot be sent.

        A server that hangs up may have said why, and that is there to be read.
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
    """What all of them have in common. An error says in ``unsent`` that no command had left yet."""

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
        """Log in; and have the server say something before a command that matters is sent.

        A server that is full of clients says so and hangs up, whatever it is asked. (TLS has
        something to say at first too, which redis-py would take for a stray reply.)
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
