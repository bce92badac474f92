"""The floors: loops that do the unavoidable and nothing else, in a process like the worker's.

    python -m bench.floor fork FILE         import the modules that FILE names; then fork,
                                            _exit in the child, waitpid
    python -m bench.floor exchange URL      the step in Redis, and one message to a child
                                            and back, over pipes
    python -m bench.floor pool              multiprocessing.Pool, one process, one call each
    python -m bench.floor pickup FILE PORT KEY...
                                            import those modules; then BLPOP, fork, leave a
                                            mark in the child

They run until they are killed, and leave a mark every so many turns, as jobs do.
"""

import importlib
import itertools
import os
import socket
import sys
from collections.abc import Callable

from bench.jobs import mark

PAYLOAD = 4  # its place in what the step replies


def repeat(turn: Callable[[], object], every: int) -> None:
    number = 0
    while True:
        for _ in range(every):
            turn()
        number += every
        mark(number)


def become_like_a_worker(file: str) -> None:
    """Import the modules of a worker, its application's too."""
    with open(file, encoding="utf-8") as lines:
        names = [line.strip() for line in lines]
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # what a package only pretends to be a module, such as six.moves
            continue


def fork_loop(file: str) -> None:
    become_like_a_worker(file)

    def turn() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    repeat(turn, 2)


def pool_loop() -> None:
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for start in itertools.count(0, 100):
            pool.map(_call, range(start, start + 100), chunksize=1)


def _call(number: int) -> None:
    if number % 2 == 0:
        mark(number)


def pick_up_loop(file: str, port: str, *keys: str) -> None:
    from resque_fork.store.packing import packed

    become_like_a_worker(file)
    command = packed(("BLPOP", *keys, "0"))
    connection = socket.create_connection(("127.0.0.1", int(port)))
    while True:
        connection.sendall(command)
        connection.recv(65536)
        pid = os.fork()
        if pid == 0:
            mark(0)
            os._exit(0)
        os.waitpid(pid, 0)


def exchange_loop(url: str) -> None:
    """What a job in a child that is there already cannot do without."""
    from redis import Redis

    from bench.jobs import QUEUE
    from resque_fork.store.redis_url import RedisURL
    from resque_fork.store.refusals import translated
    from resque_fork.store.worker_store import NOTHING, Finish, WorkerStore
    from resque_fork.wire.keys import Keys

    server = RedisURL(url)
    connection = Redis.from_url(url).connection_pool.make_connection()
    sent: list[list[object]] = []

    class Wire:
        def execute_command(self, *command: object) -> object:
            sent.append(list(command))
            with translated(server, command):
                connection.send_command(*command)
                return connection.read_response()

    books = WorkerStore(
        Wire(), Keys(), "floor:1:bench", {"boot": "", "pid_namespace": "", "start": ""}
    )
    books.heartbeat()
    for finish in (NOTHING, Finish("done"), Finish("done")):
        books.step(finish, [QUEUE])
    before, command = sent[-2:]  # which differ in the number of the step
    number = int(str(command[(place := _risen(before, command))]))
    inbox, jobs = os.pipe()
    words, outbox = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(jobs)
        while os.read(inbox, 65536):
            os.write(outbox, b'{"report":"performed"}')
        os._exit(0)
    os.close(inbox)

    def turn() -> None:
        nonlocal number
        number += 1
        command[place] = number
        connection.send_command(*command)
        reply = connection.read_response()
        os.write(jobs, reply[PAYLOAD])
        os.read(words, 65536)

    repeat(turn, 20)


def _risen(before: list[object], after: list[object]) -> int:
    """Where the one number is that is larger by one in the second command."""
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new and str(new).isdecimal() and int(str(new)) == int(str(old)) + 1:
            return place
    raise ValueError("the step has no number")


if __name__ == "__main__":
    loops = {
        "fork": fork_loop,
        "exchange": exchange_loop,
        "pickup": pick_up_loop,
        "pool": pool_loop,
    }
    loops[sys.argv[1]](*sys.argv[2:])
