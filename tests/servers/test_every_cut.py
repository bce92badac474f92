"""The connection is spoiled at each command of a worker's life, in every way there is.

One life: a dead worker's job is rescued, a delayed job goes to its queue, and so does the job of
a schedule; then jobs that succeed, fail, die until they are a poison pill, that are large, that
are tracked, that are no jobs; then the worker is idle, is notified, and is stopped in the middle of
its last job, which goes back. Whatever happens to whichever command, Redis must look the same at
the end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from life.harness import SOURCES
from redis import Redis
from store.conftest import over

from resque_fork import embedded
from resque_fork.failure import Backends, FailedEntries
from resque_fork.settings import Settings
from resque_fork.store.queue_listener import BUSY_NOTIFICATIONS
from resque_fork.store.scripts import script
from resque_fork.store.statuses import Statuses
from resque_fork.store.workers import Workers
from resque_fork.wire.delayed import item_of
from resque_fork.wire.keys import Keys
from resque_fork.wire.record import WorkerRecord
from resque_fork.wire.status import COMPLETED
from resque_fork.wire.times import run_time
from resque_fork.worker.pruning import Pruner

from .spoiler import CUT_AFTER, CUT_BEFORE, LATE, NAMES, PASS, POSTHUMOUS, TWICE, Spoiler

AT_ONCE = 6  # lives
TIMEOUT = 60.0  # seconds for one life
DATABASE = 1  # one that has to be chosen
WEEK = 7 * 86400  # seconds
NOBODY = 9_999_999  # no kernel gives such a pid

# All that a worker ever sends to a server that knows its scripts; and the scripts, to any other.
COMMANDS = {
    *("HELLO", "SELECT", "PING", "TIME", "SET", "HDEL", "HGETALL", "SMEMBERS"),
    *("CLIENT TRACKING ON", "CLIENT TRACKING OFF"),
    *(f"EVALSHA {name}" for name in NAMES),
}
SCRIPT_COMMANDS = {f"{verb} {name}" for verb in ("EVAL", "EVALSHA") for name in NAMES}

PERFORMED = {"rescued": 1, "small": 1, "large": 1, "notified": 1, "bad": 1, "deadly": 2, "last": 1}
PERFORMED |= {"delayed": 1, "weekly": 1, "tracked": 1}
OUTCOMES = {"done": 7, "failed": 3, "lost": 2, "back": 1}
FAILED = ["ValueError", "ResqueFork::PoisonPill", "ResqueFork::UnreadablePayload"]
LAST = b'{"class":"last","args":[]}'
TRACKED = "0192aabbccdd00112233445566778899"


def payload(name: str, *args: str) -> bytes:
    return json.dumps({"class": name, "args": args}).encode()


FIRST_JOBS = [
    payload("good", "small"),
    payload("bad"),
    payload("deadly"),
    payload("good", "large", "x" * 1_100_000),
    b'{"class":"good","args":["tracked"],"id":"%b"}' % TRACKED.encode(),
    b"no job at all",
]


@dataclass
class Lives:
    """Workers of one program, on one Redis, each in a namespace of its own."""

    server: embedded.Server
    redis: Redis
    directory: Path
    program: asyncio.subprocess.Process
    forgetful: bool
    numbers: Iterator[int]
    ended: dict[int, asyncio.Future[int]]

    async def read_ends(self) -> None:
        assert self.program.stdout
        while line := await self.program.stdout.readline():
            end = json.loads(line)
            self.ended[end["number"]].set_result(end["status"])

    def prepare(self, keys: Keys) -> None:
        """Jobs, a schedule whose tick is due, and the record of a dead worker with one more job."""
        self.redis.rpush(keys.queue("jobs"), *FIRST_JOBS)
        self.redis.sadd(keys.queues, "jobs")
        self.redis.rpush(keys.delayed(1000), item_of(payload("good", "delayed"), "jobs"))
        self.redis.zadd(keys.delayed_times, {"1000": 1000})
        self.redis.hset(keys.ticks, "weekly", f"{int(time.time()) - WEEK - 10} every {WEEK}")
        long_ago = run_time(time.time() - 200)
        dead = f"{socket.gethostname()}:{NOBODY}:jobs"
        record = WorkerRecord("jobs", long_ago, payload("good", "rescued"))
        self.redis.sadd(keys.workers, dead)
        self.redis.hset(keys.heartbeats, dead, long_ago)
        self.redis.set(keys.worker(dead), record.to_json())

    async def live(
        self, how: str, target: tuple[str, int] = ("none", 0), by: int = 0
    ) -> tuple[list[str], list[str]]:
        """One life: its commands, and what is wrong in the end."""
        life = next(self.numbers)
        keys = Keys(f"life-{life}")
        self.prepare(keys)
        idle, steps, all_steps = False, 0, 0
        ledger = self.directory / f"ledger-{life}"

        async def heard(command: str) -> None:
            """Push once it has subscribed and looked; when it is busy, until it has unsubscribed.

            In the middle of its second job the server forgets the worker and the job: if only the
            worker, a heartbeat that comes first would do, and the job need not be restored.
            """
            nonlocal idle, steps, all_steps
            all_steps += command == "EVALSHA step"
            if all_steps == 2 and command == "EVALSHA step":
                mine = f"{socket.gethostname()}:*:[*]"
                for pattern in (keys.fork(mine), keys.worker(mine), keys.unread(mine)):
                    for key in self.redis.scan_iter(pattern):
                        self.redis.delete(key)
            idle = idle or command == "CLIENT TRACKING ON"
            steps += idle and command == "EVALSHA step"
            if steps == 1 and command == "EVALSHA step":
                self.redis.rpush(keys.queue("jobs"), payload("good", "notified"), LAST)
            if steps == 3 and command == "EVALSHA step":
                for _ in range(BUSY_NOTIFICATIONS):
                    self.redis.rpush(keys.queue("others"), "x")
                    self.redis.lpop(keys.queue("others"))
            if command == "CLIENT TRACKING OFF":
                Path(f"{ledger}.deaf").touch()

        path = urlsplit(self.server.url).path
        spoiler = Spoiler(path, how, target, heard, by=by, db=DATABASE, forgetful=self.forgetful)
        self.ended[life] = asyncio.get_running_loop().create_future()
        async with spoiler as port:
            asked = {
                "number": life,
                "url": f"redis://127.0.0.1:{port}/{DATABASE}",
                "namespace": keys.namespace,
                "ledger": str(ledger),
            }
            assert self.program.stdin
            self.program.stdin.write(json.dumps(asked).encode() + b"\n")
            try:
                status = await asyncio.wait_for(self.ended[life], TIMEOUT)
            except TimeoutError:
                return spoiler.commands, [f"it did not end; {spoiler.commands}"]
        wrong = [f"exit {status}"] if status else []
        return spoiler.commands, wrong + self._wrong(keys, ledger, how)

    def _wrong(self, keys: Keys, ledger: Path, how: str) -> list[str]:
        if how == POSTHUMOUS:  # a registration that came too late is that of a dead worker
            workers = Workers(over(self.redis), keys)
            Pruner(workers, Settings(), FailedEntries(Backends(), keys)).prune()
        entries: Any = self.redis.lrange(keys.failed, 0, -1)
        left: Any = self.redis.keys(f"{keys.prefix}*")
        # which expire
        locks = (
            {keys.own_pruning_lock, keys.clock, keys.marks("jobs")} if how == POSTHUMOUS else set()
        )
        expected = [keys.failed, keys.queues, keys.queue("jobs")]
        expected += [keys.stat("processed"), keys.stat("failed"), keys.last_enqueued]
        expected += [keys.own_schedules, keys.renewals, keys.ticks]
        expected += [keys.metrics, keys.metrics_queues, keys.metrics_classes]
        expected += [keys.status(TRACKED)]
        known = Statuses(over(self.redis), keys).get(TRACKED)
        minutes = {key.decode() for key in left if key.startswith(f"{keys.metrics}:1".encode())}
        ends: Any = self.redis.hgetall(keys.metrics)
        checks = {
            "performed": (dict(Counter(ledger.read_text().splitlines())), PERFORMED),
            "failed": (sorted(json.loads(e)["exception"] for e in entries), sorted(FAILED)),
            "processed": (self.redis.get(keys.stat("processed")), b"10"),
            "counted as failed": (self.redis.get(keys.stat("failed")), b"3"),
            "counted": (_outcomes(ends), OUTCOMES),
            "known": (known.state, COMPLETED),
            "queued": (self.redis.lrange(keys.queue("jobs"), 0, -1), [LAST]),
            "keys": (sorted({key.decode() for key in left} - locks - minutes), sorted(expected)),
        }
        return [
            f"{what}: {is_} != {ought}" for what, (is_, ought) in checks.items() if is_ != ought
        ]


def _outcomes(counted: dict[bytes, bytes]) -> dict[str, int]:
    """How many attempts have ended how."""
    sums: Counter[str] = Counter()
    for field, number in counted.items():
        if field.startswith(b"jobs\t"):
            sums[field.decode().rpartition("\t")[2]] += int(number)
    return dict(sums)


async def all_lives(
    server: embedded.Server, redis: Redis, directory: Path, how: str, by: int, forgetful: bool
) -> tuple[set[str], list[str]]:
    """Spoil each command in turn; which ones, and what went wrong in which life."""
    with (directory / "said").open("wb") as said:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(__file__).with_name("lives.py"))),
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    lives = Lives(server, redis, directory, program, forgetful, itertools.count(), {})
    ends = asyncio.ensure_future(lives.read_ends())
    try:
        commands, wrong = await lives.live(PASS)
        assert not wrong, wrong
        targets = [(name, commands[:i].count(name) + 1) for i, name in enumerate(commands)]
        if forgetful:  # all else is as it is without
            targets = [(name, n) for name, n in targets if "EVAL" in name and n == 1]
        room = asyncio.Semaphore(AT_ONCE)
        spoiled = set()

        async def one(target: tuple[str, int]) -> list[str]:
            async with room:
                seen, wrong = await lives.live(how, target, by)
            if seen.count(target[0]) >= target[1]:
                spoiled.add(target[0])
            return [f"{target} {how}: {problem}" for problem in wrong]

        told = await asyncio.gather(*map(one, targets))
        print(len(targets))
        return spoiled, list(itertools.chain.from_iterable(told))
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        await program.wait()
        await ends


@pytest.mark.parametrize("forgetful", [False, True], ids=["", "new scripts"])
@pytest.mark.parametrize(
    ("how", "by"),
    [(CUT_BEFORE, 0), (CUT_AFTER, 0), (TWICE, 0), (LATE, 2), (LATE, 5), (POSTHUMOUS, 0)],
    ids=["cut before", "cut after", "twice", "late by 2", "late by 5", "posthumous"],
)
def test_every_command_is_spoiled(
    server: embedded.Server, redis_url: str, tmp_path: Path, how: str, by: int, forgetful: bool
) -> None:
    """Nothing is lost, popped twice or counted twice, and nothing is left of the worker."""
    with Redis.from_url(redis_url, db=DATABASE) as redis:
        for name in NAMES:
            redis.script_load(script(name).source)
        spoiled, wrong = asyncio.run(all_lives(server, redis, tmp_path, how, by, forgetful))
    assert wrong == []
    assert spoiled == (SCRIPT_COMMANDS if forgetful else COMMANDS)
