"""The Flask application of its page, with Flask-SQLAlchemy on a real PostgreSQL."""

from __future__ import annotations

import pytest
from life.harness import Stage

from .postgres import Postgres
from .shop import WORKERS, Shop

HOOK = ", hooks=[InContext]"


@pytest.fixture
def shop(stage: Stage, postgres: Postgres) -> Shop:
    return Shop(stage, postgres, "flask.md", '"order"')


def place_orders(shop: Shop, count: int) -> None:
    """By requests to the view."""
    shop.run(
        "-c",
        "from app import app, db\n"
        "with app.app_context(): db.create_all()\n"
        f"for number in range({count}):\n"
        "    assert app.test_client().post(f'/orders/{number}').status_code == 202\n",
    )


@pytest.mark.parametrize("options", WORKERS)
def test_orders_are_shipped(shop: Shop, stage: Stage, options: tuple[str, ...]) -> None:
    """Sixty jobs that views have queued are done, none has failed, and there is no warning."""
    place_orders(shop, 60)
    with (stage.directory / "app.py").open("a") as file:  # connected at import
        file.write('\nwith app.app_context():\n    db.session.execute(db.text("SELECT 1"))\n')
    shop.assert_shipped(60, shop.work(*options, require="app"))


def test_without_the_hook(shop: Shop, stage: Stage) -> None:
    """A job without a context fails with the words that the page has."""
    place_orders(shop, 1)
    shop.change("app.py", HOOK)
    shop.work(require="app")
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
        "ship_order: argument 1 is an app.Order, which stands for a row of a database; pass its "
        "primary key, and load it in the job.\n"
    )


def test_a_factory(shop: Shop, stage: Stage) -> None:
    """The hook has the application that the factory made."""
    stage.push("report", queue="orders")
    stage.push("report", queue="orders")
    worker = shop.work(require="worker")
    assert stage.failed() == []
    assert worker.said.count("This is shop") == 2


def test_the_test_of_the_page(shop: Shop) -> None:
    """It passes, on a server of its own."""
    assert "1 passed" in shop.run("-m", "pytest", "-q", "-p", "no:valkey", "test_app.py")
