"""Applications with SQLAlchemy, on a real PostgreSQL."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from life.harness import Running, Stage, until

from resque_fork.contrib.sqlalchemy import dispose_before_fork
from resque_fork.errors import HookError

from .postgres import Postgres

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "sqlalchemy.md"

WARNING = "The application has connections open that all"

# Tells which process of the server it talks to.
MORE_JOBS = """
import jobs
from sqlalchemy import text
from resque_fork import before_fork

def backend():
    with Session(engine) as session:
        return session.scalar(text("SELECT pg_backend_pid()"))

@job(queue="jobs")
def tell_backend():
    jobs.tell("backend", backend=backend())
"""


def application(stage: Stage, more: str = "", *, without: str = "") -> None:
    """The application of the page as app.py, with and without a line."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert without in code
    (stage.directory / "app.py").write_text(f"{code.replace(without, '', 1)}\n{more}")


def work(stage: Stage, postgres: Postgres, *options: str, queues: str = "orders") -> Running:
    env = stage.environment(**postgres.environment)
    return stage.work(*options, "--interval", "0", queues=queues, require="app", env=env)


CREATE_ALL = "Base.metadata.create_all(engine)\n"


@pytest.mark.parametrize("options", [("--count", "4"), ("--jobs-per-fork", "7"), ()])
def test_no_connection_is_shared(
    stage: Stage, postgres: Postgres, options: tuple[str, ...]
) -> None:
    """Connected at import: sixty jobs are done, none has failed, and there is no warning."""
    application(stage, CREATE_ALL)
    for number in range(60):
        stage.push("place_order", number, queue="orders")
    worker = work(stage, postgres, *options)
    assert worker.ended(60) == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 60
    assert postgres.rows("SELECT count(*) FROM orders") == [(60,)]
    assert WARNING not in worker.said


@pytest.mark.parametrize(
    ("options", "whose"),
    [((), "all children"), (("--count", "3"), "all workers and their children")],
)
def test_without_it_there_is_a_warning(
    stage: Stage, postgres: Postgres, options: tuple[str, ...], whose: str
) -> None:
    """It is said once, whatever the number of workers, with the address and what helps."""
    application(stage, CREATE_ALL, without="dispose_before_fork(engine)\n")
    (stage.directory / "app.py").write_text(
        re.sub(r".*import dispose_before_fork\n", "", (stage.directory / "app.py").read_text())
    )
    worker = work(stage, postgres, *options)
    assert worker.ended() == 0
    assert worker.said.count("WARNING") == 1, worker.said
    assert f"open that {whose} would share: {postgres.socket}. Close them" in worker.said
    assert "For what uses it there is resque_fork.contrib.sqlalchemy." in worker.said


def test_what_is_in_use_stays_open(stage: Stage, postgres: Postgres) -> None:
    """A session that is kept is not closed behind the application's back, but warned about."""
    application(stage, "session = Session(engine)\nsession.scalar(select(1))\n")
    worker = work(stage, postgres, "--count", "2")
    assert worker.ended() == 0
    assert f"would share: {postgres.socket}." in worker.said


def test_a_child_keeps_its_connection(stage: Stage, postgres: Postgres) -> None:
    """Jobs of one process use one connection, those of another process another one."""
    application(stage, CREATE_ALL + MORE_JOBS)
    for _ in range(4):
        stage.push("tell_backend")
    worker = work(stage, postgres, "--jobs-per-fork", "2", queues="jobs")
    told = [stage.told("backend", by=worker) for _ in range(4)]
    assert worker.ended() == 0
    first, second, third, fourth = [(message["pid"], message["backend"]) for message in told]
    assert first == second
    assert third == fourth
    assert first[0] != third[0]
    assert first[1] != third[1]


def test_hooks_in_the_worker_use_the_engine(stage: Stage, postgres: Postgres) -> None:
    """What a hook connects to before a fork is closed before it too."""
    hook = "@before_fork\ndef ask(reservation):\n    jobs.tell('hook', backend=backend())\n"
    application(stage, CREATE_ALL + MORE_JOBS + hook)
    for _ in range(5):
        stage.push("tell_backend")
    worker = work(stage, postgres, queues="jobs")
    assert worker.ended() == 0
    assert stage.failed() == []
    told = stage.everything_told()
    assert [message["what"] for message in told] == ["hook", "backend"] * 5
    assert len({message["backend"] for message in told}) == 10
    until(lambda: len(postgres.rows("SELECT FROM pg_stat_activity WHERE datname = 'shop'")) == 1)


def test_an_engine_of_asyncio_is_refused() -> None:
    """Its connections belong to an event loop, and nothing would await their end."""

    class AsyncEngine:
        async def dispose(self) -> None: ...

    with pytest.raises(HookError, match=r"an AsyncEngine.*with poolclass=NullPool"):
        dispose_before_fork(AsyncEngine())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("without", "result"), [("", "ok"), ("dispose_before_fork(engine)\n", "warn")]
)
def test_doctor(stage: Stage, postgres: Postgres, without: str, result: str) -> None:
    """It names the connection, unless it is closed before a fork."""
    application(stage, CREATE_ALL, without=without)
    env = stage.environment(**postgres.environment, RESQUE_REDIS=stage.url)
    doctor = stage.start(
        *(sys.executable, "-m", "resque_fork", "doctor", "--require=app", "--json"), env=env
    )
    assert doctor.ended() == 0
    [finding] = [row for row in json.loads(doctor.said) if row["check"] == "connections at fork"]
    assert finding["result"] == result
    assert (postgres.socket in finding["message"]) == (result == "warn")
