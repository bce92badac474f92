"""What counts as a connection that a fork would share, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from redis import Redis

from resque_fork import Resque
from resque_fork.embedded import Server
from resque_fork.worker.sockets import ConnectionCheck, _shown, open_sockets, shared_by_children


@pytest.fixture
def check() -> ConnectionCheck:
    """Knows all that is open before the test."""
    return ConnectionCheck(known=open_sockets())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def test_a_connection_is_named_once(check: ConnectionCheck, listener: socket.socket) -> None:
    """By the address of its peer, and only the first time; another one is another."""
    with socket.create_connection(listener.getsockname()):
        assert check.peers() == [address_of(listener)]
        assert check.peers() == []
        with socket.create_connection(listener.getsockname()):
            assert check.peers() == [address_of(listener)]


def test_what_was_closed_is_not_named(check: ConnectionCheck, listener: socket.socket) -> None:
    """Nor is a connection taken for a former one because it has the same number."""
    first = socket.create_connection(listener.getsockname())
    number = first.fileno()
    assert check.peers() == [address_of(listener)]
    first.close()
    assert check.peers() == []
    with socket.create_connection(listener.getsockname()) as second:
        assert second.fileno() == number
        assert check.peers() == [address_of(listener)]


def test_ours_are_left_out(check: ConnectionCheck, listener: socket.socket) -> None:
    """What the worker itself has open is no matter of the application's."""
    with socket.create_connection(listener.getsockname()) as ours:
        assert check.peers(ours=[ours.fileno()]) == []


def test_unix_sockets(check: ConnectionCheck, tmp_path: Path) -> None:
    """They are named by their path, escaped where it would disturb a terminal."""
    path = str(tmp_path / "a\x1bb")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        assert check.peers() == [str(tmp_path / "a\\x1bb")]


def test_abstract_unix_sockets(check: ConnectionCheck) -> None:
    """A name that is in no directory begins with an @."""
    name = f"\0resque-fork-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(name)
        listener.listen()
        client.connect(name)
        assert check.peers() == [f"@resque-fork-{os.getpid()}"]


@pytest.mark.parametrize(
    ("family", "address", "shown"),
    [
        (socket.AF_INET, ("10.0.0.7", 5432), "10.0.0.7:5432"),
        (socket.AF_INET6, ("::1", 5432, 0, 0), "[::1]:5432"),
        (socket.AF_INET6, ("fe80::1%eth0", 5432, 0, 2), "[fe80::1%eth0]:5432"),
        (socket.AF_UNIX, "/run/postgresql/.s.PGSQL.5432", "/run/postgresql/.s.PGSQL.5432"),
        (socket.AF_UNIX, b"\0bus", "@bus"),
        (socket.AF_UNIX, b"", ""),
        (socket.AF_UNIX, "/var/lib/sss/pipes/nss", ""),
        (socket.AF_UNIX, "/run/samba/winbindd/pipe", ""),
        (40, (2, 1024), "(2, 1024)"),
    ],
)
def test_addresses(family: int, address: object, shown: str) -> None:
    """As tools show them; none for the system's look-up of users, which notices forks."""
    assert _shown(family, address) == shown


def test_tls(check: ConnectionCheck, listener: socket.socket) -> None:
    """A connection is one also under TLS."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with socket.create_connection(listener.getsockname()) as bare:
        tls = context.wrap_socket(bare, server_hostname="here", do_handshake_on_connect=False)
        with tls:
            assert check.peers() == [address_of(listener)]


def test_what_is_harmless(check: ConnectionCheck, tmp_path: Path) -> None:
    """Listeners, datagrams, pairs, and what is not connected."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        syslog = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        syslog.bind(str(tmp_path / "syslog"))
        logger = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        logger.connect(str(tmp_path / "syslog"))
        statsd = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        statsd.connect(("127.0.0.1", 8125))
        stack.enter_context(socket.socket())
        for one in socket.socketpair():
            stack.enter_context(one)
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        assert check.peers() == []


def test_pools_of_redis_notice_a_fork(check: ConnectionCheck, server: Server) -> None:
    """Idle connections of redis-py's pools are harmless, of the application's Resque too."""
    client, resque = Redis.from_url(server.url), Resque(server.url)
    try:
        client.ping()
        resque.enqueue_to("q", "Job")
        assert check.peers() == []
    finally:
        client.close()
        resque.close()


