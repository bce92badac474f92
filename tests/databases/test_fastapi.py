"""The FastAPI application of its page, with SQLAlchemy's asyncio on a real PostgreSQL."""

from __future__ import annotations

import json
import socket
import sys

import pytest
from life.harness import Stage

from .postgres import Postgres
from .shop import WORKERS, Shop

WITHOUT_POOL = ", poolclass=NullPool"

# Two requests at once: one waits for Redis, which is silent, the other needs no Redis.
BESIDE = """
import asyncio
import httpx2
from app import app, lifespan

@app.get("/alive")
async def alive() -> str:
    return "alive"

async def main():
    answered = []
    async def ask(client, method, path):
        try:
            await client.request(method, path)
        except Exception as error:
            answered.append(type(error).__name__)
        else:
            answered.append(path)
    transport = httpx2.ASGITransport(app)
    async with lifespan(app), httpx2.AsyncClient(transport=transport, base_url="http://shop") as c:
        placing = asyncio.create_task(ask(c, "POST", "/orders/7"))
        connection, _ = await asyncio.to_thread(silent.accept)  # it waits for Redis now
        await ask(c, "GET", "/alive")
        await placing
    print(answered)

asyncio.run(main())
"""


@pytest.fixture
def shop(stage: Stage, postgres: Postgres) -> Shop:
    shop = Shop(stage, postgres, "fastapi.md", "orders")
    shop.run("-c", "import asyncio, test_app; asyncio.run(test_app.create_tables())")
    return shop


def place_orders(shop: Shop, count: int) -> None:
    """By requests to the view."""
    shop.run(
        "-c",
        "from fastapi.testclient import TestClient\n"
        "from app import app\n"
        "with TestClient(app) as client:\n"
        f"    for number in range({count}):\n"
        "        assert client.post(f'/orders/{number}').status_code == 202\n",
    )


@pytest.mark.parametrize("options", WORKERS)
def test_orders_are_shipped(shop: Shop, options: tuple[str, ...]) -> None:
    """Sixty jobs that views have queued are done, none has failed, and there is no warning."""
    place_orders(shop, 60)
    shop.assert_shipped(60, shop.work(*options, require="jobs"))


def test_an_engine_with_a_pool(shop: Shop, stage: Stage) -> None:
    """It fails jobs after the first in a process, as the page warns."""
    place_orders(shop, 3)
    shop.change("jobs.py", WITHOUT_POOL)
    shop.work("--jobs-per-fork", "3", require="jobs")
    assert stage.failed()


def test_redis_that_is_silent_holds_up_one_request(shop: Shop) -> None:
    """Others are answered meanwhile; that one gets the error after its second."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shop.env["RESQUE_REDIS"] = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        code = f"import socket\nsilent = socket.socket(fileno={silent.fileno()})\n{BESIDE}"
        running = shop.stage.start(
            *(sys.executable, "-c", code), env=shop.env, pass_fds=[silent.fileno()]
        )
        assert running.ended() == 0, running.said
    answered = json.loads(running.said.replace("'", '"'))
    assert answered == ["/alive", "RedisUnavailable"]


def test_the_test_of_the_page(shop: Shop) -> None:
    """It passes, on a server of its own."""
    said = shop.run("-m", "pytest", "-q", "-p", "no:valkey", "-p", "no:anyio", "test_app.py")
    assert "1 passed" in said
