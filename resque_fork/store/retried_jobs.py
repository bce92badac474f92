"""Jobs that have failed and are tried again, as people see them; see `retries`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import WrongKeyType
from ..wire.keys import Keys, to_text

if TYPE_CHECKING:
    from .client import Client

LONGEST_NUMBER = 15  # digits


@dataclass(frozen=True, slots=True)
class Retried:
    """A job that has failed and is tried again. Times are seconds since the epoch.

    `waiting` are equal jobs that wait for their time. What cannot be read is 0 or empty.
    """

    digest: str
    due: float
    failures: int = 0
    first: float = 0.0
    queue: str = ""
    exception: str = ""
    error: str = ""
    waiting: int = 0


class Retries:
    """The jobs of one namespace that have failed and are tried again."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def count(self) -> int:
        """How many there are; equal jobs count once."""
        try:
            return int(self._redis.execute_command("ZCARD", self._keys.retries))
        except WrongKeyType:
            return 0

    def page(self, start: int, count: int) -> list[Retried]:
        """Some of them, those that are due first before the others."""
        last = start + count - 1
        found = self._redis.execute_command("ZRANGE", self._keys.retries, start, last)
        return self._read([to_text(digest) for digest in found])

    def named(self, beginning: str) -> list[Retried]:
        """Those whose digest begins so."""
        found, cursor = set(), 0
        while True:
            reply = self._redis.execute_command(
                "ZSCAN", self._keys.retries, cursor, "MATCH", f"{beginning}*", "COUNT", 1000
            )
            cursor = int(reply[0])
            found |= {to_text(digest) for digest in _members(reply[1])}
            if cursor == 0:
                return self._read(sorted(found))

    def forget(self, digest: str) -> None:
        """Forget how often a job has failed."""
        self._redis.execute_many(
            [("DEL", self._keys.retry(digest)), ("ZREM", self._keys.retries, digest)],
            transaction=True,
        )

    def _read(self, digests: Sequence[str]) -> list[Retried]:
        names = ("due", "attempt", "first", "queue", "exception", "error", "waiting")
        commands = [("HMGET", self._keys.retry(digest), *names) for digest in digests]
        replies = self._redis.execute_many(commands, errors=True)
        found = []
        for digest, reply in zip(digests, replies, strict=True):
            if isinstance(reply, list) and any(reply):
                due, failures, first, queue, exception, error, waiting = reply
                found.append(
                    Retried(
                        digest,
                        _number(due),
                        int(_number(failures)),
                        _number(first),
                        to_text(queue or b""),
                        to_text(exception or b""),
                        to_text(error or b""),
                        int(_number(waiting)),
                    )
                )
        return found


def _number(text: bytes | None) -> float:
    return float(text) if text and text.isdigit() and len(text) <= LONGEST_NUMBER else 0.0


def _members(reply: Any) -> list[bytes]:
    """Members without their scores, which RESP3 returns in pairs."""
    if reply and isinstance(reply[0], (list, tuple)):
        return [member for member, _ in reply]
    return list(reply[::2])
