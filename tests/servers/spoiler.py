"""A proxy that knows where one command ends and the next begins, and spoils one of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable

from resque_fork.store.scripts import script

CRLF = b"\r\n"
NAMES = (
    *("access", "describe", "find", "heartbeat", "rescue", "restore", "step", "unregister"),
    *("clock", "declare_schedules", "move_delayed", "release", "schedules", "tick"),
    *("look", "mark_queues", "add_up", "note_status"),
)
SCRIPTS = {script(name).sha: name for name in NAMES}

# What is done to a command.
PASS = "pass"
CUT_BEFORE = "cut before"  # it never arrives, and the connection is gone
CUT_AFTER = "cut after"  # it is obeyed, but the reply does not arrive, and the connection is gone
TWICE = "twice"  # it is obeyed twice, the second reply goes nowhere
LATE = "late"  # as CUT_BEFORE, but it is obeyed after so many more replies
POSTHUMOUS = "posthumous"  # as LATE, but when the worker has gone


class Spoiler:
    """Serves one worker: spoils one of its commands, `target`: its name, and which of that name.

    `commands` are those seen so far, by name. `heard` is awaited for each
    command that has been answered, before its reply is passed on. To a
    `forgetful` server each script is unknown when it is first asked for.
    """

    def __init__(
        self,
        redis: str,
        how: str,
        target: tuple[str, int],
        heard: Callable[[str], Awaitable[None]],
        *,
        by: int = 0,
        db: int = 0,
        forgetful: bool = False,
    ) -> None:
        self.commands: list[str] = []
        self.late = b""
        self._redis = redis
        self._how = how
        self._target = target
        self._heard = heard
        self._by = by
        self._select = b"SELECT %d\r\n" % db
        self._forgotten = set(SCRIPTS) if forgetful else set()
        self._answered = 0

    async def __aenter__(self) -> int:
        """Listen on the port that this returns, until the worker has gone."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        if self.late:  # posthumous
            await self._deliver()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_unix_connection(self._redis)
        unanswered: deque[tuple[str, str]] = deque()
        pumps = [
            asyncio.ensure_future(self._pump_commands(reader, redis_writer, unanswered)),
            asyncio.ensure_future(self._pump_replies(redis_reader, writer, unanswered)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            redis_writer.transport.abort()
            writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump_commands(
        self,
        reader: asyncio.StreamReader,
        redis: asyncio.StreamWriter,
        unanswered: deque[tuple[str, str]],
    ) -> None:
        while True:
            words = await _read_command(reader)
            self.commands.append(_name(words))
            name = self.commands[-1]
            raw = _packed(self._mangled(words))
            now = (name, self.commands.count(name))
            how = self._how if now == self._target else PASS
            if how in (LATE, POSTHUMOUS):
                self.late = raw
            if how in (LATE, POSTHUMOUS, CUT_BEFORE):
                self._answered = 0
                return
            unanswered.append((how, name))
            redis.write(raw * 2 if how == TWICE else raw)
            await redis.drain()

    def _mangled(self, words: list[bytes]) -> list[bytes]:
        """Ask for a script that the server cannot know, in place of one that it is to forget."""
        if words[0] == b"EVALSHA" and words[1].decode() in self._forgotten:
            self._forgotten.remove(words[1].decode())
            return [words[0], b"0" * 40, *words[2:]]
        return words

    async def _pump_replies(
        self,
        redis: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        unanswered: deque[tuple[str, str]],
    ) -> None:
        while True:
            reply = await _read_reply(redis)
            if not reply.startswith(b">"):
                how, name = unanswered.popleft()
                if how == CUT_AFTER:
                    return
                if how == TWICE:
                    await _read_one(redis)
                self._answered += 1
                if self.late and self._how == LATE and self._answered == self._by:
                    await self._deliver()
                await self._heard(name)
            writer.write(reply)
            await writer.drain()

    async def _deliver(self) -> None:
        """On a connection of its own, and wait until it has been obeyed."""
        raw, self.late = self.late, b""
        reader, writer = await asyncio.open_unix_connection(self._redis)
        for command in (self._select, raw):
            writer.write(command)
            await _read_reply(reader)
        writer.transport.abort()


async def _read_command(reader: asyncio.StreamReader) -> list[bytes]:
    head = await reader.readuntil(CRLF)
    words = []
    for _ in range(int(head[1:])):
        length = await reader.readuntil(CRLF)
        words.append((await reader.readexactly(int(length[1:]) + 2))[:-2])
    return words


def _packed(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def _name(words: list[bytes]) -> str:
    """Of a command; with what tells it from others of its name."""
    verb = words[0].decode()
    if verb == "CLIENT":
        return b" ".join(words[:3]).decode()
    if verb == "EVALSHA":
        return f"{verb} {SCRIPTS[words[1].decode()]}"
    if verb == "EVAL":
        return f"{verb} {SCRIPTS[hashlib.sha1(words[1]).hexdigest()]}"
    return verb


async def _read_one(reader: asyncio.StreamReader) -> bytes:
    """A reply, leaving out notifications."""
    while (reply := await _read_reply(reader)).startswith(b">"):
        pass
    return reply


async def _read_reply(reader: asyncio.StreamReader) -> bytes:
    raw = await reader.readuntil(CRLF)
    kind, rest = raw[:1], raw[1:-2]
    if kind in b"$=!" and rest != b"-1":
        raw += await reader.readexactly(int(rest) + 2)
    elif kind in b"*~>%" and rest != b"-1":
        for _ in range(int(rest) * (2 if kind == b"%" else 1)):
            raw += await _read_reply(reader)
    return raw
