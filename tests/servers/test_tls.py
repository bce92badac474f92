"""Redis behind TLS, with a certificate from an authority that only we know."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from life.harness import Stage, until

from resque_fork import AccessRefused, RedisUnavailable, Resque, SettingsError

from .nodes import Node
from .proxy import Proxy

Stages = Callable[[str], Stage]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def front(node: Node, authority: trustme.CA) -> Iterator[Proxy]:
    """Speaks TLS for the server behind it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Proxy(node.port, context) as front:
        yield front


@pytest.fixture
def url(front: Proxy, ca_file: Path) -> str:
    return f"rediss://127.0.0.1:{front.port}/0?ssl_ca_certs={ca_file}"


def test_jobs_over_tls(url: str, on: Stages) -> None:
    """Picked up at once, performed, failed and counted; one of megabytes too."""
    stage, resque = on(url), Resque(url)
    worker = stage.idle("--interval", "60")
    started = time.monotonic()
    resque.enqueue_to("jobs", "quick", 1)
    stage.told("quick", by=worker)
    resque.enqueue_to("jobs", "boom", "x" * 3_000_000)
    until(lambda: resque.failed().count() == 1)
    assert time.monotonic() - started < 10.0
    assert [len(job.args[0]) for job in resque.failed().page()] == [3_000_000]
    assert worker.stop() == 0
    assert (resque.stats.get("processed"), resque.workers()) == (2, [])
    resque.close()


def test_notifications_and_replies_in_one_record(url: str, front: Proxy, on: Stages) -> None:
    """Several at once come out of one TLS record: none is left lying there unheard."""
    front.linger = 0.02
    stage, resque = on(url), Resque(url)
    worker = stage.idle("--interval", "60")
    started = time.monotonic()
    for number in range(20):
        resque.enqueue_to("jobs", "quick", number)
        assert stage.told("quick", by=worker)["args"] == [number]
    assert time.monotonic() - started < 20.0
    assert worker.stop() == 0
    assert resque.stats.get("processed") == 20
    resque.close()


@pytest.mark.parametrize("certified", ["redis.test", "other.test"])
def test_a_server_with_a_name(
    node: Node, authority: trustme.CA, ca_file: Path, on: Stages, certified: str
) -> None:
    """The certificate has to be for the name in the URL, by whatever address that is reached."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(certified).configure_cert(context)
    with Proxy(node.port, context) as front:
        stage = on(f"rediss://redis.test:{front.port}/0?ssl_ca_certs={ca_file}")
        worker = stage.work(require="nameless")
        if certified == "redis.test":
            assert worker.until_idle().stop() == 0
        else:
            assert worker.ended() == 1
            assert "cannot be trusted" in worker.said
            assert "redis.test" in worker.said


def test_an_unknown_authority(front: Proxy, on: Stages, tmp_path: Path) -> None:
    """One sentence that says what to do, from the client and from a worker, which leaves."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    plain = f"rediss://127.0.0.1:{front.port}/0"
    for url in (plain, f"{plain}?ssl_ca_certs={other}"):
        with pytest.raises(AccessRefused, match="name the authority that signed it with") as raised:
            Resque(url).enqueue_to("jobs", "quick")
        assert str(raised.value).endswith(
            "with ?ssl_ca_certs=FILE in the URL, or trust whoever answers with "
            "?ssl_cert_reqs=none, which encrypts but keeps out nobody who can stand in between. "
            "Nothing was queued."
        )
        worker = on(url).work()
        assert worker.ended() == 1
        assert worker.said.count("\n") == 1
        assert "cannot be trusted" in worker.said


def test_a_certificate_for_another_host(front: Proxy, ca_file: Path) -> None:
    """It is refused, too."""
    url = f"rediss://localhost:{front.port}/0?ssl_ca_certs={ca_file}"
    with pytest.raises(AccessRefused, match="cannot be trusted"):
        Resque(url).queues()