def test_what_a_client_of_redis_holds_is_shared(check: ConnectionCheck, server: Server) -> None:
    """A subscription or a client of a single connection keeps it in hand, and notices nothing."""
    path = server.url.removeprefix("unix://").partition("?")[0]
    with Redis.from_url(server.url, single_connection_client=True) as client:
        client.ping()
        assert check.peers() == [path]
    with Redis.from_url(server.url) as client, client.pubsub() as subscription:
        subscription.subscribe("news")
        assert check.peers() == [path]


def test_looking_changes_nothing(check: ConnectionCheck, listener: socket.socket) -> None:
    """A default timeout of the application's does not make a blocking descriptor another."""
    with socket.create_connection(listener.getsockname()) as client:
        descriptors = set(os.listdir("/dev/fd"))
        socket.setdefaulttimeout(5.0)
        try:
            assert check.peers() == [address_of(listener)]
            assert socket.getdefaulttimeout() == 5.0
        finally:
            socket.setdefaulttimeout(None)
        assert os.get_blocking(client.fileno())
        assert set(os.listdir("/dev/fd")) == descriptors
        client.sendall(b"still open")


def test_a_library_that_replaces_sockets_is_not_asked(
    check: ConnectionCheck, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object of gevent's would make the descriptor non-blocking, and hang it on its loop."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket of gevent's was made")

    with socket.create_connection(listener.getsockname()):
        monkeypatch.setattr(socket, "socket", refuse)
        assert check.peers() == [address_of(listener)]
        monkeypatch.undo()


def test_standard_streams_and_their_copies(check: ConnectionCheck, tmp_path: Path) -> None:
    """Under systemd stdout is a connection to the journal: no business of the application's."""
    journal = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as stream:
        listener.bind(journal)
        listener.listen()
        stream.connect(journal)
        saved = os.dup(0)
        try:
            os.dup2(stream.fileno(), 0)
            assert check.peers() == []
        finally:
            os.dup2(saved, 0)
            os.close(saved)
        assert check.peers() == [journal]


def test_without_a_list_of_descriptors(
    check: ConnectionCheck, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no /proc descriptors are tried one after the other."""

    def refuse(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with socket.create_connection(listener.getsockname()):
        assert check.peers() == [address_of(listener)]


def test_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the addresses, few of many, and what helps the application."""
    for name in ("django", "sqlalchemy", "resque_fork.contrib.sqlalchemy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    remedy = "Close them in before_first_fork, and open others in after_fork or in the job."
    begin = "The application has connections open that all children would share:"
    assert shared_by_children(["a:1"]) == f"{begin} a:1. {remedy}"
    assert shared_by_children(["a:1", "b:2", "a:1"]) == f"{begin} a:1 (2 of them), b:2. {remedy}"
    many = [f"a:{port}" for port in range(1, 9)]
    assert shared_by_children(many) == f"{begin} a:1, a:2, a:3, a:4, a:5 and 3 more. {remedy}"
    monkeypatch.setitem(sys.modules, "sqlalchemy", sys)
    helped = shared_by_children(["a:1"])
    assert helped.endswith("For what uses it there is resque_fork.contrib.sqlalchemy.")
    monkeypatch.setitem(sys.modules, "resque_fork.contrib.sqlalchemy", sys)
    assert shared_by_children(["a:1"]).endswith(remedy)
    monkeypatch.setitem(sys.modules, "django", sys)
    helped = shared_by_children(["a:1"])
    assert helped.endswith("For what uses it there is --require=resque_fork.contrib.django.")


def test_the_warnings(
    check: ConnectionCheck, listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker warns of its children, a supervisor of its workers; none of nothing."""
    with caplog.at_level(logging.WARNING, "resque_fork"):
        check.warn_worker([])
        check.warn_supervisor()
        assert caplog.messages == []
        with socket.create_connection(listener.getsockname()):
            check.warn_worker([])
        with socket.create_connection(listener.getsockname()):
            check.warn_supervisor()
    worker, supervisor = caplog.messages
    assert worker.startswith(
        "The application has connections open that all children would share: "
        f"{address_of(listener)}. Close them in before_first_fork, and open others in after_fork"
    )
    assert supervisor.startswith(
        "The application has connections open that all workers and their children would share: "
        f"{address_of(listener)}. Close them at the end of its import (before_first_fork is too "
        "late: it runs in each worker), and open others in after_fork or in the job."
    )
