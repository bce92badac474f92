"""What every test of real workers needs: start them, watch them, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from terminal import Terminal

import resque_fork
from resque_fork.version import __version__
from resque_fork.wire.unreadable import unwrapped

TIMEOUT = 60.0  # seconds for anything that ought to happen at once
HERE = Path(__file__).parent
SOURCES = Path(resque_fork.__file__).parent.parent
TITLE = f"resque-{__version__}: "


def until(
    happened: Callable[[], Any],
    instead: Callable[[], object] = lambda: "",
    timeout: float = TIMEOUT,
) -> Any:
    """Ask again and again until the answer is true; returns it. `instead` tells what is."""
    late = time.monotonic() + timeout
    while not (answer := happened()):
        if time.monotonic() > late:
            raise AssertionError(f"it did not happen within {timeout:g} seconds; {instead()}")
        time.sleep(0.005)
    return answer


def title_of(pid: int) -> str:
    """As ``ps`` shows it; empty for a process that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children_of(pid: int) -> list[int]:
    """Zombies included."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def bytes_in(entry: Mapping[str, Any]) -> bytes:
    """The exact payload that a failed entry keeps."""
    return unwrapped(json.dumps(entry["payload"]).encode())


class Running:
    """A program that was started, a worker for the most part."""

    def __init__(self, popen: subprocess.Popen[bytes], said: Path) -> None:
        self.popen = popen
        self.pid = popen.pid
        self._said = said

    @property
    def said(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self._said.read_text(errors="replace")

    @property
    def title(self) -> str:
        return title_of(self.pid)

    @property
    def children(self) -> list[int]:
        return children_of(self.pid)

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self.popen.send_signal(number)

    def until_title(self, beginning: str) -> str:
        """Wait for a title that begins like this (after ours); returns all of it."""
        return str(
            until(
                lambda: title if (title := self.title).startswith(TITLE + beginning) else None,
                lambda: f"the title of {self.pid} is {self.title!r}\n{self.said}",
            )
        )

    def until_said(self, text: str) -> None:
        until(lambda: text in self.said, lambda: f"not {text!r} was said, but:\n{self.said}")

    def until_idle(self) -> Running:
        """No child any more: a title may still be that of before a job, whose child has told us."""
        until(lambda: not self.children, lambda: f"{self.pid} has children\n{self.said}")
        self.until_title("Waiting for")
        return self

    def ended(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.pid} ({self.title!r}) has not ended after {timeout:g} seconds:\n{self.said}"
            ) from None

    def stop(self, number: int = signal.SIGQUIT) -> int:
        """Told to stop once its job, which may have told us something already, has returned."""
        self.send(number)
        return self.ended()

    def kill(self) -> None:
        """As the kernel's killer would: nothing runs any more."""
        self.popen.kill()
        self.popen.wait()


