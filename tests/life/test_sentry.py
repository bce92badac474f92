"""Failed jobs in Sentry: the real SDK, and a server that takes in what it sends."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sentry_sdk.envelope import Envelope

from .harness import Running, Stage

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "sentry.md"

BACKENDS = "--failure-backend=redis,log,resque_fork.contrib.sentry:Sentry"

JOBS = """
import logging
import os
import signal

@job(queue="jobs")
def fail(number):
    raise ValueError(f"no {number}")

@job(queue="jobs", retry=[0, 0])
def fail_until(attempt):
    count = len(os.listdir("attempts")) + 1
    open(f"attempts/{count}", "w").close()
    if count < attempt:
        raise ValueError(f"attempt {count}")

@job(queue="jobs", sensitive=True)
def keep_secret(token):
    raise ValueError("secret")

@job(queue="jobs", retry=[0])
def die():
    os.kill(os.getpid(), signal.SIGKILL)

@job(queue="jobs", timeout="0.1")
def hang():
    os.read(os.pipe()[0], 1)

@job(queue="jobs")
def log_an_error():
    sentry_sdk.set_user({"id": "ada"})
    logging.getLogger("shop").error("the shelf is empty")

@job(queue="jobs")
def capture_and_fail():
    try:
        1 / 0
    except ZeroDivisionError as error:
        sentry_sdk.capture_exception(error)
        raise
"""


# Sends nothing until it is flushed.
HELD = """
import threading
from sentry_sdk.transport import HttpTransport

class Held(HttpTransport):
    flushed = threading.Event()

    def _send_envelope(self, envelope):
        self.flushed.wait()
        super()._send_envelope(envelope)

    def flush(self, *args, **kwargs):
        self.flushed.set()
        super().flush(*args, **kwargs)

