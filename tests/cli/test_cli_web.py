"""``web``: the dashboard in a server of its own."""

import http.client
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from resque_fork import embedded


def address_of(process: "subprocess.Popen[str]") -> str:
    """Where a dashboard that was just started listens."""
    assert process.stderr
    line = process.stderr.readline()
    found = re.fullmatch(r"The dashboard is at http://(\S+)/ until Ctrl-C\.\n", line)
    assert found, line
    return found[1]


def get(address: str, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_told_to_end(start, end: signal.Signals) -> None:
    """It says where it is, serves, and ends with status 0 by Ctrl-C or TERM."""
    process = start("web", "--port=0")
    address = address_of(process)
    assert address.startswith("127.0.0.1:")
    status, page = get(address, "/")
    assert (status, "You are 127.0.0.1." in page) == (200, True)
    assert get(address, "/healthz") == (200, "ok\n")
    process.send_signal(end)
    stdout, stderr = process.communicate(timeout=60)
    assert (stdout, process.returncode) == ("", 0), stderr
    assert "The dashboard has ended" in stderr


def test_ipv6(start) -> None:
    """It also listens on the loopback address of IPv6."""
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this host has no IPv6")
    address = address_of(start("web", "--port=0", "--host=::1"))
    assert get(address, "/healthz") == (200, "ok\n")


def test_is_for_this_host_only_unless_somebody_is_asked(run) -> None:
    """Elsewhere than on loopback it needs to know whom to let in."""
    for host in ("0.0.0.0", "::", "192.0.2.1", "ops.example.com"):
        assert run("web", "--host", host, status=2).stderr == (
            f"resque-fork: On {host} others can reach the dashboard: give --password-file, or "
            "behind a proxy that lets people in, --trusted-header.\n"
        )


def test_one_way_to_let_people_in(run, tmp_path: Path) -> None:
    """A password file and a trusted header exclude each other; a file has to be one."""
    file = tmp_path / "passwords"
    both = run("web", f"--password-file={file}", "--trusted-header=X-User", status=2)
    assert both.stderr == ("resque-fork: Give --password-file or --trusted-header, and not both.\n")
    missing = run("web", f"--password-file={file}", status=2)
    assert missing.stderr == (
        f"resque-fork: The password file {file} cannot be read: No such file or directory.\n"
    )


def test_lets_in_by_password_or_header(start, tmp_path: Path) -> None:
    """With either, it listens on every address; names have to be allowed."""
    (tmp_path / "passwords").write_text("ada:secret\n")
    by_password = address_of(
        start("web", "--port=0", "--host=0.0.0.0", "--password-file=passwords", "--read-only")
    ).replace("0.0.0.0", "127.0.0.1")
    assert get(by_password, "/")[0] == 401
    status, page = get(by_password, "/", Authorization="Basic YWRhOnNlY3JldA==")
    assert status == 200
    assert "You are ada, and may look, not change" in " ".join(page.split())
    options = ("--host=0.0.0.0", "--trusted-header=X-User", "--allow-host=ops.example.com")
    by_header = address_of(start("web", "--port=0", *options)).replace("0.0.0.0", "127.0.0.1")
    assert get(by_header, "/")[0] == 403
    named = {"X-User": "bob", "Host": "ops.example.com"}
    assert "You are bob." in get(by_header, "/", **named)[1]
    assert get(by_header, "/", **{**named, "Host": "evil.example.com"})[0] == 400


def test_a_port_that_is_taken(run) -> None:
    """A port that another has is named, with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("web", f"--port={port}", status=1).stderr == (
            f"resque-fork: 127.0.0.1, port {port} is not available: Address already in use.\n"
        )


def test_without_what_it_needs() -> None:
    """Without the extra, the command says how to install it."""
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from resque_fork.cli import program; program.main(['web'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "resque-fork: The dashboard needs starlette, which is not installed: "
        "pip install 'resque-fork[web]'.\n",
    )


def test_starts_without_redis_and_finds_it_later(start, tmp_path: Path) -> None:
    """A dashboard that finds no Redis says so on its pages, until there is one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = address_of(start("web", "--port=0", f"--redis=redis://127.0.0.1:{port}/0"))
    assert get(address, "/healthz")[0] == 503
    assert get(address, "/")[0] == 503
    with embedded.Server(port=port):
        assert get(address, "/healthz")[0] == 200
        assert get(address, "/")[0] == 200
