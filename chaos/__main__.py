"""Kill workers, their children and Redis at random while jobs are worked off.

Prints how many jobs there were, the kills of each kind, what became of the jobs
(finished, failed, run twice, lost), what the workers have counted of them, how many ticks
schedules had and how many jobs they queued, how many jobs were tracked, and how many commands
have held Redis for more than 10 ms, with the longest. Exits 1 if a job was lost, a tick was
made twice, a count is not exact, or a status is not true.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
from redis import Redis

from resque_fork import Receipt, Resque
from resque_fork.embedded import Server

from .counters import Counted, counted
from .jobs import LEDGER, RETRIES, TICKS, stand, stand_again
from .ledger import Account, account
from .statuses import wrong_statuses
from .ticks import Ticks, set_schedule, ticks

KINDS = ("parent", "parent", "child", "child", "child", "TERM", "QUIT", "redis")
SLOW_MICROSECONDS = 10_000
CONFIG = {
    "appendonly": "yes",
    "appendfsync": "always",
    "auto-aof-rewrite-percentage": "0",
    "save": "",
    "slowlog-log-slower-than": str(SLOW_MICROSECONDS),
    "slowlog-max-len": "10000",
}


class Arena:
    """The server, the workers, and the hand that kills them."""

    def __init__(self, folder: Path, server: Server, count: int, options: list[str]) -> None:
        self.kills: Counter[str] = Counter()
        self.slow: list[int] = []
        self._server = server
        self._log = (folder / "workers.log").open("ab")
        self._command = [sys.executable, "-m", "resque_fork", "--redis", server.url]
        self._command += ["work", f"--queues=*,!{TICKS}", "--require=chaos.jobs", *options]
        self._environment = {**os.environ, LEDGER: str(folder / "ledger")}
        self._workers = [self._start() for _ in range(count)]

    def kill(self, what: str) -> bool:
        """One accident. It happens to the server, or to a worker if that is at work on a job."""
        worker = random.choice(self._workers)
        children = _children(worker.pid)
        if what != "redis" and not children:
            return False
        if what == "redis":
            self._note_slow_commands()
            self._server.kill()
            time.sleep(random.uniform(0, 0.3))
            self._server.start()
        elif what == "child":
            _send(random.choice(children), signal.SIGKILL)
        else:
            number = {"parent": signal.SIGKILL, "TERM": signal.SIGTERM, "QUIT": signal.SIGQUIT}
            _send(worker.pid, number[what])
        self.kills[what] += 1
        return True

    def replace_the_dead(self) -> None:
        self._workers = [w if w.poll() is None else self._start() for w in self._workers]

    def close(self) -> list[int]:
        """Have all workers leave; their exit statuses."""
        for worker in self._workers:
            worker.terminate()
        statuses = [worker.wait(timeout=60) for worker in self._workers]
        self._log.close()
        self._note_slow_commands()
        return statuses

    def _note_slow_commands(self) -> None:
        """The server forgets them when it is killed. Their durations, in microseconds."""
        with Redis.from_url(self._server.url) as client:
            self.slow += [entry["duration"] for entry in client.slowlog_get(10_000)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, env=self._environment, stderr=self._log)


def _children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def wait_until_idle(resque: Resque, arena: Arena, patience: float) -> None:
    """Until nothing is queued or on record. Raises TimeoutError."""
    late = time.monotonic() + patience
    while time.monotonic() < late:
        arena.replace_the_dead()
        if not (resque.size("chaos") or resque.working() or resque.info()["delayed"]):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{resque.size('chaos')} jobs are still queued: {resque.working()}")


def wait_for_a_tick(directory: Path, patience: float) -> None:
    """In a short run one may be late: the lease of a clock that was killed has to run out."""
    late = time.monotonic() + patience
    while not ticks(directory).made and time.monotonic() < late:
        time.sleep(0.5)


def enqueue(resque: Resque, jobs: int, milliseconds: int, retries: bool) -> dict[int, str]:
    """Queue the jobs; with `retries` half of them are tracked and tried again, and half of those
    delayed.

    Returns the ids of those that are tracked, by their number.
    """
    again = [number for number in range(jobs) if retries and number % 2]
    once = [number for number in range(jobs) if not (retries and number % 2)]
    resque.enqueue_many(stand, ([n, random.randrange(milliseconds)] for n in once))
    ids = {}
    for number in again:
        delay = random.uniform(0.1, 10) if number % 4 == 1 else 0
        receipt = resque.enqueue_in(delay, stand_again, number, random.randrange(milliseconds))
        if isinstance(receipt, Receipt):
            ids[number] = receipt.id
    return ids


@dataclass(frozen=True)
class Run:
    """What became of the jobs, what was counted, the ticks, how many jobs were tracked and what is
    wrong in their statuses, and the arena with its kills."""

    account: Account
    counted: Counted
    ticks: Ticks
    tracked: int
    wrong_statuses: list[str]
    arena: Arena


def let_loose(
    jobs: int,
    kills: int,
    workers: int,
    milliseconds: int,
    options: list[str],
    *,
    retries: bool,
    show: bool,
) -> Run:
    """One run, with new servers and workers."""
    with (
        tempfile.TemporaryDirectory(prefix="resque-fork-chaos-") as name,
        Server(config=CONFIG, directory=Path(name, "redis")) as server,
    ):
        folder = Path(name)
        (folder / "ledger").touch()
        resque = Resque(server.url)
        set_schedule(resque)
        ids = enqueue(resque, jobs, milliseconds, retries)
        arena = Arena(folder, server, workers, options)
        kinds: list[str] = []
        with click.progressbar(
            length=kills, label="kills", file=sys.stderr, hidden=not show
        ) as bar:
            while arena.kills.total() < kills:
                before = arena.kills.total()
                kinds = kinds or random.sample(KINDS, len(KINDS))
                if arena.kill(kinds[-1]):
                    kinds.pop()
                bar.update(arena.kills.total() - before)
                time.sleep(random.uniform(0, 0.1))
                arena.replace_the_dead()
                if not resque.size("chaos"):
                    break  # nothing is left to kill anybody over
        wait_until_idle(resque, arena, patience=600)
        wait_for_a_tick(folder / "redis", patience=120)
        arena.close()
        attempts = dict.fromkeys(ids, len(RETRIES) + 1)
        what = account(resque, folder / "ledger", jobs, attempts)
        redis = folder / "redis"
        counts = counted(resque, redis, what)
        return Run(what, counts, ticks(redis), len(ids), wrong_statuses(resque, ids), arena)


@click.command(help=__doc__)
@click.option("--jobs", default=2000, show_default=True)
@click.option("--kills", default=200, show_default=True)
@click.option("--workers", default=3, show_default=True)
@click.option("--milliseconds", default=50, show_default=True, help="Longest time a job takes.")
@click.option("--on-lost", type=click.Choice(["fail", "requeue"]), default="fail")
@click.option("--jobs-per-fork", default=1, show_default=True)
@click.option("--retries", is_flag=True, help="Half of the jobs are tracked and tried again.")
@click.option("--seed", type=int, help="For the same accidents in the same order.")
@click.option("--json", "as_json", is_flag=True)
def main(
    jobs: int,
    kills: int,
    workers: int,
    milliseconds: int,
    on_lost: str,
    jobs_per_fork: int,
    retries: bool,
    seed: int | None,
    as_json: bool,
) -> None:
    random.seed(seed)
    options = [f"--on-lost={on_lost}", f"--on-term={on_lost}", f"--jobs-per-fork={jobs_per_fork}"]
    options += ["--term-timeout=1", "--max-attempts=1000"]
    show = sys.stderr.isatty() and not as_json
    run = let_loose(jobs, kills, workers, milliseconds, options, retries=retries, show=show)
    what, counts, ticked, arena = run.account, run.counted, run.ticks, run.arena
    figures = {
        "jobs": what.jobs,
        "kills": dict(sorted(arena.kills.items())),
        "finished": what.finished,
        "failed": what.failed,
        "finished and failed": what.both,
        "still queued": what.queued,
        "run twice": what.twice,
        "tried too often": what.too_often,
        "lost": len(what.lost),
        "counted": counts.outcomes,
        "ticks": ticked.made,
        "ticks made again": ticked.again,
        "jobs of ticks": ticked.queued,
        "tracked": run.tracked,
        "slow commands": len(arena.slow),
        "longest slow command, ms": max(arena.slow, default=0) / 1000,
    }
    if as_json:
        click.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            click.echo(f"{name:>24}  {_shown(value)}")
    if what.lost:
        raise click.ClickException(f"lost: {what.lost[:20]}")
    if counts.wrong:
        raise click.ClickException(f"not counted exactly: {'; '.join(counts.wrong)}")
    if ticked.again or ticked.queued != ticked.made:
        raise click.ClickException("not every tick has queued one job")
    if run.wrong_statuses:
        raise click.ClickException(f"not true: {'; '.join(run.wrong_statuses[:20])}")


def _shown(value: float | dict[str, int]) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    return str(value)


if __name__ == "__main__":
    main()