sentry_sdk.init(transport=Held)
"""


class Sentry:
    """Takes envelopes as Sentry does, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/api/1/envelope/"
                for item in Envelope.deserialize(_unpacked(body)).items:
                    if item.type == "event":
                        events.append(json.loads(item.get_bytes()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://key@127.0.0.1:{self.server.server_port}/1"


def _unpacked(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    sentry = Sentry()
    with sentry.server:
        thread = threading.Thread(target=sentry.server.serve_forever)
        thread.start()
        yield sentry
        sentry.server.shutdown()
        thread.join()


class Application:
    """The application of the page, with more jobs."""

    def __init__(self, stage: Stage, dsn: str) -> None:
        self.stage = stage
        (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
        (stage.directory / "app.py").write_text(f"{code}\n{JOBS}")
        self.env = stage.environment(SENTRY_DSN=dsn)

    def start(self, *options: str, interval: str = "0") -> Running:
        options = (BACKENDS, "--interval", interval, *options)
        return self.stage.work(*options, queues="jobs,billing", require="app", env=self.env)

    def perform(self, *options: str) -> str:
        """All that is queued; returns what the worker said."""
        worker = self.start(*options)
        assert worker.ended() == 0, worker.said
        return worker.said


@pytest.fixture
def application(stage: Stage, sentry: Sentry) -> Application:
    return Application(stage, sentry.dsn)


def test_an_exception(application: Application, stage: Stage, sentry: Sentry) -> None:
    """It is one event, though it is logged too, with its stack and the job."""
    stage.push("fail", 7)
    said = application.perform("-v")
    assert "ERROR" in said
    [event] = sentry.events
    [error] = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "no 7")
    frame = error["stacktrace"]["frames"][-1]
    assert (frame["function"], frame["module"], frame["in_app"]) == ("fail", "app", True)
    assert event["transaction"] == "fail"
    assert event["release"] == "shop@1.0"
    assert (
        event["tags"]
        == {
            "resque.queue": "jobs",
            "resque.class": "fail",
            "resque.attempt": "1",
        }
        or event["tags"]["resque.attempt"] == 1
    )
    [entry] = stage.failed()
    assert event["contexts"]["resque-fork"] == {"worker": entry["worker"], "args": [7]}


@pytest.mark.parametrize(("succeeds", "attempts"), [(3, []), (9, [3])])
def test_retries(
    application: Application, stage: Stage, sentry: Sentry, succeeds: int, attempts: list[int]
) -> None:
    """A job that is retried is no event until it has failed for good, with its last attempt."""
    (stage.directory / "attempts").mkdir()
    stage.push("fail_until", succeeds)
    application.perform()
    assert len(stage.failed()) == len(attempts)
    assert [event["tags"]["resque.attempt"] for event in sentry.events] == attempts
    for event in sentry.events:
        assert event["exception"]["values"][-1]["value"] == "attempt 3"


def test_secrets(application: Application, stage: Stage, sentry: Sentry) -> None:
    """Neither arguments nor local variables of jobs with secrets are sent."""
    stage.push("charge", 100, "4111-hidden", queue="billing")
    stage.push("keep_secret", "token-hidden")
    stage.push("fail", "shown")
    application.perform("--jobs-per-fork=9")
    sent = {event["transaction"]: event for event in sentry.events}
    assert list(sent) == ["keep_secret", "fail", "charge"]
    assert "hidden" not in json.dumps(sentry.events)
    assert sent["charge"]["contexts"]["resque-fork"]["args"][0] == 100
    assert "[redacted" in sent["charge"]["contexts"]["resque-fork"]["args"][1]
    assert sent["keep_secret"]["contexts"]["resque-fork"]["args"] is None
    frames = sent["fail"]["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames[-1]["vars"] == {"number": "'shown'"}


def test_a_death(application: Application, stage: Stage, sentry: Sentry) -> None:
    """It is one event, captured in a process that the worker forks; it knows the attempt."""
    stage.push("die")
    stage.push("fail", 1)
    application.perform()
    fail, death = sentry.events
    [entry] = [entry for entry in stage.failed() if entry["payload"]["class"] == "die"]
    [error] = death["exception"]["values"]
    assert (error["type"], error["value"]) == ("DirtyExit", entry["error"])
    assert "SIGKILL" in error["value"]
    assert death["transaction"] == "die"
    assert death["tags"]["resque.attempt"] == 2
    assert death["fingerprint"] == ["{{ default }}", "die"]
    assert "fingerprint" not in fail


def test_a_time_limit(application: Application, stage: Stage, sentry: Sentry) -> None:
    """It is one event, whose stack shows where the job hung."""
    stage.push("hang")
    application.perform()
    [event] = sentry.events
    [error] = event["exception"]["values"]
    assert error["type"] == "JobTimeout"
    assert "hang" in [frame["function"] for frame in error["stacktrace"]["frames"]]


def test_what_a_job_captures(application: Application, stage: Stage, sentry: Sentry) -> None:
    """It is sent before the child exits though the job does well, and has the job's tags."""
    with (stage.directory / "app.py").open("a") as file:
        file.write(HELD)
    stage.push("log_an_error")
    application.perform()
    [event] = sentry.events
    assert event["logentry"]["message"] == "the shelf is empty"
    assert event["tags"]["resque.class"] == "log_an_error"
    assert event["user"]["id"] == "ada"


def test_what_a_job_sets(application: Application, stage: Stage, sentry: Sentry) -> None:
    """It is not on the events of the next job in the same process."""
    stage.push("log_an_error")
    stage.push("fail", 1)
    application.perform("--jobs-per-fork=9")
    assert [sorted(event.get("user", {})) for event in sentry.events] == [["id"], []]


def test_it_is_not_captured_twice(application: Application, stage: Stage, sentry: Sentry) -> None:
    """What a job has captured before it raises it is one event."""
    stage.push("capture_and_fail")
    application.perform()
    [event] = sentry.events
    assert event["exception"]["values"][0]["type"] == "ZeroDivisionError"


def test_the_worker_has_no_thread(application: Application, stage: Stage, sentry: Sentry) -> None:
    """After failures and deaths it is as fit to fork as before."""
    worker = application.start("-v", interval="60").until_idle()
    stage.push("die")
    stage.push("fail", 1)
    stage.failed(2)
    worker.until_idle()
    assert len(os.listdir(f"/proc/{worker.pid}/task")) == 1
    assert worker.stop() == 0
    assert len(sentry.events) == 2


def test_sentry_that_does_not_answer(stage: Stage) -> None:
    """Jobs fail and succeed as without it, and nothing is lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        application = Application(stage, f"http://key@127.0.0.1:{port}/1")
        stage.push("fail", 1)
        stage.push("log_an_error")
        stage.push("fail", 2)
        said = application.perform()
    assert [entry["payload"]["args"] for entry in stage.failed()] == [[1], [2]]
    assert stage.stat("processed") == 3
    assert "logging handler" not in said


def test_doctor(application: Application) -> None:
    """The application starts no thread, and opens no connection, by having Sentry set up."""
    env = {**application.env, "RESQUE_REDIS": application.stage.url}
    command = (sys.executable, "-m", "resque_fork", "doctor", "--require=app", "--json")
    doctor = application.stage.start(*command, env=env)
    assert doctor.ended() == 0
    results = {row["check"]: row["result"] for row in json.loads(doctor.said)}
    assert results["threads at fork"] == results["connections at fork"] == "ok"
