"""A Django project, on a real PostgreSQL, with the files that its page shows."""

from __future__ import annotations

import sys
from pathlib import Path

from life.harness import Running, Stage

from .pages import files_of
from .postgres import Postgres

URL = "redis://localhost:6379/0"  # in the settings of the page
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "django.md"

SETTINGS = """
import os

SECRET_KEY = "of the tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "shop"]
MIDDLEWARE = []
ROOT_URLCONF = "mysite.urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["PGHOST"],
        "USER": os.environ["PGUSER"],
        "NAME": os.environ["PGDATABASE"],
        "CONN_MAX_AGE": None,
    }
}
"""

# The query that is asked for in so many threads about connections and forks.
APPS = """
from django.apps import AppConfig

class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from .models import Order
        list(Order.objects.all())
"""

MODELS = """
from django.db import models

class Order(models.Model):
    number = models.IntegerField(primary_key=True)
    shipped = models.BooleanField(default=False)
"""

PLACE_ORDER = """
@job(queue="orders")
def place_order(number):
    Order.objects.create(number=number)
"""

URLS = """
from django.urls import path
from shop.views import order

urlpatterns = [path("order/<int:number>", order)]
"""

MORE_JOBS = """
import jobs
from django.db import connection
from resque_fork import before_fork

def ask(query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]

@job(queue="jobs")
def tell_backend():
    jobs.tell("backend", backend=ask("SELECT pg_backend_pid()"))

@job(queue="jobs")
def hang_up():
    ask("SELECT pg_terminate_backend(pg_backend_pid())")
"""


def pieces() -> dict[str, str]:
    """The files that the page shows, by their paths."""
    return files_of(PAGE.name)


class Project:
    """A project in the stage's directory, whose tables are there.

    With `app`, resque-fork is installed as the page says, and the settings alone name Redis.
    """

    def __init__(self, stage: Stage, postgres: Postgres, *, app: bool = False) -> None:
        self.stage = stage
        self.env = stage.environment(
            **postgres.environment,
            DJANGO_SETTINGS_MODULE="mysite.settings",
            PYTHONWARNINGS="ignore:Accessing the database during app initialization",
        )
        shown = pieces()
        self.write("mysite/__init__.py", "")
        self.write("mysite/settings.py", SETTINGS)
        if app:
            self.extend("mysite/settings.py", shown["mysite/settings.py"].replace(URL, stage.url))
        else:
            self.env["RESQUE_REDIS"] = stage.url
        self.write("mysite/urls.py", URLS)
        self.write("shop/__init__.py", "")
        self.write("shop/models.py", MODELS)
        self.write("shop/jobs.py", shown["shop/jobs.py"] + PLACE_ORDER)
        self.write("shop/views.py", shown["shop/views.py"])
        self.run("-m", "django", "migrate", "--run-syncdb", "--verbosity=0")
        self.write("shop/apps.py", APPS)

    def write(self, path: str, text: str) -> None:
        file = self.stage.directory / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def extend(self, path: str, text: str) -> None:
        with (self.stage.directory / path).open("a") as file:
            file.write(text)

    def run(self, *args: str, status: int = 0) -> str:
        """Python with these arguments; returns what it says."""
        running = self.stage.start(sys.executable, *args, env=self.env)
        assert running.ended() == status, running.said
        return running.said

    def manage(self, *args: str, status: int = 0) -> str:
        """As by manage.py, which does no more."""
        return self.run("-m", "django", *args, status=status)

    def shell(self, code: str, status: int = 0) -> str:
        """Code in a process in which Django is set up."""
        return self.run("-c", f"import django; django.setup()\n{code}", status=status)

    def get(self, path: str) -> str:
        """A request; returns the status of the response."""
        return self.shell(
            "from django.test import Client\n"
            f"print(Client(headers={{'host': 'localhost'}}).get({path!r}).status_code)"
        )

    def work(self, *options: str, require: str = "resque_fork.contrib.django") -> Running:
        options = ("--interval", "0", *options)
        return self.stage.work(*options, queues="orders,jobs", require=require, env=self.env)
