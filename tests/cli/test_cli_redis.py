"""`redis`."""

import contextlib
import os
import signal
import socket

import pytest
from redis import Redis
from redis.exceptions import ConnectionError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_a_server_until_told_to_stop(start, number: signal.Signals) -> None:
    """The server's URL is the only line on stdout; INT and TERM end both, as they should."""
    process = start("redis")
    url = process.stdout.readline().strip()
    client = Redis.from_url(url)
    assert client.ping()
    pid = client.info("server")["process_id"]
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stdout == ""
    assert stderr == "The server runs until Ctrl-C, and saves nothing to disk.\n"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_listens_on_a_port(start) -> None:
    """With --port the URL is one for TCP."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = start("redis", "--port", str(port)).stdout.readline().strip()
    assert url == f"redis://127.0.0.1:{port}/0"
    assert Redis.from_url(url).ping()


def test_port_in_use(call) -> None:
    """A port that is taken is named in one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("redis", "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"resque-fork: Port {port} is not available: Address already in use. Choose another.\n"
    )


def test_server_that_dies_is_noticed(start) -> None:
    """When the server ends by itself the command fails."""
    process = start("redis")
    client = Redis.from_url(process.stdout.readline().strip())
    with contextlib.suppress(ConnectionError):  # the answer is that there is none
        client.execute_command("SHUTDOWN", "NOSAVE", "NOW")
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert stderr.endswith("resque-fork: The server has ended by itself.\n")