def test_a_file_that_is_not_there(on: Stages) -> None:
    """A wrong path is an error of the settings."""
    url = "rediss://127.0.0.1:1/0?ssl_ca_certs=/nowhere.pem"
    with pytest.raises(SettingsError, match=r"there is no file /nowhere\.pem"):
        Resque(url)
    worker = on(url).work()
    assert worker.ended() == 2
    assert "Traceback" not in worker.said


def test_a_handshake_that_stalls(url: str, front: Proxy, on: Stages, node: Node) -> None:
    """The worker sees to its job and its signals all the same, and goes on when it is over."""
    stage, resque = on(url), Resque(node.url)
    resque.enqueue_to("jobs", "hold")
    worker = stage.work("--heartbeat-interval", "0.5", "--timeout", "1.5")
    child = stage.told("begun", by=worker)["pid"]
    front.stalled = True
    front.cut()
    worker.until_said("Trying again.")
    until(lambda: child not in worker.children)  # its time is over
    front.stalled = False
    (job,) = until(lambda: resque.failed().page())
    assert job.exception == "ResqueFork::JobTimeout"
    front.stalled = True
    front.cut()
    until(lambda: worker.said.count("Trying again.") == 2)
    started = time.monotonic()
    assert worker.stop() == 1  # its Redis is away
    assert time.monotonic() - started < 6.0
    resque.close()


def told_by_all(url: str, on: Stages) -> str:
    """What a client says of it, and a worker that goes on trying, and the program; in time."""
    started = time.monotonic()
    with pytest.raises(RedisUnavailable) as raised:
        Resque(url).enqueue_to("jobs", "quick")
    said = str(raised.value).removesuffix(" Nothing was queued.")
    assert said != str(raised.value)
    done = subprocess.run(
        [sys.executable, "-m", "resque_fork", "--redis", url, "info"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, f"resque-fork: {said}\n")
    worker = on(url).work()
    worker.until_said("is that port TLS?")
    assert time.monotonic() - started < 30.0  # each of them has 10 s for a reply
    assert worker.stop() == 1
    assert "Traceback" not in worker.said
    return said


def test_a_port_that_wants_tls(front: Proxy, on: Stages) -> None:
    """Who speaks to it without is asked whether that is meant, at once."""
    url = f"redis://127.0.0.1:{front.port}/0"
    said = told_by_all(url, on)
    assert said.startswith(f"Redis at {url} cannot be used (no reply: ")
    assert said.endswith("): is that port TLS? If it is, the URL begins with rediss://.")


def test_a_port_without_tls(node: Node, on: Stages) -> None:
    """Who speaks TLS to it is asked whether that is meant, when the handshake has had its time."""
    url = f"rediss://127.0.0.1:{node.port}/0"
    said = told_by_all(url, on)
    assert said.startswith(f"Redis at {url} cannot be used (no TLS handshake: ")
    assert said.endswith("): is that port TLS? If it is not, the URL begins with redis://.")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "rediss+sentinel", "rediss+cluster"])
def test_a_port_that_says_nothing(scheme: str) -> None:
    """One that nobody answers at, whoever speaks, is asked about where TLS was wanted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path = "primary/0" if scheme.endswith("sentinel") else "0"
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/{path}"
        resque = Resque(url, namespace="{resque}", timeout=0.3)
        with pytest.raises(RedisUnavailable) as raised:
            resque.enqueue_to("jobs", "quick")
    assert ("is that port TLS?" in str(raised.value)) is (scheme == "rediss")
    assert str(raised.value).endswith("Nothing was queued.")


def test_a_certificate_that_is_to_be_trusted_as_it_is(front: Proxy, on: Stages) -> None:
    """With ssl_cert_reqs=none, as managed servers need it, jobs are enqueued and performed."""
    url = f"rediss://127.0.0.1:{front.port}/0?ssl_cert_reqs=none"
    stage, resque = on(url), Resque(url)
    worker = stage.idle("--interval", "60")
    resque.enqueue_to("jobs", "quick", 1)
    assert stage.told("quick", by=worker)["args"] == [1]
    assert worker.stop() == 0
    resque.close()
