"""A lane of the arena: a database of Redis, a named pipe for marks, and who is started there.

Each contestant of a race has a lane of its own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from redis import Redis

from resque_fork.system.process import die_with_parent

from .jobs import GATE, MARKS, QUEUE, sequence

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 60.0  # seconds for a system to do anything at all
OURS = ("RESQUE", "QUEUE", "REDIS", "INTERVAL", "TERM_CHILD", "VERBOSE", "COUNT", "PIDFILE", "FORK")


class Failed(Exception):
    """A system under measurement did not do what it was started for."""


@dataclass(frozen=True)
class Mark:
    """That a job ran: its number, its process, and when, on the clock of time.monotonic."""

    number: int
    pid: int
    seconds: float


class Lane:
    """`worker_options` are added to the command line of each of our workers."""

    def __init__(self, folder: Path, url: str, worker_options: Sequence[str] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.url = url
        self.redis: Any = Redis.from_url(url)
        self.worker_options = list(worker_options)
        self._marks = self._fifo("marks")
        self._gate = self._fifo("gate")
        self._heard = b""
        self._running: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """End all that was started here."""
        for process in list(self._running):
            self.end(process)
        self.redis.close()
        os.close(self._marks)
        os.close(self._gate)

    # --- processes

    @property
    def environment(self) -> dict[str, str]:
        """Without settings of whoever runs the benchmark."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        ours = {
            "PYTHONPATH": str(ROOT),
            "BENCH_REDIS": self.url,
            MARKS: str(self.folder / "marks"),
            GATE: str(self.folder / "gate"),
        }
        return {**kept, **ours}

    def start(self, command: Sequence[str], **more: str) -> subprocess.Popen[bytes]:
        """A program, in a session of its own; what it says goes to a file."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=functools.partial(die_with_parent, os.getpid()),
            )
        self._running.append(process)
        return process

    def work(
        self, *options: str, queues: str = QUEUE, app: str = "bench.app", **more: str
    ) -> subprocess.Popen[bytes]:
        """One of our workers, started as users start it."""
        command = [sys.executable, "-m", "resque_fork", "--redis", self.url]
        command += ["work", "--queues", queues, "--require", app]
        return self.start([*command, *options, *self.worker_options], **more)

    @contextlib.contextmanager
    def working(
        self, *options: str, queues: str = QUEUE, app: str = "bench.app"
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = self.work(*options, queues=queues, app=app)
        try:
            yield process
        finally:
            self.end(process, signal.SIGTERM)

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        """End a program and all that it started."""
        if number != signal.SIGKILL and process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process in self._running:
            self._running.remove(process)

    def output(self, command: Sequence[str]) -> str:
        """What a program prints. Raises Failed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise Failed(f"{' '.join(command)}:\n{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def talking(self, command: Sequence[str]) -> Iterator[tuple[IO[str], IO[str]]]:
        """A program that is written to and read from, a line at a time."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        with process:
            try:
                yield process.stdin, process.stdout
            finally:
                process.kill()

    def until_idle(self, pid: int) -> None:
        """Wait until one of our workers says in its title that it waits for jobs."""
        late = time.monotonic() + TIMEOUT
        while b": Waiting for" not in (title := _title(pid)):
            if not title or time.monotonic() > late:
                raise Failed(f"A worker did not become idle:\n{self.said()}")
            time.sleep(0.01)

    def said(self) -> str:
        """The end of what programs have said."""
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""

    @property
    def _log(self) -> Path:
        return self.folder / "programs.log"

    # --- jobs

    def empty(self) -> None:
        """Nothing is in this database, no mark is unread."""
        self.redis.flushdb()
        self._hear(0)
        self._heard = b""

    def push(self, name: str, *args: object, queue: str = QUEUE) -> None:
        """As any producer of any language would do it."""
        self.redis.sadd("resque:queues", queue)
        self.redis.rpush(f"resque:queue:{queue}", payload(name, *args))

    def fill(self, count: int, every: int, queue: str = QUEUE) -> None:
        """Queue jobs that do nothing, every so many of them one that leaves a mark."""
        payloads = [payload(name, number) for name, number in sequence(count, every)]
        self.redis.sadd("resque:queues", queue)
        for start in range(0, count, 1000):
            self.redis.rpush(f"resque:queue:{queue}", *payloads[start : start + 1000])

    def open_gate(self) -> None:
        """Let one held job pass."""
        os.write(self._gate, b".")

    def next_mark(self, process: subprocess.Popen[bytes] | None = None) -> Mark:
        """Wait for the next mark of a job. Raises Failed if none comes."""
        late = time.monotonic() + TIMEOUT
        while b"\n" not in self._heard:
            if process is not None and process.poll() is not None:
                raise Failed(f"A program has left with {process.returncode}:\n{self.said()}")
            if time.monotonic() > late:
                raise Failed(f"No job has run for {TIMEOUT:g} seconds:\n{self.said()}")
            self._hear(0.5)
        return self._take_mark()

    def marks(self) -> list[Mark]:
        """Those that have been left and not yet read."""
        self._hear(0)
        found = []
        while b"\n" in self._heard:
            found.append(self._take_mark())
        return found

    # --- inside

    def _fifo(self, name: str) -> int:
        """Kept open at both ends, so that nobody ever waits for the other."""
        os.mkfifo(self.folder / name)
        return os.open(self.folder / name, os.O_RDWR | os.O_NONBLOCK)

    def _hear(self, seconds: float) -> None:
        if select.select([self._marks], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._heard += os.read(self._marks, 65536)

    def _take_mark(self) -> Mark:
        line, _, self._heard = self._heard.partition(b"\n")
        number, pid, nanoseconds = map(int, line.split())
        return Mark(number, pid, nanoseconds / 1e9)


def payload(name: str, *args: object) -> bytes:
    """A job as it stands in a queue."""
    return json.dumps({"class": name, "args": args}, separators=(",", ":")).encode()


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
