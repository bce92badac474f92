"""resque-fork as an app of a Django project, on a real PostgreSQL."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest
from life.harness import Stage

from .django_project import APPS, MODELS, PAGE, SETTINGS, URL, URLS, Project, pieces
from .postgres import Postgres

DATABASES = SETTINGS[SETTINGS.index("DATABASES") :]


@pytest.fixture
def project(stage: Stage, postgres: Postgres) -> Project:
    return Project(stage, postgres, app=True)


def test_the_page_from_the_beginning(stage: Stage, postgres: Postgres) -> None:
    """In a project that Django's own commands have made, all that the page shows works."""

    def run(*command: str) -> str:
        running = stage.start(*command, env=stage.environment(**postgres.environment))
        assert running.ended() == 0, running.said
        return running.said

    run(sys.executable, "-m", "django", "startproject", "mysite", ".")
    run(sys.executable, "manage.py", "startapp", "shop")
    shown = pieces()
    with (stage.directory / "mysite/settings.py").open("a") as settings:
        settings.write(f"import os\n{DATABASES}\nINSTALLED_APPS += ['shop']\n")
        settings.write(shown.pop("mysite/settings.py").replace(URL, stage.url))
    (stage.directory / "mysite/urls.py").write_text(URLS)
    (stage.directory / "shop/models.py").write_text(MODELS)
    for path, text in shown.items():
        (stage.directory / path).write_text(text)
    run(sys.executable, "manage.py", "makemigrations", "--verbosity=0", "shop")
    run(sys.executable, "manage.py", "migrate", "--verbosity=0")
    ask = "from django.test import Client; print(Client(SERVER_NAME='localhost').get('/order/7'))"
    assert "status_code=202" in run(sys.executable, "manage.py", "shell", "-c", ask)

    (console,) = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    said = {}
    for line in console.splitlines():
        python, *command = shlex.split(line.removeprefix("$ "))
        assert python == "python"
        worker = ["--interval=0"] if "work" in command else []
        said[line] = run(sys.executable, *command, *worker)
    check, work, workers, failed = said.values()
    assert "System check identified no issues" in check
    assert "1 job known" in work
    assert workers == "No worker is registered.\n"
    assert failed == "The list failed is empty.\n"
    assert postgres.rows("SELECT number, shipped FROM shop_order") == [(7, True)]


