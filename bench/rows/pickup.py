"""Row 5: from a plain RPUSH to the first line of the job, in a worker that was idle."""

from __future__ import annotations

import random
import socket
import time

from ..contestants import PEERS, Peer, bare_fork, bare_pick_up, left_out, producer, start_peer
from ..figures import Figure, Result, Samples, at_most, one
from ..plan import Bench
from ..race import NOT_STARTED, race

QUEUES = ("urgent", "mail", "images", "reports", "low")
QUEUE_KEY = "resque:queue:{}"
PEERS_ASKED = (
    "RQ, forked",
    "RQ, SimpleWorker",
    "Celery, prefork 1",
    "Dramatiq, 1 process",
    "Huey, 1 process",
)
WARM_UP = 3


def pick_up(bench: Bench) -> Result:
    arena, plan = bench.arena, bench.plan
    result = Result(5, "Pick-up by an idle worker")
    loop = {"bare fork": bare_fork(arena)}
    start_bare = bare_pick_up(arena, *map(QUEUE_KEY.format, QUEUES))
    forks, trips = [], []
    waits, ready, bare = list[float](), list[float](), list[float]()
    pushes = plan.pushes // plan.rounds
    for number in range(plan.rounds):
        bench.tell(f"round {number + 1} of {plan.rounds}: pick-up")
        raced = race(arena, loop, 1, 1, 4 * plan.turn, bench.tell)
        forks.append(1000 / raced["bare fork"].rate.median)
        arena.empty()
        arena.redis.sadd("resque:queues", *QUEUES)
        with arena.working(queues="*") as process:
            arena.until_idle(process.pid)
            trips.append(_round_trip(arena.port))
            waits += (_pick_up(bench) for _ in range(pushes))
        with arena.working("--keep-spare", queues="*") as process:
            arena.until_idle(process.pid)
            for _ in range(WARM_UP):  # it learns which pages to pin
                _pick_up(bench)
            ready += (_pick_up(bench) for _ in range(pushes))
        process = start_bare(arena)
        _pick_up(bench)  # it is there
        bare += (_pick_up(bench) for _ in range(pushes))
        arena.end(process)
    fork, trip, wait = Samples(forks), Samples(trips), Samples(waits)
    sleeps, kept = Samples(bare), Samples(ready)
    bare_process = "times a bare process that sleeps and forks"
    result.checks += [
        at_most(1.6, f"p50, {bare_process}", one(wait.median / sleeps.median)),
        at_most(0.7, f"p50 with --keep-spare, {bare_process}", one(kept.median / sleeps.median)),
        at_most(10, "p99", one(wait.quantile(0.99)), "ms"),
    ]
    result.figures += [
        Figure.of("pick-up, p50", wait, "ms", "ours"),
        Figure.of("pick-up with --keep-spare, p50", kept, "ms", "ours"),
        Figure.of("bare: BLPOP, fork, first line, p50", sleeps, "ms", "floor"),
        Figure.of("bare fork, exit and wait", fork, "ms", "floor"),
        Figure.of("a round trip (PING)", trip, "ms", "floor"),
    ]
    if plan.peers:
        result.figures += _peers(bench, result.notes)
    return result


def _peers(bench: Bench, notes: list[str]) -> list[Figure]:
    figures = []
    for name in PEERS_ASKED:
        bench.tell(name)
        try:
            waits = _of_peer(bench, PEERS[name])
        except NOT_STARTED as problem:
            notes.append(left_out(name, problem))
            continue
        figures += [
            Figure.of(f"{name}, p50", waits, "ms", "peer"),
            Figure.of(f"{name}, p99", one(waits.quantile(0.99)), "ms", "peer"),
        ]
    notes.append("A peer's time begins before its own call that queues the job.")
    return figures


def _of_peer(bench: Bench, peer: Peer) -> Samples:
    """Milliseconds, each time from the producer's call to the first line of the job."""
    arena = bench.arena
    command = producer(peer, bench.tell)
    arena.empty()
    worker = start_peer(arena, peer, bench.tell)
    try:
        with arena.talking(command) as (requests, answers):
            waits = []
            for number in range(WARM_UP + bench.plan.pushes // 3):
                time.sleep(random.uniform(0.03, 0.08))
                requests.write(f"{number}\n")
                requests.flush()
                began = int(answers.readline() or 0) / 1e9
                waits.append((arena.next_mark(worker).seconds - began) * 1000)
    finally:
        arena.end(worker)
    return Samples(waits[WARM_UP:])


def _pick_up(bench: Bench) -> float:
    """Milliseconds for one job, pushed at some moment while the worker sleeps."""
    time.sleep(random.uniform(0.03, 0.08))  # it has gone back to sleep long before
    raw = b'{"class":"mark","args":[1]}'
    pushed = time.monotonic()
    bench.arena.redis.rpush(QUEUE_KEY.format(random.choice(QUEUES)), raw)
    return (bench.arena.next_mark().seconds - pushed) * 1000


def _round_trip(port: int) -> float:
    """Milliseconds for the shortest command, over a bare socket."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        for _ in range(300):
            start = time.monotonic()
            connection.sendall(b"PING\r\n")
            connection.recv(64)
            times.append((time.monotonic() - start) * 1000)
    return Samples(times).median
