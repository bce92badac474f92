"""A worker of a Django project, by ``--require=resque_fork.contrib.django``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from life.harness import Stage

from .django_project import MORE_JOBS, Project
from .postgres import Postgres

WARNING = "connections open that all"

Said = Callable[..., str]


@pytest.fixture
def project(stage: Stage, postgres: Postgres) -> Project:
    return Project(stage, postgres)


@pytest.mark.parametrize("options", [("--count", "4"), ("--jobs-per-fork", "7"), ()])
def test_no_connection_is_shared(
    project: Project, stage: Stage, postgres: Postgres, options: tuple[str, ...]
) -> None:
    """Queried in ready(): sixty jobs are done, none has failed, and there is no warning."""
    for number in range(60):
        stage.push("place_order", number, queue="orders")
    worker = project.work(*options)
    assert worker.ended(60) == 0
    assert stage.failed() == []
    assert stage.stat("processed") == 60
    assert postgres.rows("SELECT count(*) FROM shop_order") == [(60,)]
    assert " WARNING: " not in worker.said


@pytest.mark.parametrize("options", [(), ("--count", "3")])
def test_without_it_there_is_a_warning(
    project: Project, stage: Stage, postgres: Postgres, options: tuple[str, ...]
) -> None:
    """An application that sets Django up by itself is told which module helps, once."""
    project.write("alone.py", "import django\ndjango.setup()\nimport shop.jobs\n")
    worker = project.work(*options, require="alone")
    assert worker.ended() == 0
    assert worker.said.count(" WARNING: ") == 1, worker.said
    assert f"would share: {postgres.socket}. Close them" in worker.said
    assert "For what uses it there is --require=resque_fork.contrib.django." in worker.said


def test_a_pool_is_closed(project: Project, stage: Stage, postgres: Postgres) -> None:
    """With Django's pool a connection that is closed lies in the pool, and is open."""
    pool = 'DATABASES["default"].update(CONN_MAX_AGE=0, OPTIONS={"pool": {"min_size": 1}})\n'
    project.extend("mysite/settings.py", pool)
    for number in range(20):
        stage.push("place_order", number, queue="orders")
    worker = project.work("--count", "2")
    assert worker.ended(60) == 0
    assert stage.failed() == []
    assert postgres.rows("SELECT count(*) FROM shop_order") == [(20,)]
    assert WARNING not in worker.said


def test_a_child_keeps_its_connection(project: Project, stage: Stage) -> None:
    """Jobs of one process use one connection, those of another process another one."""
    project.extend("shop/jobs.py", MORE_JOBS)
    for _ in range(4):
        stage.push("tell_backend")
    worker = project.work("--jobs-per-fork", "2")
    told = [stage.told("backend", by=worker) for _ in range(4)]
    assert worker.ended() == 0
    first, second, third, fourth = [(message["pid"], message["backend"]) for message in told]
    assert first == second
    assert third == fourth
    assert first[0] != third[0]
    assert first[1] != third[1]


def test_a_broken_connection_is_not_the_next_jobs(project: Project, stage: Stage) -> None:
    """It fails the job that it broke in; the next one in that process has another."""
    project.extend("shop/jobs.py", MORE_JOBS)
    for name in ("tell_backend", "hang_up", "tell_backend"):
        stage.push(name)
    worker = project.work("--jobs-per-fork", "5")
    assert worker.ended() == 0
    [entry] = stage.failed()
    assert entry["payload"]["class"] == "hang_up"
    first, second = stage.everything_told()
    assert first["pid"] == second["pid"]
    assert first["backend"] != second["backend"]


def test_hooks_in_the_worker_may_query(project: Project, stage: Stage) -> None:
    """What a hook connects to before a fork is closed before it too."""
    hook = "@before_fork\ndef look(job): jobs.tell('hook', backend=ask('SELECT pg_backend_pid()'))"
    project.extend("shop/jobs.py", MORE_JOBS + hook)
    for _ in range(5):
        stage.push("tell_backend")
    worker = project.work()
    assert worker.ended() == 0
    assert stage.failed() == []
    told = stage.everything_told()
    assert [message["what"] for message in told] == ["hook", "backend"] * 5
    assert len({message["backend"] for message in told}) == 10