class TestCommand:
    """``manage.py resque_fork`` is the command line, with Django set up."""

    @pytest.mark.parametrize("options", [["--count=4"], ["--jobs-per-fork=7"], []])
    def test_no_connection_is_shared(
        self, project: Project, stage: Stage, postgres: Postgres, options: list[str]
    ) -> None:
        """Queried in ready(): sixty jobs are done, none has failed, and there is no warning."""
        for number in range(60):
            stage.push("place_order", number, queue="orders")
        said = project.manage("resque_fork", "work", "--queues=*", "--interval=0", *options)
        assert stage.failed() == []
        assert stage.stat("processed") == 60
        assert postgres.rows("SELECT count(*) FROM shop_order") == [(60,)]
        assert " WARNING: " not in said

    def test_other_connections_are_warned_of(self, project: Project, stage: Stage) -> None:
        """What an app has opened in ready() is seen, though it was open before the command."""
        path = stage.redis.connection_pool.connection_kwargs["path"]
        project.write(
            "shop/apps.py",
            f"{APPS}\n        import socket\n"
            "        self.held = socket.socket(socket.AF_UNIX)\n"
            f"        self.held.connect({path!r})\n",
        )
        said = project.manage("resque_fork", "work", "--queues=*", "--interval=0")
        assert f"open that all children would share: {path}. Close them" in said
        found = json.loads(project.manage("resque_fork", "doctor", "--json"))
        [finding] = [row for row in found if row["check"] == "connections at fork"]
        assert finding["result"] == "warn"
        assert path in finding["message"]

    def test_a_worker_is_one_as_any_other(self, project: Project, stage: Stage) -> None:
        """It has the title, and stops at QUIT with status 0."""
        worker = stage.start(
            *(sys.executable, "-m", "django", "resque_fork", "work", "--queues=*"), env=project.env
        ).until_idle()
        assert stage.id_of(worker, "*") in project.manage("resque_fork", "list")
        assert worker.stop() == 0

    def test_require_adds_to_the_jobs(self, project: Project, stage: Stage) -> None:
        """The jobs of the apps are known, whatever is required besides."""
        project.write("more.py", "from resque_fork import job\n@job\ndef other(): pass\n")
        said = project.manage(
            *("resque_fork", "work", "--queues=*", "--interval=0", "--require=more")
        )
        assert "3 jobs known" in said

    def test_errors_and_statuses(self, project: Project) -> None:
        """They are those of the command line."""
        said = project.manage("resque_fork", "lst", status=2)
        assert "No such command 'lst'; did you mean list?" in said
        assert "There is no failed job 9" in project.manage(
            "resque_fork", "failed", "show", "9", status=1
        )

    def test_jobs_that_are_wrong(self, project: Project, stage: Stage) -> None:
        """A worker does not start; what needs no jobs works."""
        project.extend("shop/jobs.py", "import nosuch\n")
        said = project.manage("resque_fork", "work", "--queues=*", status=1)
        assert said == (
            "resque-fork: resque_fork.contrib.django cannot be loaded: it needs nosuch, which is "
            f"not installed ({stage.directory}/shop/jobs.py, line 13).\n"
        )
        assert project.manage("resque_fork", "list") == "No worker is registered.\n"

    def test_help(self, project: Project) -> None:
        """By its own option and by Django's command it is the same."""
        said = project.manage("resque_fork", "--help")
        assert "Usage: resque-fork [OPTIONS] COMMAND" in said
        assert project.manage("help", "resque_fork") == said

    def test_options_of_django(self, project: Project, stage: Stage) -> None:
        """Django takes --settings and --pythonpath; after -- everything is the job's."""
        del project.env["DJANGO_SETTINGS_MODULE"]
        project.manage(
            *("resque_fork", "enqueue", "orders", "--settings=mysite.settings", "place_order"),
            *("--pythonpath", ".", "--", "--settings", "-7"),
        )
        assert stage.queue("orders") == [b'{"class":"place_order","args":["--settings",-7]}']

    def test_call_command(self, project: Project, stage: Stage) -> None:
        """Another program of Django's may call it; an error is raised there."""
        said = project.shell(
            "from django.core.management import CommandError, call_command\n"
            "call_command('resque_fork', 'enqueue', 'orders', 'place_order', '7')\n"
            "try:\n"
            "    call_command('resque_fork', 'failed', 'show', '9')\n"
            "except CommandError as error:\n"
            "    print(error.returncode, error)\n"
        )
        assert stage.queue("orders") == [b'{"class":"place_order","args":[7]}']
        assert said.endswith("1 resque-fork ended with status 1.\n")


