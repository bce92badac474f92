"""Connections that an application has open when it forks, and so shares with its children.

Two processes that use one connection read each other's answers. Only what can
be mixed up in that way is looked for: a socket that is connected to an address.
Not harmful, and not reported, are

- sockets that listen, and those that send datagrams (syslog, statsd): each message is whole;
- pairs without a name, such as the one with which an asyncio loop wakes itself;
- idle connections of redis-py: its pools notice a fork, and open others;
- what the process was started with, such as standard streams that are a socket.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
from _socket import socket as BareSocket  # gevent puts its own into socket, which does more
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from ..store.redis_py import idle_descriptors
from ..text import printable

log = logging.getLogger("resque_fork")

STANDARD_STREAMS = (0, 1, 2)
MANY = 1024  # descriptors that are tried where the system does not list them
NAMED = 5  # addresses that are named before it becomes a number

# The system's look-up of users keeps a connection to these, and notices a fork.
NOTICES_FORKS = ("/sss/pipes/", "/winbindd/")

# Modules that keep connections, and ours that see to it that they are not shared.
HELP = {
    "django": "--require=resque_fork.contrib.django",
    "sqlalchemy": "resque_fork.contrib.sqlalchemy",
}


class Socket(NamedTuple):
    """A descriptor, and what tells its socket from others that have the same number later."""

    fd: int
    device: int
    inode: int


def open_sockets() -> frozenset[Socket]:
    """All sockets of this process, but for its standard streams and copies of them."""
    found = {sock for fd in _descriptors() if (sock := _socket_at(fd))}
    standard = {(s.device, s.inode) for s in found if s.fd in STANDARD_STREAMS}
    return frozenset(s for s in found if (s.device, s.inode) not in standard)


class ConnectionCheck:
    """Finds what a fork would share, and each connection only once.

    `known` are sockets that are not the application's: those that were open
    before it was loaded.
    """

    def __init__(self, known: Collection[Socket] = ()) -> None:
        self._known = set(known)

    def peers(self, ours: Collection[int] = ()) -> list[str]:
        """The addresses at the other ends; `ours` are descriptors of the worker's."""
        new = open_sockets() - self._known
        self._known |= new
        found = {s.fd: peer for s in sorted(new) if s.fd not in ours and (peer := _peer(s.fd))}
        idle = idle_descriptors() if found else ()  # this takes long
        return [peer for fd, peer in found.items() if fd not in idle]

    def warn_worker(self, ours: Collection[int]) -> None:
        """For a worker that is about to fork children."""
        if peers := self.peers(ours):
            log.warning("%s", shared_by_children(peers))

    def warn_supervisor(self) -> None:
        """For a supervisor that is about to fork workers."""
        if peers := self.peers():
            log.warning(
                "The application has connections open that all workers and their children would "
                "share: %s. Close them at the end of its import (before_first_fork is too late: it "
                "runs in each worker), and open others in after_fork or in the job.%s",
                _listed(peers),
                _help(),
            )


def shared_by_children(peers: Collection[str]) -> str:
    """What is wrong with connections to these addresses, and what to do."""
    return (
        f"The application has connections open that all children would share: {_listed(peers)}. "
        "Close them in before_first_fork, and open others in after_fork or in the job."
        f"{_help()}"
    )


def _listed(peers: Collection[str]) -> str:
    """``10.0.0.7:5432 (3 of them), /run/mysqld.sock and 2 other addresses``"""
    counts = Counter(peers)
    named = [
        peer if count == 1 else f"{peer} ({count} of them)"
        for peer, count in list(counts.items())[:NAMED]
    ]
    others = len(counts) - len(named)
    return ", ".join(named) + (f" and {others} more" if others else "")


def _help() -> str:
    """Which of our modules do it, of those that the application could use and does not."""
    names = [
        ours
        for theirs, ours in HELP.items()
        if theirs in sys.modules and ours.removeprefix("--require=") not in sys.modules
    ]
    return f" For what uses it there is {' and '.join(names)}." if names else ""


def _descriptors() -> Iterator[int]:
    try:
        return map(int, os.listdir("/dev/fd"))
    except OSError:  # there is no /proc
        return iter(range(MANY))


def _socket_at(fd: int) -> Socket | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return Socket(fd, status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None


def _peer(fd: int) -> str:
    """The address that a socket is connected to; empty if it is not, or need not be told."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)  # with one, the object would make the descriptor non-blocking
    try:
        sock = BareSocket(fileno=fd)
    except OSError:
        return ""
    finally:
        socket.setdefaulttimeout(timeout)
    try:
        datagrams = sock.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
        return "" if datagrams else _shown(sock.family, sock.getpeername())
    except OSError:  # it listens, or its peer has gone
        return ""
    finally:
        sock.detach()


def _shown(family: int, address: object) -> str:
    if family == socket.AF_UNIX:
        return _path(address)
    if isinstance(address, tuple) and family in (socket.AF_INET, socket.AF_INET6):
        host, port = address[:2]
        return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    return printable(f"{address}")


def _path(address: object) -> str:
    """As ``ss`` shows it: a name that is in no directory begins with an @."""
    path = os.fsdecode(address) if isinstance(address, str | bytes) else ""
    if any(part in path for part in NOTICES_FORKS):
        return ""
    return printable(f"@{path[1:]}" if path.startswith("\0") else path)