def test_the_view_of_the_page(project: Project, stage: Stage, postgres: Postgres) -> None:
    """A request enqueues the job without the app too, and a worker performs it."""
    project.get("/order/7")
    assert project.work().ended() == 0
    assert postgres.rows("SELECT number, shipped FROM shop_order") == [(7, True)]


class TestTroubles:
    """What is wrong with a project is said in a sentence that points into the project."""

    @pytest.fixture
    def said(self, project: Project) -> Said:
        def said(**env: str) -> str:
            project.env.update(env)
            worker = project.work()
            assert worker.ended() == 1
            return worker.said.strip().splitlines()[-1]

        return said

    def test_no_settings(self, project: Project, said: Said) -> None:
        """The variable that has to be set is named."""
        del project.env["DJANGO_SETTINGS_MODULE"]
        assert said() == (
            "resque-fork: resque_fork.contrib.django cannot be loaded: DJANGO_SETTINGS_MODULE is "
            "not set: set it to the module with the project's settings, such as mysite.settings."
        )

    def test_settings_that_are_not_there(self, project: Project, said: Said) -> None:
        """A name that was mistyped is named, with where it was looked for."""
        message = said(DJANGO_SETTINGS_MODULE="mysight.settings")
        assert message == (
            "resque-fork: resque_fork.contrib.django cannot be loaded: DJANGO_SETTINGS_MODULE is "
            "mysight.settings, but there is no module mysight: it is neither in "
            f"{project.stage.directory} nor installed."
        )

    def test_an_app_that_is_not_there(self, project: Project, said: Said) -> None:
        """As one that is listed and not installed."""
        project.extend("mysite/settings.py", "INSTALLED_APPS += ['shelf.cards']\n")
        assert said() == (
            "resque-fork: resque_fork.contrib.django cannot be loaded: INSTALLED_APPS of "
            "mysite.settings has shelf.cards, but there is no module shelf: it is neither in "
            f"{project.stage.directory} nor installed."
        )

    def test_settings_that_lack_something(self, project: Project, said: Said) -> None:
        """Nobody is told to do what he has done."""
        project.extend(
            "mysite/settings.py", "SECRET_KEY = ''\nDATABASES = {'default': {'HOST': ''}}"
        )
        message = said()
        assert "ImproperlyConfigured" in message
        assert "not set up" not in message

    def test_a_model_that_is_wrong(self, project: Project, said: Said) -> None:
        """Raised by Django, but caused in the application: there it points to."""
        project.extend(
            "shop/models.py", "class Bad(models.Model):\n    class Meta:\n        x = 1\n"
        )
        message = said()
        assert "TypeError: 'class Meta' got invalid attribute(s): x" in message
        assert message.endswith(f"({project.stage.directory}/shop/models.py, line 7).")

    def test_jobs_that_are_wrong(self, project: Project, said: Said) -> None:
        """The line of the app's jobs is named."""
        project.extend("shop/jobs.py", "import nosuch\n")
        assert said() == (
            "resque-fork: resque_fork.contrib.django cannot be loaded: it needs nosuch, which is "
            f"not installed ({project.stage.directory}/shop/jobs.py, line 13)."
        )

    def test_jobs_without_the_module(self, project: Project, stage: Stage) -> None:
        """An app that is required by itself points to the app."""
        worker = project.work(require="shop.jobs")
        assert worker.ended() == 1
        assert worker.said == (
            "resque-fork: shop.jobs needs Django, which is not set up "
            f"({stage.directory}/shop/models.py, line 4). Use manage.py resque_fork, or "
            "--require=resque_fork.contrib.django: both set it up, and load the jobs of all apps.\n"
        )
