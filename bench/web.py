"""Measure the dashboard: bytes of the first load and of a refresh, and the time of each page.

A real `resque-fork web` serves a Redis with a million failed jobs, 100,000 tracked ones and the
records of 500 workers, half of which have a job. A time is the median of several, in
milliseconds, at the browser's end.
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from resque_fork.wire.status import status_text

from .arena import Arena
from .rows.failed_list import fill

REPEATED = 7
QUEUES = 50
DELAYED = 1000
PAGES = {
    "overview": "/",
    "queues": "/queues",
    "a queue": "/queue?name=queue-7",
    "workers": "/workers",
    "a worker": "/worker?id=host-1:1001:*",
    "failed": "/failed",
    "failed, in the middle": "/failed?before={middle}",
    "failed, searched in vain": "/failed?text=nobody+says+this",
    "failed, of a class": "/failed?class=noop",
    "delayed": "/delayed",
    "retries": "/retries",
    "schedules": "/schedules",
    "statuses": "/statuses",
    "statuses, searched in vain": "/statuses?text=nobody+says+this",
}


def _fill(arena: Arena, failed: int, workers: int, tracked: int) -> None:
    fill(arena, failed)
    pipe = arena.redis.pipeline(transaction=False)
    now = time.time()
    for number in range(workers):
        name = f"host-{number % 20}:{1000 + number}:*"
        pipe.sadd("resque:workers", name)
        pipe.hset("resque:workers:heartbeat", name, time.strftime("%Y-%m-%dT%H:%M:%SZ"))
        pipe.hset(f"resque:fork:{name}", mapping={"boot": "b", "pid_namespace": "p", "start": "1"})
        if number % 2:
            record = {
                "queue": f"queue-{number % QUEUES}",
                "run_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - number)),
                "payload": {"class": "Report", "args": [number]},
            }
            pipe.set(f"resque:worker:{name}", json.dumps(record))
    for number in range(QUEUES):
        pipe.sadd("resque:queues", f"queue-{number}")
        pipe.rpush(f"resque:queue:queue-{number}", *['{"class":"Report","args":[7]}'] * 100)
    for number in range(DELAYED):
        moment = int(now) + 60 + number
        pipe.zadd("resque:delayed_queue_schedule", {str(moment): moment})
        pipe.rpush(f"resque:delayed:{moment}", '{"class":"Report","args":[7],"queue":"queue-1"}')
    pipe.execute()
    _track(arena, tracked, int(now))


def _track(arena: Arena, count: int, now: int) -> None:
    for start in range(0, count, 1000):
        pipe = arena.redis.pipeline(transaction=False)
        for number in range(start, min(count, start + 1000)):
            second = now - count + number
            job_id = f"{second * 1000:012x}{number:020x}"
            text = status_text(job_id, "completed", "Report", "queue-1", num=7, total=7)
            pipe.zadd("resque:_statuses", {job_id: second})
            pipe.set(f"resque:status:{job_id}", text)
        pipe.execute()


@contextmanager
def _serving(url: str) -> Iterator[http.client.HTTPConnection]:
    command = [sys.executable, "-m", "resque_fork", "--redis", url, "web", "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://(\S+)/", process.stderr.readline())
        if found is None:
            raise click.ClickException("The dashboard did not start.")
        try:
            yield http.client.HTTPConnection(found[1], timeout=60)
        finally:
            process.terminate()


def _get(
    connection: http.client.HTTPConnection, path: str, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def _bytes(connection: http.client.HTTPConnection) -> Iterator[tuple[str, int]]:
    packed = {"Accept-Encoding": "gzip"}
    _, page = _get(connection, "/")
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.decode())
    sizes = [len(_get(connection, path, **packed)[1]) for path in ("/", *files)]
    yield "first load, compressed", sum(sizes)
    yield "refresh of a page that has changed, compressed", sizes[0]
    answer, _ = _get(connection, "/schedules", **packed)
    again = {**packed, "If-None-Match": str(answer.headers["ETag"])}
    answer, body = _get(connection, "/schedules", **again)
    if answer.status != 304:
        raise click.ClickException(f"An unchanged page was sent again: {answer.status}.")
    yield "refresh of one that has not", len(body)


def _times(connection: http.client.HTTPConnection, failed: int) -> Iterator[tuple[str, float]]:
    for name, path in PAGES.items():
        times = []
        for _ in range(REPEATED):
            start = time.monotonic()
            answer, body = _get(connection, path.format(middle=failed // 2))
            times.append((time.monotonic() - start) * 1000)
            if answer.status != 200:
                raise click.ClickException(f"{path}: {answer.status} {body.decode()[-500:]}")
        yield name, statistics.median(times)


@click.command(help=__doc__)
@click.option("--failed", default=1_000_000, show_default=True, help="Failed jobs.")
@click.option("--workers", default=500, show_default=True, help="Workers.")
@click.option("--tracked", default=100_000, show_default=True, help="Tracked jobs.")
def main(failed: int, workers: int, tracked: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="resque-fork-bench-") as name,
        Arena(Path(name)) as arena,
    ):
        _fill(arena, failed, workers, tracked)
        click.echo(f"{failed:,} failed jobs, {workers:,} workers, {tracked:,} tracked jobs")
        with _serving(arena.url) as connection:
            for what, size in _bytes(connection):
                click.echo(f"{size:>8,} bytes  {what}")
            for what, milliseconds in _times(connection, failed):
                click.echo(f"{milliseconds:>8.1f} ms     {what}")