class TestOnCommit:
    """A job is queued when its transaction commits."""

    ATOMIC = (
        "from django.db import transaction\n"
        "from resque_fork.contrib.django import enqueue_on_commit\n"
        "from resque_fork import default_resque, job\n"
        "from shop.jobs import place_order, ship_order\n"
        "from shop.models import Order\n"
    )

    def test_a_commit(self, project: Project, stage: Stage) -> None:
        """Nothing is queued before, and after it what the arguments were when it was called."""
        said = project.shell(
            f"{self.ATOMIC}rows = [1]\n"
            "with transaction.atomic():\n"
            "    enqueue_on_commit(place_order, number=rows)\n"
            "    rows.append(2)\n"
            "    print(default_resque().size('orders'))\n"
            "enqueue_on_commit(place_order, 8)\n"
        )
        assert said == "0\n"
        assert stage.queue("orders") == [
            b'{"class":"place_order","args":[[1]]}',
            b'{"class":"place_order","args":[8]}',
        ]

    def test_a_rollback(self, project: Project, stage: Stage) -> None:
        """Nothing is queued, not even if an outer transaction commits."""
        project.shell(
            f"{self.ATOMIC}with transaction.atomic():\n"
            "    try:\n"
            "        with transaction.atomic():\n"
            "            enqueue_on_commit(place_order, 7)\n"
            "            raise ValueError\n"
            "    except ValueError: pass\n"
        )
        assert stage.queue("orders") == []

    def test_another_database(self, project: Project, stage: Stage) -> None:
        """It is the transaction of that database that counts."""
        project.extend("mysite/settings.py", "DATABASES['reports'] = DATABASES['default']\n")
        project.shell(
            f"{self.ATOMIC}with transaction.atomic(using='reports'):\n"
            "    enqueue_on_commit(place_order, 7, using='reports')\n"
            "    enqueue_on_commit(place_order, 8)\n"
            "    assert default_resque().size('orders') == 1\n"
        )
        assert stage.queue("orders") == [
            b'{"class":"place_order","args":[8]}',
            b'{"class":"place_order","args":[7]}',
        ]

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (
                "place_order, Order(number=7)",
                "ArgumentsError: place_order: argument 1 is a shop.models.Order, which stands for "
                "a row of a database; pass its primary key, and load it in the job.",
            ),
            ("job(lambda: None)", "NoQueueError: <lambda> has no queue: declare it with queue="),
        ],
    )
    def test_mistakes_raise_at_once(self, project: Project, call: str, error: str) -> None:
        """They raise where they are made, and not at the commit."""
        said = project.shell(
            f"{self.ATOMIC}with transaction.atomic():\n"
            "    try:\n"
            f"        enqueue_on_commit({call})\n"
            "    except Exception as error:\n"
            "        print(f'{type(error).__name__}: {error}')\n"
        )
        assert said.startswith(error), said

    def test_the_page_on_tests(self, project: Project, stage: Stage) -> None:
        """captureOnCommitCallbacks and INLINE perform the job in a TestCase."""
        project.write(
            "shop/tests.py",
            "from django.test import TestCase, override_settings\n"
            "from shop.models import Order\n"
            "class OrderTest(TestCase):\n"
            "    @override_settings(RESQUE_FORK={'INLINE': True})\n"
            "    def test_order(self):\n"
            "        with self.captureOnCommitCallbacks(execute=True):\n"
            "            self.client.get('/order/7', headers={'host': 'testserver'})\n"
            "        assert Order.objects.get().shipped\n",
        )
        assert "Ran 1 test" in project.manage("test", "--verbosity=1")
        assert stage.redis.dbsize() == 0


