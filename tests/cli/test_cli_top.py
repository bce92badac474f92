"""``top``: one table without a terminal, the same again and again in one."""

from __future__ import annotations

import os
import pty
import re
import socket
import sys

import pytest
from redis import Redis

from resque_fork import Resque
from resque_fork.store.worker_store import NOTHING, WorkerStore
from resque_fork.system.identity import Identity

HOST = socket.gethostname()


def working(redis: Redis, redis_url: str, worker_id: str, class_name: str = "Mail") -> None:
    """A worker that is in the middle of a job."""
    resque = Resque(redis_url)
    store = WorkerStore(resque.client, resque.key_names, worker_id, Identity.here().to_fields())
    store.heartbeat()
    resque.push("mail", {"class": class_name, "args": []})
    store.step(NOTHING, ["mail"])
    resque.close()


def test_one_table(run, redis: Redis, redis_url: str) -> None:
    """The numbers, the longest queues first, workers that work before those that do not."""
    working(redis, redis_url, "far:1:mail")
    redis.sadd("resque:workers", "far:0:mail")
    redis.sadd("resque:queues", "long", "\x1b[31mred")
    redis.rpush("resque:queue:long", *range(1234))
    redis.sadd("resque:fork:queues:paused", "long")
    redis.mset({"resque:stat:processed": "7000", "resque:stat:failed": "2"})
    redis.set("resque:pause-all-workers", "true")
    where, counts, done, paused, _, *tables = run("top").stdout.splitlines()
    assert where.endswith(" (namespace resque)")
    assert counts == (
        "2 workers, 1 working · 1,234 jobs pending · 0 to be retried · 0 in failed lists"
    )
    assert done == "7,000 processed, 2 of them failed"
    assert paused == "All workers are paused; resque-fork resume ends it."
    lines = [re.sub(r" +", " ", line) for line in tables]
    lines = [re.sub(r"(?<= )\d{1,2}s$", "(seconds)", line) for line in lines]
    assert lines == [
        "QUEUE JOBS CHANGE",
        "long 1,234 paused",
        "\\x1b[31mred 0",
        "mail 0",
        "",
        "WORKER QUEUE CLASS FOR CPU MEMORY",
        "far:1:mail mail Mail (seconds)",
        "far:0:mail idle",
    ]


def test_nothing_there(run) -> None:
    """It says so."""
    assert run("top").stdout.splitlines()[4:] == [
        "There are no queues.",
        "",
        "No worker is registered.",
    ]


def test_redis_is_away(run) -> None:
    """Without a terminal that is an error; in one it says so, and looks again."""
    nowhere = "unix:///nowhere"
    refused = run("top", env={"RESQUE_REDIS": nowhere}, status=1)
    assert "Redis at unix:///nowhere does not answer" in refused.stderr
    terminal = Terminal(24, 200, RESQUE_REDIS=nowhere)
    terminal.until("Redis at unix:///nowhere does not answer")
    assert terminal.quit(b"q") == 0


class Terminal:
    """`top` in a terminal of a given size."""

    def __init__(self, lines: int, columns: int, **more: str) -> None:
        self.shown = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            size = {"LINES": str(lines), "COLUMNS": str(columns), "TERM": "xterm"}
            os.environ.update({**size, **more})
            os.execv(sys.executable, [sys.executable, "-m", "resque_fork", "top"])

    def until(self, pattern: str) -> list[str]:
        """The lines of the first screen that matches."""
        while True:
            screens = self.shown.split("\x1b[H")[1:]
            for screen in screens:
                if "\x1b[J" in screen and re.search(pattern, screen):
                    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen)
                    return plain.replace("\r", "").split("\n")
            self.shown += os.read(self.fd, 65536).decode()

    def quit(self, key: bytes) -> int:
        os.write(self.fd, key)
        try:
            while part := os.read(self.fd, 65536):
                self.shown += part.decode()
        except OSError:
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_it_is_drawn_again(redis: Redis, redis_url: str) -> None:
    """With what has changed a second; q ends it, and gives the terminal back."""
    redis.sadd("resque:queues", "mail")
    terminal = Terminal(24, 80)
    terminal.until(r"mail +0")
    redis.rpush("resque:queue:mail", *range(50))
    lines = terminal.until(r"mail +50 +\+")
    assert any(re.fullmatch(r"mail +50 +\+\d+\.\d/s", line) for line in lines)
    assert terminal.quit(b"q") == 0
    assert terminal.shown.endswith("\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("columns", [40, 80])
def test_it_fits(redis: Redis, redis_url: str, columns: int) -> None:
    """No line is longer, nor are there more lines than the terminal has; the rest is counted."""
    redis.sadd("resque:queues", *(f"queue-{n:03}" for n in range(100)))
    redis.sadd("resque:workers", *(f"a-host-with-a-long-name-{n}:1:*" for n in range(100)))
    terminal = Terminal(20, columns)
    lines = terminal.until("queue-000")
    assert len(lines) <= 20
    assert max(map(len, lines)) <= columns
    assert [line for line in lines if line.startswith("and")] == ["and 97 more", "and 92 more"]
    assert terminal.quit(b"q") == 0
