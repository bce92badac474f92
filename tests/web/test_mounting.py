"""The recipes of docs/dashboard.md: each is run as it stands there."""

import http.client
import re
import sys
from pathlib import Path

import pytest
from life.harness import Stage, until

from resque_fork import Resque

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "dashboard.md"

# Each program serves the recipe's `application` and prints a port, and the cookie of somebody who
# may use it.
ASGI = """
import signal
from web.served import Served
with Served(application) as served:
    print("ready", served.port, cookie, flush=True)
    signal.pause()
"""
FASTAPI = f"""
from recipe import application
application.get("/")(lambda: "shop")
cookie = "token=token-of-ada"
{ASGI}
"""
FLASK = """
from wsgiref.simple_server import make_server
from recipe import application
application.add_url_rule("/", view_func=lambda: "shop")
signed = application.session_interface.get_signing_serializer(application)
cookie = "session=" + signed.dumps({"user": "ada", "admin": True})
with make_server("127.0.0.1", 0, application) as server:
    print("ready", server.server_port, cookie, flush=True)
    server.serve_forever()
"""
DJANGO = f"""
from recipe import application
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
call_command("migrate", verbosity=0)
ada = auth.get_user_model().objects.create_user("ada", is_staff=True)
session = SessionStore()
session[auth.SESSION_KEY] = str(ada.pk)
session[auth.BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[auth.HASH_SESSION_KEY] = ada.get_session_auth_hash()
session.save()
cookie = "sessionid=" + session.session_key
{ASGI}
"""
SETTINGS = """
from pathlib import Path

from django.http import HttpResponse
from django.urls import path

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["www.example.com"]
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).parent / "database",
    }
}
ROOT_URLCONF = "mysite.settings"
urlpatterns = [path("", lambda request: HttpResponse("shop"))]
"""


def recipe(heading: str) -> str:
    """The code under a heading of the page."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"### {heading}\n")
    found = re.search(r"^```py(?:thon)?\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.mark.parametrize(
    ("heading", "program"),
    [("FastAPI and Starlette", FASTAPI), ("Django", DJANGO), ("Flask", FLASK)],
)
def test_recipes(stage: Stage, resque: Resque, heading: str, program: str) -> None:
    """Mounted, the dashboard stands beside the application, and only those who may get in."""
    (stage.directory / "mysite").mkdir()
    (stage.directory / "mysite" / "settings.py").write_text(SETTINGS)
    (stage.directory / "recipe.py").write_text(recipe(heading))
    (stage.directory / "program.py").write_text(program)
    resque.enqueue_to("mail", "Mail", 1)
    tests = Path(__file__).resolve().parent.parent
    env = stage.environment(RESQUE_REDIS=stage.url)
    env["PYTHONPATH"] += f":{tests}:{stage.directory}"
    running = stage.start(sys.executable, "program.py", env=env)
    found = until(lambda: re.search(r"ready (\d+) (\S+)\n", running.said), lambda: running.said)
    port, cookie = found.groups()

    def send(method: str, path: str, **headers: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        connection.request(method, path, headers={"Host": "www.example.com", **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers.get("Location", "")

    assert send("GET", "/")[:2] in ((200, "shop"), (200, '"shop"'))
    assert send("GET", "/jobs/")[:2] == (403, "You may not see this dashboard.\n")
    assert send("GET", "/jobs/queues", Host="evil.example.com", Cookie=cookie)[0] == 400
    status, page, _ = send("GET", "/jobs/queues", Cookie=cookie)
    assert status == 200, running.said
    assert "You are ada." in page
    links = re.findall(r'(?:href|src)="([^"#]+)"', page)
    assert all(link.startswith("/jobs/") for link in links)
    assert {send("GET", link, Cookie=cookie)[0] for link in links} == {200}
    clear = "/jobs/queue/clear?name=mail"
    assert send("POST", clear, Cookie=cookie)[0] == 403
    assert resque.size("mail") == 1
    ours = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    status, _, location = send("POST", clear, **ours)
    assert (status, location.removeprefix("http://www.example.com")) == (
        303,
        "/jobs/queue?name=mail",
    )
    assert resque.size("mail") == 0
