"""Sends commands to Redis for applications and tools, and raises this package's errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import RedisRefused, RedisUnavailable, WrongKeyType
from ..lazy import shared_property
from .connecting import open_client
from .redis_py import Deadline
from .redis_url import RedisURL
from .refusals import translate_error, translated


class Client:
    """A client of redis-py that raises our errors only. Safe for threads and forks.

    It waits `seconds` for each reply, and no longer for a connection. `perhaps` is a sentence
    that says what may have been done; the error ends with it if no reply came.
    """

    def __init__(self, server: RedisURL, seconds: float | None = None) -> None:
        self.server = server
        self._seconds = server.timeout(seconds)
        self._deadline = Deadline()

    @shared_property
    def redis(self) -> Any:
        """The redis-py client. That of a Cluster connects at once, others when first used."""
        try:
            with translated(self.server):
                return open_client(self.server, self._seconds, self._deadline)
        except (RedisRefused, RedisUnavailable) as error:
            error.sent, error.had_no_effect = False, True
            raise

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all that this thread does with the client in this context."""
        return self._deadline.within(seconds)

    def execute_command(self, *command: Any, perhaps: str = "") -> Any:
        with translated(self.server, command, perhaps):
            return self.redis.execute_command(*command)

    def execute_many(
        self,
        commands: Sequence[Sequence[Any]],
        *,
        transaction: bool = False,
        errors: bool = False,
        perhaps: str = "",
    ) -> list[Any]:
        """The replies to commands that go out together; in a transaction all is done or nothing.

        Raises the first error, unless `errors` are wanted among the replies.
        """
        if not commands:
            return []
        with translated(self.server, commands[0], perhaps):
            pipe = self.redis.pipeline(transaction=transaction)
            for command in commands:
                pipe.execute_command(*command)
            replies = pipe.execute(raise_on_error=False)
        found = []
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, Exception):
                reply = translate_error(reply, self.server, command)
                if not errors:
                    raise reply
            found.append(reply)
        return found

    def read_each(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies to commands that read; None of a key that holds another type."""
        replies = self.execute_many(commands, errors=True)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, WrongKeyType):
                raise reply
        return [None if isinstance(reply, WrongKeyType) else reply for reply in replies]

    def scan(self, match: str) -> Iterator[bytes]:
        """Every key that matches, of the whole database."""
        with translated(self.server):
            yield from self.redis.scan_iter(match=match, count=1000)

    def close(self) -> None:
        """Close all connections; the next command opens new ones."""
        if "redis" in self.__dict__:
            self.redis.close()
