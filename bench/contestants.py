"""Who takes part: the bare loops, our worker, and other systems, each started on a lane."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from . import install
from .arena import Arena
from .figures import Figure
from .jobs import QUEUE
from .lane import Lane
from .plan import Bench
from .race import Raced, Start, race

Tell = Callable[[str], None]
FORKING, REUSING = 2_000, 8_000  # jobs a second that no worker of ours will exceed


@dataclass(frozen=True)
class Peer:
    """Another system: how its queue is filled and its worker started; words of a command line.

    `rate` is about how many jobs a second it may be expected to do at most, so
    that the queue is full enough and no fuller; `every` how often a job marks.
    """

    name: str
    rate: int
    every: int
    work: Sequence[str]
    fill: str = ""  # a module; the Resques of other languages take what we fill


PEERS = {
    peer.name: peer
    for peer in (
        Peer("Ruby Resque, a fork per job", 2000, 2, ("ruby", "ruby_worker.rb")),
        Peer("RQ, forked", 250, 2, ("rq", "worker", "--quiet", QUEUE), "of_rq"),
        Peer(
            "Celery, a process per task", 150, 1,
            ("celery", "-A", "bench.peers.of_celery", "--quiet", "worker", "--pool=prefork",
             "--concurrency=1", "--max-tasks-per-child=1", "--loglevel=ERROR",
             f"--queues={QUEUE}"), "of_celery",
        ),
        Peer(
            "RQ, SimpleWorker", 700, 5,
            ("rq", "worker", "--quiet", "-w", "rq.SimpleWorker", QUEUE), "of_rq",
        ),
        Peer(
            "Celery, prefork 1", 1500, 20,
            ("celery", "-A", "bench.peers.of_celery", "--quiet", "worker", "--pool=prefork",
             "--concurrency=1", "--loglevel=ERROR", f"--queues={QUEUE}"), "of_celery",
        ),
        Peer(
            "Dramatiq, 1 process", 4000, 50,
            ("dramatiq", "bench.peers.of_dramatiq", "--processes=1", "--threads=8"), "of_dramatiq",
        ),
        Peer(
            "Huey, 1 process", 5000, 50,
            ("huey_consumer", "bench.peers.of_huey.huey", "--worker-type=process", "--workers=1",
             "--quiet"), "of_huey",
        ),
        Peer("node-resque", 6000, 50, ("node", "node_worker.js")),
    )
}  # fmt: skip


def bare_fork(arena: Arena, app: str = "bench.app") -> Start:
    """Forks in a process with the modules of our worker, its application's too."""
    return _floor("fork", str(arena.modules(app)))


def bare_fork_with(arena: Arena, *names: str) -> Start:
    """Forks in a process that imports just these modules."""
    file = arena.folder / "modules-of-choice"
    file.write_text("".join(f"{name}\n" for name in names))
    return _floor("fork", str(file))


def bare_pool() -> Start:
    """A pool of one process of the standard library, replaced after each call."""
    return _floor("pool")


def bare_pick_up(arena: Arena, *keys: str) -> Start:
    """Takes jobs from lists, with the modules of our worker, and forks a child that marks them."""
    return _floor("pickup", str(arena.modules("bench.app")), str(arena.port), *keys)


def bare_exchange(seconds: float) -> Start:
    """Steps in Redis, each with an exchange with a child."""

    def start(lane: Lane) -> subprocess.Popen[bytes]:
        count = int(2 * REUSING * seconds)
        lane.fill(count, count)
        return _floor("exchange", lane.url)(lane)

    return start


def ours(seconds: float, *options: str, app: str = "bench.app", reusing: bool = False) -> Start:
    """One of our workers on a full queue."""

    def start(lane: Lane) -> subprocess.Popen[bytes]:
        lane.fill(int((REUSING if reusing else FORKING) * seconds), 20 if reusing else 2)
        return lane.work(*options, app=app)

    return start


def peers(bench: Bench, *names: str) -> dict[str, Start]:
    """Their starts, by name; none if the plan leaves peers out."""
    if not bench.plan.peers:
        return {}
    return {
        name: functools.partial(_start_full, PEERS[name], bench.tell, bench.plan.running)
        for name in names
    }


def raced(bench: Bench, contestants: dict[str, Start], notes: list[str]) -> dict[str, Raced]:
    """A race as the plan has it; a note for each contestant that could not be started."""
    plan = bench.plan
    missing: dict[str, Exception] = {}
    found = race(bench.arena, contestants, plan.rounds, plan.turns, plan.turn, bench.tell, missing)
    notes += (left_out(name, problem) for name, problem in missing.items())
    return found


def figure(name: str, found: Raced, kind: str) -> Figure:
    """The rate of a contestant, and what a job of it uses."""
    rate = Figure.of(name, found.rate, "jobs/s", kind)
    return replace(rate, cpu=found.cpu.median, faults=found.faults.median)


def left_out(name: str, problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return f"{name} is left out: {lines[-1] if lines else type(problem).__name__}"


def start_peer(lane: Lane, peer: Peer, tell: Tell) -> subprocess.Popen[bytes]:
    """Its worker, installed first if need be. Raises NotInstalled."""
    if not peer.fill:
        program, script = peer.work
        folder = install.node_folder(tell) if program == "node" else install.ruby_folder()
        return lane.start([program, str(folder / script)])
    command = [str(install.python_environment(tell) / peer.work[0]), *peer.work[1:]]
    if peer.work[0] == "rq":
        command[2:2] = ["--url", lane.url]
    return lane.start(command)


def producer(peer: Peer, tell: Tell) -> list[str]:
    """The command line that queues its jobs."""
    python = install.python_environment(tell) / "python"
    return [str(python), "-m", f"bench.peers.{peer.fill}"]


def _start_full(peer: Peer, tell: Tell, seconds: float, lane: Lane) -> subprocess.Popen[bytes]:
    count = int(peer.rate * (seconds + 0.5))
    if peer.fill:
        lane.output([*producer(peer, tell), str(count), str(peer.every)])
    else:
        lane.fill(count, peer.every)
    return start_peer(lane, peer, tell)


def _floor(name: str, *arguments: str) -> Start:
    return lambda lane: lane.start([sys.executable, "-m", "bench.floor", name, *arguments])
