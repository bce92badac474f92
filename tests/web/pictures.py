"""Takes the pictures of docs/dashboard.md."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

from life.harness import until
from playwright.sync_api import Browser, ViewportSize, expect

from resque_fork import Resque
from resque_fork.embedded import Server
from resque_fork.web import dashboard
from resque_fork.wire.times import failed_time, run_time

from .served import Served


class Picture(NamedTuple):
    """What a picture is of: a page, and a text in a row of its tables."""

    path: str
    heading: str
    row: str


PICTURES = {
    "dashboard-overview.png": Picture("/", "Overview", "+320"),
    "dashboard-failed.png": Picture("/failed", "Failed jobs", "SendMail ConnectionError"),
}
SIZE: ViewportSize = {"width": 1000, "height": 660}

QUEUES = {"mail": 3, "images": 12, "imports": 1200, "reports": 1}
RUNNING = (("reports", "Report", 5025), ("images", "Resize", 4), ("mail", "SendMail", 1))
FAILURES = (
    ("SendMail", "mail", "ConnectionError", "smtp.example.com does not answer", 9),
    ("Resize", "images", "Resque::DirtyExit", "Child process received unhandled signal", 4),
    ("Import", "imports", "ValueError", "line 7: there is no such customer", 2),
)


def fill(resque: Resque) -> None:
    """A small shop, in which one queue grows and one job hangs."""
    now, redis = time.time(), resque.redis
    for queue, size in QUEUES.items():
        resque.enqueue_many("Import", ([n] for n in range(size)), queue=queue)
        redis.hset(resque.key_names.marks(queue), "marks", f"{int(now - size / 2)}000 1")
    for number, (queue, name, seconds) in enumerate(RUNNING):
        worker = f"jobs-{number + 1}:{4000 + number}:{queue}"
        record = {
            "queue": queue,
            "run_at": run_time(now - seconds),
            "payload": {"class": name, "args": [7]},
        }
        redis.sadd("resque:workers", worker)
        redis.set(f"resque:worker:{worker}", json.dumps(record))
        redis.hset("resque:workers:heartbeat", worker, run_time(now - 20))
    began = int(now) // 60 * 60
    for ago in range(24 * 60):
        mails = int(60 + 40 * math.sin(ago / 200) + 9 * math.sin(ago * 7))
        resizes = int(ago % 61 == 0) + 2 * int(505 < ago < 540)
        ends = {"jobs\tmail\tSendMail\tdone": mails, "jobs\timages\tResize\tfailed": resizes}
        redis.hset(resque.key_names.metrics_of(began - 60 * ago), mapping=ends)
    for name, queue, exception, error, count in FAILURES:
        for n in reversed(range(count)):
            entry = {
                "failed_at": failed_time(now - 60 * n),
                "payload": {"class": name, "args": [n]},
                "exception": exception,
                "error": error,
                "backtrace": [],
                "worker": "jobs-1:4000:mail",
                "queue": queue,
            }
            redis.rpush("resque:failed", json.dumps(entry))


def is_ready(overview: Any) -> bool:
    """Whether the check-up has been made, and all minutes of the day were read."""
    return bool(overview["findings"]) and all(span["complete"] for span in overview["lines"])


def take(browser: Browser, folder: Path) -> None:
    """Take all pictures, once the check-up has been made and a queue has grown."""
    with Server() as server:
        resque = Resque(server.url)
        fill(resque)
        with Served(dashboard(resque, access=lambda request: ("all", "ada"))) as served:
            until(lambda: is_ready(served.get("/overview.json").json))
            resque.enqueue_many("Import", ([n] for n in range(320)), queue="imports")
            page = browser.new_page(viewport=SIZE)
            for name, of in PICTURES.items():
                page.goto(f"{served.url}{of.path}")
                expect(page.get_by_role("heading", level=1)).to_have_text(of.heading)
                expect(page.get_by_role("row", name=of.row).first).to_be_in_viewport()
                page.screenshot(path=folder / name)
            page.close()
        resque.close()
