"""Schedules in Redis: those that workers declare, those that were set for all, and their ticks.

``persistent_schedules`` is resque-scheduler's; the others are ours. See `wire.keys`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..wire.job import Payload
from ..wire.keys import Keys, to_text
from ..wire.times import started_time
from . import scripts
from .scripts import Commands

RENEWED_SECONDS = 600  # for which a schedule lasts that workers declare; see ticks.lua
AT_ONCE = 200  # schedules that one script declares or counts
KEPT_SECONDS = 7 * 86400  # for which its last tick is kept after that


class Declared(NamedTuple):
    """A schedule as workers declare it."""

    name: str
    timing: str
    definition: bytes


class QueuesJobs(Protocol):
    """What a schedule queues at its ticks."""

    @property
    def timing(self) -> str: ...
    @property
    def queue(self) -> str: ...
    def payload(self) -> Payload: ...


class Tick(NamedTuple):
    """The last tick of a schedule; if it is not `real`, ticks are counted from that second."""

    second: int
    real: bool
    timing: str

    @classmethod
    def parse(cls, raw: bytes) -> Tick | None:
        """None for what is none."""
        second, _, timing = raw.decode("utf-8", "replace").partition(" ")
        digits = second.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
            return None
        return cls(int(digits), digits == second, timing)


@dataclass(frozen=True, slots=True)
class Stored:
    """A schedule as it stands in Redis.

    `shared` ones stand in ``persistent_schedules``; `own` is what resque-scheduler does not know
    of them. `renewed` is when a worker has last declared one, in seconds since the epoch.
    Others are `left` behind by schedules that there are no more.
    """

    name: str
    raw: bytes
    shared: bool
    own: bytes = b"{}"
    tick: Tick | None = None
    renewed: float | None = None
    paused: bool = False
    last: str = ""  # tick, as it stands in delayed:last_enqueued_at

    @property
    def left(self) -> bool:
        return not self.shared and self.renewed is None


@dataclass(frozen=True, slots=True)
class FoundSchedules:
    """All schedules, the server's time, and the keys that hold something else than they should."""

    now: int
    schedules: Sequence[Stored] = ()
    wrong: Sequence[str] = ()


class StoredSchedules:
    """The schedules of one namespace. The lock of Ruby's scheduler may have a prefix."""

    def __init__(self, redis: Commands, keys: Keys, lock_prefix: str = "") -> None:
        self._redis = redis
        self._keys = keys
        self._lock = keys.scheduler_lock(lock_prefix)

    @property
    def _changed_keys(self) -> list[str]:
        keys = self._keys
        return [
            *(keys.schedules, keys.schedules_changed),
            *(keys.own_schedules, keys.renewals, keys.ticks),
        ]

    def load(self) -> FoundSchedules:
        """All that there are, sorted by name."""
        keys = self._keys
        parts: list[list[bytes]] = [[] for _ in range(6)]
        cursors = [b"0"] * 6
        wrong: set[str] = set()
        while any(cursors):
            now, not_read, *found = scripts.run(
                self._redis,
                "schedules",
                [
                    keys.schedules,
                    keys.own_schedules,
                    keys.ticks,
                    keys.last_enqueued,
                    keys.renewals,
                    keys.paused_schedules,
                ],
                cursors,
            )
            wrong |= {to_text(key) for key in not_read}
            cursors = [cursor for cursor, _ in found]
            for whole, (_, part) in zip(parts, found, strict=True):
                whole += part
        return FoundSchedules(int(now), [*_Rows(*parts).schedules()], sorted(wrong))

    def count(self, timings: Mapping[str, str]) -> None:
        """From now on, unless that is done: the ticks of schedules, each with its timing."""
        pairs = [*timings.items()]
        for start in range(0, len(pairs), AT_ONCE):
            parts = [part for pair in pairs[start : start + AT_ONCE] for part in pair]
            scripts.run(self._redis, "count_ticks", [self._keys.ticks], parts)

    def declare(self, schedules: Sequence[Declared], *, anew: bool) -> None:
        """Say that a worker declares these; `anew` if it has just started, and so knows best.

        Raises WrongKeyType.
        """
        keys = self._keys
        for start in range(0, len(schedules), AT_ONCE):
            parts = [part for each in schedules[start : start + AT_ONCE] for part in each]
            scripts.run(
                self._redis,
                "declare_schedules",
                [keys.own_schedules, keys.renewals, keys.ticks],
                [int(anew), *parts],
            )

    def set(self, name: str, timing: str, shared: bytes, own: bytes) -> bool:
        """Set one for all schedulers; False if workers declare one of this name."""
        done = scripts.run(
            self._redis,
            "set_schedule",
            self._changed_keys,
            [name, timing, shared, own],
        )
        return bool(done)

    def remove(self, name: str) -> bool | None:
        """Forget one; False if there is none, None if workers still declare it."""
        done = scripts.run(
            self._redis,
            "remove_schedule",
            [*self._changed_keys, self._keys.paused_schedules],
            [name],
        )
        return None if done < 0 else bool(done)

    def pause(self, name: str) -> None:
        """Have it have no ticks until `resume`."""
        self._redis.execute_command("SADD", self._keys.paused_schedules, name)

    def resume(self, name: str) -> bool:
        """Whether it was paused."""
        return bool(self._redis.execute_command("SREM", self._keys.paused_schedules, name))

    def tick(self, stored: Stored, schedule: QueuesJobs, second: int) -> str:
        """Queue its job unless that was done for this tick; ``done``, or why not (see the script).

        Raises WrongKeyType, RedisRefused: the tick stays due then.
        """
        keys = self._keys
        answer = scripts.run(
            self._redis,
            "tick",
            [
                keys.ticks,
                keys.schedules if stored.shared else keys.own_schedules,
                keys.paused_schedules,
                keys.queues,
                keys.queue(schedule.queue),
                keys.last_enqueued,
                *([self._lock] if stored.shared else []),
            ],
            [
                stored.name,
                stored.raw,
                schedule.timing,
                second,
                schedule.queue,
                schedule.payload().raw,
                started_time(second),
            ],
        )
        return to_text(answer)


class _Rows:
    """What the script has read, put together by name."""

    def __init__(self, *read: Sequence[Any]) -> None:
        shared, own, ticks, last, renewals, paused = read
        self._shared, self._own = _mapping(shared), _mapping(own)
        self._ticks, self._last = _mapping(ticks), _mapping(last)
        self._renewals = {name: float(score) for name, score in _mapping(renewals).items()}
        self._paused = {to_text(name) for name in paused}

    def schedules(self) -> Iterator[Stored]:
        for name in sorted({*self._shared, *self._own, *self._ticks}):
            own = self._own.get(name, b"{}")
            shared = name in self._shared and name not in self._renewals
            yield Stored(
                name,
                self._shared[name] if shared else own,
                shared,
                own if shared else b"{}",
                Tick.parse(self._ticks.get(name, b"")),
                self._renewals.get(name),
                name in self._paused,
                self._last.get(name, b"").decode("utf-8", "replace"),
            )


def _mapping(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {to_text(key): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