class TestSettings:
    """RESQUE_FORK says which Redis and namespace, unless the environment does."""

    TOLD = (
        "from resque_fork import Resque, default_resque\nprint(default_resque(), Resque().inline)"
    )

    def test_they_are_followed(self, project: Project, stage: Stage) -> None:
        """Views and workers use the same Redis and namespace."""
        project.extend("mysite/settings.py", "RESQUE_FORK['NAMESPACE'] = 'shop'\n")
        assert project.get("/order/7") == "202\n"
        assert stage.redis.llen("shop:queue:orders") == 1
        project.manage("resque_fork", "work", "--queues=*", "--interval=0")
        assert stage.redis.get("shop:stat:processed") == b"1"

    def test_the_environment_comes_first(self, project: Project, stage: Stage) -> None:
        """The variables of resque-fork win; REDIS_URL, which others use too, does not."""
        project.extend("mysite/settings.py", "RESQUE_FORK['INLINE'] = True\n")
        project.env["REDIS_URL"] = "redis://other/1"
        told = f"<Resque {stage.url} namespace 'resque'> True\n"
        assert project.shell(self.TOLD) == told
        project.env |= {"RESQUE_REDIS": "redis://mine/2", "RESQUE_INLINE": "0"}
        assert project.shell(self.TOLD) == "<Resque redis://mine/2 namespace 'resque'> False\n"

    def test_they_can_be_overridden(self, project: Project, stage: Stage) -> None:
        """In a test another namespace holds until the override ends."""
        said = project.shell(
            "from django.test import override_settings\n"
            "from resque_fork import default_resque\n"
            "with override_settings(RESQUE_FORK={'NAMESPACE': 'tests'}): print(default_resque())\n"
            "with override_settings(RESQUE_FORK=None): print(default_resque())\n"
            "with override_settings(DEBUG=True): print(default_resque())\n"
        )
        assert said.splitlines() == [
            f"<Resque {url} namespace {namespace!r}>"
            for url, namespace in [(URL, "tests"), (URL, "resque"), (stage.url, "resque")]
        ]

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            ("RESQUE_FORK = 'redis://h'", 'RESQUE_FORK must be a dictionary, such as {"REDIS": '),
            (
                "RESQUE_FORK = {'FOO': ''}",
                "RESQUE_FORK sets 'FOO', which is unknown: expected one of ",
            ),
            ("RESQUE_FORK = {'REDIZ': ''}", "RESQUE_FORK sets 'REDIZ', which is unknown; did you"),
            (
                "RESQUE_FORK = {'REDIS': {'PASSWORD': 'hunter2'}}",
                'RESQUE_FORK["REDIS"] must be a URL such as redis://localhost:6379/0, not a dict.',
            ),
            (
                "RESQUE_FORK = {'INLINE': 'no'}",
                'RESQUE_FORK["INLINE"] must be True or False, not a str.',
            ),
            (
                "RESQUE_FORK = {'NAMESPACE': 7}",
                'RESQUE_FORK["NAMESPACE"] must be text, not an int.',
            ),
            (
                "RESQUE_FORK = {'REDIS': 'localhost'}",
                "The Redis URL 'localhost' must begin with redis://",
            ),
        ],
    )
    def test_mistakes(self, project: Project, line: str, error: str) -> None:
        """Django does not start, and says which key is wrong and what it must be."""
        project.extend("mysite/settings.py", f"{line}\n")
        said = project.manage("check", status=1)
        last = said.splitlines()[-1]
        assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {error}")
        assert "hunter2" not in said

    def test_a_worker_on_another_redis_is_refused(self, project: Project, stage: Stage) -> None:
        """Else the jobs of the project would wait for ever."""
        project.extend("mysite/settings.py", "RESQUE_FORK['NAMESPACE'] = 'shop'\n")
        worker = project.work()
        assert worker.ended() == 1
        assert worker.said == (
            "resque-fork: The application's namespace is shop, and this program's is resque. Name "
            "the application's with --namespace or RESQUE_NAMESPACE, or start it by manage.py "
            "resque_fork.\n"
        )


class TestChecks:
    """``manage.py check`` finds what would go wrong in workers, with --deploy in production."""

    def test_jobs_that_cannot_be_loaded(self, project: Project, stage: Stage) -> None:
        """The line is named."""
        project.extend("mysite/settings.py", "INSTALLED_APPS += ['stock']\n")
        project.write("stock/__init__.py", "")
        project.write("stock/jobs.py", "\nimport nosuch\n")
        said = project.manage("check", status=1)
        assert (
            "?: (resque_fork.E001) The jobs of an app cannot be loaded: ModuleNotFoundError: No "
            "module named 'nosuch'\n"
            f"\tHINT: See {stage.directory}/stock/jobs.py, line 2.\n"
        ) in said

    def test_redis_that_does_not_answer(self, project: Project) -> None:
        """It is asked with --deploy alone."""
        project.extend("mysite/settings.py", "RESQUE_FORK['REDIS'] = 'redis://127.0.0.1:1'\n")
        assert "no issues" in project.manage("check")
        said = project.manage("check", "--deploy", "--tag=resque_fork", status=1)
        assert "?: (resque_fork.E002) Redis at redis://127.0.0.1:1 does not answer" in said
        assert 'HINT: It is named by RESQUE_FORK["REDIS"] or the variable RESQUE_REDIS.' in said

    def test_jobs_that_are_not_queued(self, project: Project) -> None:
        """A setting for tests is noticed before production."""
        project.extend("mysite/settings.py", "RESQUE_FORK['INLINE'] = True\n")
        said = project.manage("check", "--deploy", "--tag=resque_fork")
        assert (
            "?: (resque_fork.W001) Jobs are performed where they are enqueued, and no worker gets "
            'any.\n\tHINT: Remove RESQUE_FORK["INLINE"] or the variable RESQUE_INLINE.\n'
        ) in said
