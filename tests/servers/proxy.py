"""What stands between a worker and its Redis: it may speak TLS, stall, cut, and answer itself."""

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

    With `tls` it speaks TLS to those who connect. Commands that stand in
    `answers` do not reach Redis: they get these bytes, as from a proxy that
    does not know them, or none if those are empty; None hangs up. While
    `stalled`, new connections are accepted, and nothing more. Replies are held
    back for `linger` seconds, so that several arrive at once. `seen` has the
    names of all commands that came alone.
    """

    def __init__(
        self,
        target: int,
        tls: ssl.SSLContext | None = None,
        answers: Mapping[str, bytes | None] | None = None,
    ) -> None:
        self.port = 0
        self.answers = dict(answers or {})
        self.stalled = False
        self.linger = 0.0
        self.seen: list[str] = []
        self._target = target
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._talks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._meet, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exception: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, what: Coroutine[Any, Any, Answer]) -> Answer:
        """Have it done in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    def cut(self) -> None:
        """End all connections, without a word."""
        self._call(self._cut())

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
            asyncio.ensure_future(self._pump_commands(reader, writer, redis_writer)),
            asyncio.ensure_future(self._pump_replies(redis_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            redis_writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump_commands(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        redis: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            words = data.split(b"\r\n", 3)
            name = words[2].decode(errors="replace").upper() if len(words) > 2 else ""
            self.seen.append(name)
            answer = self.answers.get(name, data)
            if answer is None:
                return
            receiver = writer if name in self.answers else redis
            receiver.write(answer)
            await receiver.drain()

    async def _pump_replies(
        self, redis: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await redis.read(65536):
            if self.linger:
                await asyncio.sleep(self.linger)
                with contextlib.suppress(asyncio.TimeoutError):
                    data += await asyncio.wait_for(redis.read(65536), 0.001)
            writer.write(data)
            await writer.drain()
