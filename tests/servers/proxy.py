"""Something between the worker and its Redis: it may speak TLS, stall, trickle, and cut."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, Self, TypeVar

Answer = TypeVar("Answer")


class Proxy:
    """Forwards TCP connections to a port of 127.0.0.1, in a thread of its own.

    With `tls` it speaks TLS to those who connect. While `stalled`, new
    connections are accepted, and nothing more. `pieces` of so many bytes, and
    a pause between them, is what a slow network makes of replies; `linger`
    seconds are waited before passing replies on, so that several go in one.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.stalled = False
        self.pieces = 0
        self.linger = 0.0
        self._target = target
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._talks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self.call(asyncio.start_server(self._meet, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exception: object) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, what: Coroutine[Any, Any, Answer]) -> Answer:
        """Have it done in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    def cut(self) -> None:
        """End all connections, without a word."""
        self.call(self._cut())

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()

    async def _cut(self) -> None:
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Whatever goes wrong on a connection ends it, and nothing else."""

        def hang_up(talk: asyncio.Task[None]) -> None:
            self._talks.discard(talk)
            writer.transport.abort()
            if not talk.cancelled():
                talk.exception()  # seen, and nobody's concern

        talk = asyncio.ensure_future(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(hang_up)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.stalled:
            await asyncio.Event().wait()
        if self._tls:
            await writer.start_tls(self._tls)
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.ensure_future(self._pump(reader, writer, redis_writer)),
            asyncio.ensure_future(self.pump_replies(redis_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            redis_writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        redis_writer: asyncio.StreamWriter,
    ) -> None:
        await self.pump_commands(reader, redis_writer)

    async def pump_commands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def pump_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(self.pieces or 65536):
            if self.linger:
                await asyncio.sleep(self.linger)
                with contextlib.suppress(asyncio.TimeoutError):
                    data += await asyncio.wait_for(reader.read(65536), 0.001)
            writer.write(data)
            await writer.drain()
            if self.pieces:
                await asyncio.sleep(0.0005)


class Answering(Proxy):
    """Answers some commands by itself, as proxies do that do not know them: each by its bytes.

    None hangs up, and nothing at all is answered where there are no bytes. `seen` has the names
    of all commands that came alone.
    """

    def __init__(
        self,
        target: int,
        answers: Mapping[str, bytes | None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(target, tls)
        self.answers = dict(answers)
        self.seen: list[str] = []

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        redis_writer: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            words = data.split(b"\r\n")
            name = words[2].decode().upper() if len(words) > 2 else ""
            self.seen.append(name)
            if name not in self.answers:
                redis_writer.write(data)
                continue
            answer = self.answers[name]
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()
