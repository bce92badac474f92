"""Two ways to call the program: in this process, and as a process of its own."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from resque_fork import settings
from resque_fork.cli import program

ROOT = Path(__file__).resolve().parent.parent.parent

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the test's server is set in the environment."""
    for setting in settings.table():
        for variable in settings.variables(setting):
            monkeypatch.delenv(variable, raising=False)
    for variable in ("VVERBOSE", "RESQUE_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RESQUE_REDIS", redis_url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def run() -> Run:
    """Call the program here: ``run("queues", "--json")``; `status` is what it must end with."""

    def run(*args: str, status: int = 0, **how: object) -> Result:
        result = CliRunner().invoke(program, args, **how)  # type: ignore[arg-type]
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program as a process of its own, in `tmp_path`; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *args: str, env: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            [sys.executable, "-m", "resque_fork", *args],
            cwd=tmp_path,
            text=True,
            env={**os.environ, **(env or {})},
            **{**pipes, **how},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def call(start: Start) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the program as a process of its own, and return when it has ended."""

    def call(*args: str, **how: object) -> "subprocess.CompletedProcess[str]":
        process = start(*args, **how)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)

    return call


@pytest.fixture
def in_terminal(redis_url: str) -> Callable[..., str]:
    """What the program shows in a terminal of 80 columns, where `answer` is typed."""

    def in_terminal(
        *args: str, env: Mapping[str, str] | None = None, answer: str = "", status: int = 0
    ) -> str:
        shown = bytearray()
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update({"COLUMNS": "80", "TERM": "xterm", **(env or {})})
            os.execv(sys.executable, [sys.executable, "-m", "resque_fork", *args])
        try:
            os.write(terminal, answer.encode())
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:  # how Linux says that the other side has gone
            pass
        finally:
            os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status, shown
        return shown.decode().replace("\r\n", "\n").removeprefix(answer)

    return in_terminal


APPLICATION = '''
import os
import signal

from redis import Redis

from resque_fork import Resque, job


@job(queue="mail")
def say(text):
    """Tells what it was told, through the Redis and in the namespace that Resque() means."""
    resque = Resque()
    resque.redis.rpush("said", text)
    resque.stats.incr("said")


@job(queue="mail")
def block():
    """Tells its pid and never ends by itself."""
    Redis.from_url(os.environ["RESQUE_REDIS"]).rpush("blocked", os.getpid())
    signal.pause()
'''


@pytest.fixture
def application(tmp_path: Path) -> str:
    """The name of a module with the jobs `say` and `block`, importable where `start` starts."""
    (tmp_path / "application.py").write_text(APPLICATION)
    return "application"
