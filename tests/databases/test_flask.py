"""The Flask application of its page, with Flask-SQLAlchemy on a real PostgreSQL."""

from __future__ import annotations

import sys

import pytest
from life.harness import Running, Stage

from . import pages
from .postgres import Postgres

HOOK = ", hooks=[InContext]"


class Shop:
    """The files of the page, and the tables of its models."""

    def __init__(self, stage: Stage, postgres: Postgres) -> None:
        self.stage = stage
        self.env = stage.environment(**postgres.environment, RESQUE_REDIS=stage.url)
        pages.write(stage.directory, "flask.md")

    def run(self, *args: str) -> str:
        running = self.stage.start(sys.executable, "-W", "error", *args, env=self.env)
        assert running.ended() == 0, running.said
        return running.said

    def place_orders(self, count: int) -> None:
        """By requests to the view."""
        self.run(
            "-c",
            "from app import app, db\n"
            "with app.app_context(): db.create_all()\n"
            f"for number in range({count}):\n"
            "    assert app.test_client().post(f'/orders/{number}').status_code == 202\n",
        )

    def work(self, *options: str, require: str = "app") -> Running:
        options = ("--interval", "0", *options)
        return self.stage.work(*options, queues="orders", require=require, env=self.env)


@pytest.fixture
def shop(stage: Stage, postgres: Postgres) -> Shop:
    return Shop(stage, postgres)


@pytest.mark.parametrize("options", [("--count", "2"), ("--jobs-per-fork", "7"), ()])
def test_orders_are_shipped(
    shop: Shop, stage: Stage, postgres: Postgres, options: tuple[str, ...]
) -> None:
    """Sixty jobs that views have queued are done, none has failed, and there is no warning."""
    shop.place_orders(60)
    with (stage.directory / "app.py").open("a") as file:  # connected at import
        file.write('\nwith app.app_context():\n    db.session.execute(db.text("SELECT 1"))\n')
    worker = shop.work(*options)
    assert worker.ended() == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 60
    assert postgres.rows('SELECT count(*) FROM "order" WHERE shipped') == [(60,)]
    assert " WARNING: " not in worker.said


def test_without_the_hook(shop: Shop, stage: Stage) -> None:
    """A job without a context fails with the words that the page has."""
    shop.place_orders(1)
    app = stage.directory / "app.py"
    assert HOOK in app.read_text()
    app.write_text(app.read_text().replace(HOOK, ""))
    assert shop.work().ended() == 0
    [entry] = stage.failed()
    assert "Working outside of application context" in entry["error"]


def test_rows_are_refused(shop: Shop) -> None:
    """A row as an argument raises where the job is queued."""
    said = shop.run(
        "-c",
        "from app import Order, ship_order\n"
        "try: ship_order.enqueue(Order(number=7))\n"
        "except Exception as error: print(error)\n",
    )
    assert said == (
        "ship_order: argument 1 is a app.Order, which stands for a row of a database; pass its "
        "primary key, and load it in the job.\n"
    )


def test_a_factory(shop: Shop, stage: Stage) -> None:
    """The hook has the application that the factory made."""
    stage.push("report", queue="orders")
    stage.push("report", queue="orders")
    worker = shop.work(require="worker")
    assert worker.ended() == 0
    assert stage.failed() == []
    assert worker.said.count("This is shop") == 2


def test_the_test_of_the_page(shop: Shop) -> None:
    """It passes, on a server of its own."""
    assert "1 passed" in shop.run("-m", "pytest", "-q", "-p", "no:valkey", "test_app.py")