class Stage:
    """A directory to work in, a Redis, and every process that was started."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.redis = Redis.from_url(url)
        self._started: list[Running] = []
        self._box = self._fifo("box")
        self._gate = self._fifo("gate")
        self._heard = b""

    def _fifo(self, name: str) -> int:
        """Kept open at both ends, so that nobody ever waits for the other or gets SIGPIPE."""
        path = self.directory / name
        os.mkfifo(path)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        for running in self._started:
            running.kill()
        # and what went to the background, or was left behind by a job
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self.directory):
                    process.kill()
        os.close(self._box)
        os.close(self._gate)
        self.redis.close()

    # --- processes

    def environment(self, **more: str) -> dict[str, str]:
        ours = ("RESQUE", "QUEUE", "REDIS", "INTERVAL", "TERM_CHILD", "VERBOSE", "COUNT", "PIDFILE")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        path = os.pathsep.join([str(SOURCES), str(HERE)])
        return {**kept, "PYTHONPATH": path, "LIFE": str(self.directory), **more}

    def start(self, *command: str, env: Mapping[str, str] | None = None, **options: Any) -> Running:
        said = self.directory / f"said-{len(self._started)}"
        with said.open("ab") as file:
            popen = subprocess.Popen(
                command,
                cwd=self.directory,
                env=dict(self.environment() if env is None else env),
                **{"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, **options},
            )
        running = Running(popen, said)
        self._started.append(running)
        return running

    def command(self, *options: str, queues: str = "jobs", require: str = "jobs") -> list[str]:
        return [
            *(sys.executable, "-m", "resque_fork", "--redis", self.url),
            *("work", "--queues", queues, "--require", require, "--term-timeout", "0.5"),
            *options,
        ]

    def work(
        self,
        *options: str,
        queues: str = "jobs",
        require: str = "jobs",
        env: Mapping[str, str] | None = None,
    ) -> Running:
        """A worker of the command line; not waited for."""
        return self.start(*self.command(*options, queues=queues, require=require), env=env)

    def work_in(self, terminal: Terminal, *options: str, **more: Any) -> Running:
        """A worker that somebody has started by hand."""
        command = terminal.command(*self.command(*options, **more))
        return self.start(*command, stdin=terminal.theirs, start_new_session=True)

    def run(self, *command: str) -> str:
        """A command of the command line; returns its output. It has to go well."""
        program = [sys.executable, "-m", "resque_fork", "--redis", self.url, *command]
        done = subprocess.run(
            program, cwd=self.directory, env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def idle(self, *options: str, **more: Any) -> Running:
        """A worker that waits for jobs."""
        return self.work(*options, **more).until_idle()

    def holding(self, *options: str, job: str = "hold", **more: Any) -> tuple[Running, int]:
        """A worker in the middle of a job, and the pid of its child."""
        self.push(job)
        worker = self.work(*options, **more)
        child = self.told("begun", by=worker)["pid"]
        worker.until_title("Forked")
        return worker, child

    # --- jobs

    def push(self, name: str, *args: Any, queue: str = "jobs") -> None:
        """As any producer of any language would do it."""
        raw = json.dumps({"class": name, "args": args}, separators=(",", ":"), ensure_ascii=False)
        self.push_raw(raw.encode(), queue)

    def push_raw(self, raw: bytes, queue: str = "jobs") -> None:
        self.redis.sadd("resque:queues", queue)
        self.redis.rpush(f"resque:queue:{queue}", raw)

    def open_gate(self) -> None:
        """Let one job pass."""
        os.write(self._gate, b".")

    def told(self, what: str, by: Running | None = None) -> dict[str, Any]:
        """Wait until a job says it; whatever was said before is forgotten."""
        late = time.monotonic() + TIMEOUT
        while True:
            for message in self._messages():
                if message["what"] == what:
                    return message
            if not select.select([self._box], [], [], max(0.0, late - time.monotonic()))[0]:
                raise AssertionError(
                    f"no job has said {what!r}" + (f":\n{by.said}" if by is not None else "")
                )
            self._hear()

    def nothing_told(self, what: str) -> bool:
        """Whether no job has said it by now; forgets what was said."""
        self._hear()
        return all(message["what"] != what for message in list(self._messages()))

    def everything_told(self) -> list[dict[str, Any]]:
        """What was said and not yet read."""
        self._hear()
        return list(self._messages())

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard += os.read(self._box, 65536)

    def _messages(self) -> Iterator[dict[str, Any]]:
        while b"\n" in self._heard:
            line, _, self._heard = self._heard.partition(b"\n")
            yield json.loads(line)

    # --- what Redis says

    def failed(self, count: int | None = None) -> list[dict[str, Any]]:
        """The failed entries, oldest first; waits until there are `count` of them."""
        if count is not None:
            until(
                lambda: self.redis.llen("resque:failed") >= count,
                lambda: f"{self.redis.llen('resque:failed')} have failed\n{self._all_said()}",
            )
        entries = [json.loads(raw) for raw in self.redis.lrange("resque:failed", 0, -1)]
        assert count is None or len(entries) == count, entries
        return entries

    def failure_of(self, name: str, *args: Any) -> dict[str, Any]:
        """The failed entry of a job; the same worker then performs the next one."""
        worker = self.idle()
        self.push(name, *args)
        self.push("quick", "next")
        assert self.told("quick", by=worker)["parent"] == worker.pid
        [entry] = self.failed(1)
        assert (entry["queue"], entry["worker"]) == ("jobs", self.id_of(worker))
        assert entry["payload"] == {"class": name, "args": list(args)}
        assert worker.stop() == 0
        assert (self.stat("processed"), self.stat("failed")) == (2, 1)
        assert "Traceback" not in worker.said
        return entry

    def _all_said(self) -> str:
        return "\n".join(running.said for running in self._started)

    def queue(self, name: str = "jobs") -> list[bytes]:
        found: Any = self.redis.lrange(f"resque:queue:{name}", 0, -1)
        return list(found)

    def stat(self, name: str) -> int:
        return int(self.redis.get(f"resque:stat:{name}") or 0)

    def workers(self) -> list[str]:
        members: Any = self.redis.smembers("resque:workers")
        return sorted(member.decode() for member in members)

    def id_of(self, worker: Running, queues: str = "jobs") -> str:
        return f"{os.uname().nodename}:{worker.pid}:{queues}"

    def keys_of(self, worker: Running) -> list[bytes]:
        """Every key, member and field in Redis that names this worker."""
        mark = f":{worker.pid}:".encode()
        keys: Any = self.redis.keys("*")
        members: Any = self.redis.sunion(["resque:workers", "resque:fork:workers"])
        fields: Any = self.redis.hkeys("resque:workers:heartbeat")
        return [name for name in (*keys, *members, *fields) if mark in name]

    def prune_as_ruby_does(self, worker: Running) -> None:
        """A Ruby worker that takes ours for dead removes all that it knows of."""
        worker_id = self.id_of(worker)
        pipe = self.redis.pipeline()
        pipe.srem("resque:workers", worker_id)
        pipe.delete(
            f"resque:worker:{worker_id}",
            f"resque:worker:{worker_id}:started",
            f"resque:stat:processed:{worker_id}",
            f"resque:stat:failed:{worker_id}",
        )
        pipe.hdel("resque:workers:heartbeat", worker_id)
        pipe.execute()

    def assert_goes_on(self, worker: Running) -> None:
        """It takes a job, counts that alone, and leaves when it is told to."""
        before = self.stat("processed")
        self.push("quick")
        self.told("quick", by=worker)
        until(lambda: self.stat("processed") == before + 1, lambda: worker.said)
        assert worker.stop() == 0
        self.assert_left(worker)

    def assert_left(self, worker: Running) -> None:
        """Nothing of it is in Redis, and nothing of it runs."""
        assert self.keys_of(worker) == []
        assert not is_alive(worker.pid)
