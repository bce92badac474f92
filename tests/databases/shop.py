"""The shop of a page: views that queue a job for each order, on a real PostgreSQL."""

from __future__ import annotations

import sys

from life.harness import Running, Stage

from . import pages
from .postgres import Postgres

# Options: two workers; seven jobs for each child; one job for each child.
WORKERS: list[tuple[str, ...]] = [("--count", "2"), ("--jobs-per-fork", "7"), ()]


class Shop:
    """The files of the page in the stage's directory, and the table of its orders."""

    def __init__(self, stage: Stage, postgres: Postgres, page: str, table: str) -> None:
        self.stage = stage
        self.env = stage.environment(**postgres.environment, RESQUE_REDIS=stage.url)
        self._postgres = postgres
        self._table = table
        pages.write(stage.directory, page)

    def run(self, *args: str) -> str:
        """Python with these arguments, for which a warning is an error; returns what it says."""
        running = self.stage.start(sys.executable, "-W", "error", *args, env=self.env)
        assert running.ended() == 0, running.said
        return running.said

    def change(self, path: str, old: str, new: str = "") -> None:
        """Replace a text that stands in a file."""
        file = self.stage.directory / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def work(self, *options: str, require: str) -> Running:
        """A worker that performs what is queued; it has ended well."""
        options = ("--interval", "0", *options)
        worker = self.stage.work(*options, queues="orders", require=require, env=self.env)
        assert worker.ended() == 0, worker.said
        return worker

    def assert_shipped(self, count: int, worker: Running) -> None:
        """So many orders are shipped, no job has failed, and the worker has not warned."""
        assert self.stage.failed() == []
        assert self.stage.stat("processed") == count
        shipped = self._postgres.rows(f"SELECT count(*) FROM {self._table} WHERE shipped")
        assert shipped == [(count,)]
        assert " WARNING: " not in worker.said
